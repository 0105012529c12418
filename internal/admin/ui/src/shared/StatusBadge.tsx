import { Badge } from '@mantine/core';

const colors = { good: 'green', bad: 'red', warn: 'orange', off: 'gray', info: 'indigo' } as const;

/** A state in one word. The word says it; the colour says it again. */
export function StatusBadge({ tone, children }: { tone: keyof typeof colors; children: string }) {
  return <Badge variant="light" color={colors[tone]} radius="sm">{children}</Badge>;
}
