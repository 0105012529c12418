import { Paper, Stack, Text, Title } from '@mantine/core';
import type { ReactNode } from 'react';

import { Command } from './Command';

/** What stands where there is nothing yet: what belongs here, how to get it, and the command that does it from a shell. */
export function EmptyState({ title, children, action, command }: { title: string; children: ReactNode; action?: ReactNode; command?: string }) {
  return (
    <Paper withBorder p="xl">
      <Stack align="flex-start" maw={720}>
        <Title order={2} size="h4">{title}</Title>
        <Text component="div">{children}</Text>
        {action}
        {command && (
          <>
            <Text size="sm" c="dimmed">Or from a shell:</Text>
            <Command text={command} />
          </>
        )}
      </Stack>
    </Paper>
  );
}
