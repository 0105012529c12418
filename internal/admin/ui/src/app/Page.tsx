import { Group, Stack, Title } from '@mantine/core';
import { useEffect, type ReactNode } from 'react';

/** Names what the browser's window or tab shows. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · llm-proxy`;
  }, [title]);
}

/** A screen: its title, which is the browser's too, with what can be done beside it. */
export function Page({ title, actions, children }: { title: string; actions?: ReactNode; children: ReactNode }) {
  useTitle(title);
  return (
    <Stack gap="lg">
      <Group justify="space-between">
        <Title order={1} size="h2" className="wrap">{title}</Title>
        {actions && <Group gap="sm">{actions}</Group>}
      </Group>
      {children}
    </Stack>
  );
}
