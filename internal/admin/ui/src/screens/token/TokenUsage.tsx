import { Group, Paper, Skeleton, Stack, Text, Title } from '@mantine/core';
import { keepPreviousData } from '@tanstack/react-query';
import { Suspense } from 'react';

import { $api, type Schemas } from '../../api/client';
import { StackChart } from '../../shared/charts';
import { formatCostOf, formatCount, formatDuration } from '../../shared/format';
import { momentText, pointsOver } from '../../shared/points';
import { ProblemAlert } from '../../shared/ProblemAlert';
import { TimeRangePicker, useTimeRange } from '../../shared/TimeRangePicker';

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
        {usage.data ? <Suspense fallback={waiting}><Requests usage={usage.data} /></Suspense> : usage.isPending && waiting}
      </Stack>
    </Paper>
  );
}

/** Requests by hour or day, those that failed above the others. */
function Requests({ usage }: { usage: Schemas['Usage'] }) {
  const bucket = usage.bucket ?? 'hour';
  return (
    <StackChart
      label={`Requests by ${bucket}`} when={momentText(bucket)} format={formatCount}
      points={pointsOver(usage, ([row]) => ({ answered: (row?.requests ?? 0) - (row?.errors ?? 0), errors: row?.errors ?? 0 }))}
      series={[{ name: 'answered', label: 'Answered' }, { name: 'errors', label: 'Errors', color: 'red.6' }]}
    />
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
