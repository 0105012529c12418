import { Alert, Button, Group, Stack, Text } from '@mantine/core';

import { toProblem } from '../api/problem';

/** What went wrong, where it went wrong. Shows nothing without an error, so it can stand in a screen at all times. */
export function ProblemAlert({ error, retry, title }: { error: unknown; retry?: () => void; title?: string }) {
  if (!error) {
    return null;
  }
  const problem = toProblem(error);
  return (
    <Alert color="red" role="alert" title={title ?? (problem.title || 'Something went wrong')}>
      <Stack gap="xs" align="flex-start">
        <Text size="sm">{problem.detail}</Text>
        {problem.errors.length > 0 && (
          <Text component="ul" size="sm" m={0}>
            {problem.errors.map(({ field, message }) => <li key={field + message}>{field}: {message}</li>)}
          </Text>
        )}
        <Group gap="sm">
          {retry && <Button size="xs" variant="default" onClick={retry}>Try again</Button>}
          {problem.requestID && <Text size="xs" c="dimmed">Request {problem.requestID}</Text>}
        </Group>
      </Stack>
    </Alert>
  );
}
