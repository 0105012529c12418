import { Stack, Text, Title } from '@mantine/core';
import { Link } from '@tanstack/react-router';

export function NotFound() {
  return (
    <Stack>
      <Title order={1} size="h2">There is no such screen</Title>
      <Text>The address may be from another version. <Link to="/">Go to the start</Link></Text>
    </Stack>
  );
}
