import { Group, Paper, Skeleton, Stack, Text, Title } from '@mantine/core';
import { keepPreviousData } from '@tanstack/react-query';
import { lazy, Suspense } from 'react';

import { $api } from '../../api/client';
import { formatCostOf, formatCount, formatDuration } from '../../shared/format';
import { ProblemAlert } from '../../shared/ProblemAlert';
import { TimeRangePicker, useTimeRange } from '../../shared/TimeRangePicker';
import { barsOf } from './usage';

const UsageChart = lazy(() => import('./UsageChart'));

/** What a token has used in the time range of the page. */
export function TokenUsage({ id }: { id: string }) {
  const { from, to, bucket } = useTimeRange();
  const usage = $api.useQuery(
    'get', '/manage/usage', { params: { query: { token_id: id, from: from.toISOString(), to: to.toISOString(), bucket } } }, { placeholderData: keepPreviousData },
  );
  const waiting = <Skeleton height={220} />;
  return (
    <Paper withBorder p="md" component="section" aria-labelledby="usage">
      <Stack>
        <Group justify="space-between"><Title order={2} size="h4" id="usage">Usage</Title><TimeRangePicker /></Group>
        <ProblemAlert error={usage.error} retry={() => void usage.refetch()} />
        {usage.data && <Sums sums={usage.data.total} />}
        {usage.data ? <Suspense fallback={waiting}><UsageChart bars={barsOf(usage.data, usage.data.bucket ?? bucket)} bucket={usage.data.bucket ?? bucket} /></Suspense> : usage.isPending && waiting}
      </Stack>
    </Paper>
  );
}

function Sums({ sums }: { sums: Parameters<typeof formatCostOf>[0] & { errors: number; usage: { input?: number; output?: number }; latency_ms?: { p50: number; p95: number } } }) {
  const none = sums.requests === 0;
  const facts: [string, string][] = [
    ['Requests', formatCount(sums.requests)],
    ['Errors', formatCount(sums.errors)],
    ['Input', formatCount(none ? 0 : sums.usage.input)],
    ['Output', formatCount(none ? 0 : sums.usage.output)],
    ['Cost', formatCostOf(sums)],
    ['Latency p50', none ? '–' : formatDuration(sums.latency_ms?.p50)],
    ['Latency p95', none ? '–' : formatDuration(sums.latency_ms?.p95)],
  ];
  return (
    <Group gap="xl" component="dl" m={0}>
      {facts.map(([label, value]) => (
        <div key={label}><Text component="dt" size="xs" c="dimmed">{label}</Text><Text component="dd" m={0} fw={600}>{value}</Text></div>
      ))}
    </Group>
  );
}
