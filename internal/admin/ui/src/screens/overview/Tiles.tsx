import { Paper, Stack, Text } from '@mantine/core';

import type { Schemas } from '../../api/client';
import { formatTime } from '../../shared/format';
import { figuresOf } from './figures';

/** The figures of a time, each with its change against the time before. */
export function Tiles({ now, then }: { now: Schemas['Usage']; then: Schemas['Usage'] | undefined }) {
  const minute = (at: string) => formatTime(at).slice(0, 16);
  return (
    <Stack gap="xs">
      <div className="tiles" role="list" aria-label="Figures">
        {figuresOf(now.total, then?.total).map(({ label, text, change, hint, worse }) => (
          <Paper key={label} withBorder p="md" role="listitem">
            <Text size="sm" c="dimmed">{label}</Text>
            <Text size="xl" fw={600} className="wrap">{text}</Text>
            <Text size="xs" c={worse ? 'var(--mantine-color-error)' : 'dimmed'}>{[change, hint].filter(Boolean).join(' · ') || '\u00a0'}</Text>
          </Paper>
        ))}
      </div>
      <Text size="xs" c="dimmed">
        {minute(now.from)} to {minute(now.to)}, in whole hours{then ? `; changes are against ${minute(then.from)} to ${minute(then.to)}` : ''}
      </Text>
    </Stack>
  );
}
