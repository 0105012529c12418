import { Paper, Skeleton, Stack, VisuallyHidden } from '@mantine/core';

/** The shape of a table whose rows are on their way. */
export function TableSkeleton({ label, rows = 6 }: { label: string; rows?: number }) {
  return (
    <Paper withBorder p="md" aria-busy="true">
      <VisuallyHidden role="status">Loading {label}</VisuallyHidden>
      <Stack gap="md">{Array.from({ length: rows }, (_, i) => <Skeleton key={i} height={22} />)}</Stack>
    </Paper>
  );
}
