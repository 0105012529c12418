import { Group, Paper, SegmentedControl, Skeleton, Stack, Text, Title } from '@mantine/core';
import { keepPreviousData } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { Suspense, useCallback, useMemo, type ReactNode } from 'react';

import { $api, type Schemas } from '../../api/client';
import { StackChart, TimesChart } from '../../shared/charts';
import { formatCount, formatDuration } from '../../shared/format';
import { ProblemAlert } from '../../shared/ProblemAlert';
import { nameOf, useProjectNames, useTokenNames } from '../../shared/names';
import { momentText, pointsOver } from '../../shared/points';
import { groupOf, groupsOf, measures, type Group as Of, type Measure } from './figures';
import { refresh } from './OverviewScreen';
import type { Period } from './period';
import { stackedBy } from './questions';
import { stacks, type Stack as By } from './search';

const route = getRouteApi('/overview');

/** Requests, usage and cost by hour or day, stacked, and latency. */
export function UsageCharts({ period, bucket, usage }: { period: Period; bucket: 'hour' | 'day'; usage: Schemas['Usage'] }) {
  const { by = 'model' } = route.useSearch();
  const navigate = route.useNavigate();
  const dimension = stacks[by];
  const grouped = $api.useQuery('get', '/manage/usage', stackedBy(by, period, bucket), { refetchInterval: refresh, placeholderData: keepPreviousData });
  const data = grouped.data?.group_by[0] === dimension ? grouped.data : undefined; // what was shown before is of another dimension
  const groups = useMemo(() => (data ? groupsOf(data, dimension) : []), [data, dimension]);
  const label = useLabels(by, groups);
  const when = momentText(bucket);
  // A chart reads its figures by path, in which a dot is none of a name's: gpt-4.1 is not a 1 within gpt-4. To draw one takes long: it is
  // given the same again as long as nothing of it has changed.
  const names = useMemo(() => new Map(groups.map(({ key }, i) => [key, `group${i}`])), [groups]);
  const series = useMemo(() => groups.map((group) => ({ name: names.get(group.key)!, label: label(group) })), [groups, names, label]);
  const stacked = useMemo(() => data && byMeasure((measure) => pointsOver(data, (rows) => {
    const values: Record<string, number | null> = Object.fromEntries([...names.values()].map((name) => [name, 0]));
    rows.forEach((row) => { values[names.get(groupOf(row, dimension).key)!] = measures[measure].of(row); });
    return values;
  })), [data, dimension, names]);
  const times = useMemo(() => pointsOver(usage, ([row]) => ({ p50: row?.latency_ms?.p50 ?? null, p95: row?.latency_ms?.p95 ?? null, first: row?.first_byte_ms?.p50 ?? null })), [usage]);

  return (
    <Stack gap="sm">
      <Group justify="space-between">
        <Title order={2} size="h4">By {bucket}{bucket === 'day' ? ' (UTC)' : ''}</Title>
        <SegmentedControl
          aria-label="Stacked by" value={by} onChange={(value) => void navigate({ search: (old) => ({ ...old, by: value as By }) })}
          data={[{ value: 'model', label: 'Model' }, { value: 'project', label: 'Project' }, { value: 'token', label: 'Token' }]}
        />
      </Group>
      <ProblemAlert error={grouped.error} retry={() => void grouped.refetch()} />
      <div className="charts">
        {all.map((measure) => (
          <ChartCard key={measure} title={measures[measure].label} note={noteOf(measure, usage.total)} unknown={missing(measure, usage.total) === usage.total.requests}>
            {stacked && <StackChart label={`${measures[measure].label} by ${bucket} and ${by}`} points={stacked[measure]} series={series} when={when} format={measures[measure].format} />}
          </ChartCard>
        ))}
        <ChartCard title="Latency">
          <TimesChart label={`Latency by ${bucket}`} points={times} when={when} format={formatDuration} series={timesSeries} />
        </ChartCard>
      </div>
    </Stack>
  );
}

const all = Object.keys(measures) as Measure[];
const byMeasure = <T,>(of: (measure: Measure) => T) => Object.fromEntries(all.map((measure) => [measure, of(measure)])) as Record<Measure, T>;
const timesSeries = [{ name: 'p50', label: 'median' }, { name: 'p95', label: '95 %' }, { name: 'first', label: 'first byte, median' }];

function ChartCard({ title, note, unknown, children }: { title: string; note?: string; unknown?: boolean; children: ReactNode }) {
  const waiting = <Skeleton height={220} aria-busy="true" />;
  return (
    <Paper withBorder p="md" miw={0}>
      <Title order={3} size="h5">{title}</Title>
      <Text size="xs" c="dimmed" mb="xs">{note || '\u00a0'}</Text>
      {!unknown && <Suspense fallback={waiting}>{children || waiting}</Suspense>}
    </Paper>
  );
}

/** Of how many requests a figure is not known. */
const missing = (measure: Measure, { requests, metered, priced }: Schemas['Tally']) => (measure === 'usage' ? requests - metered : measure === 'cost' ? requests - priced : 0);

/** Says what a chart leaves out. */
function noteOf(measure: Measure, total: Schemas['Tally']): string {
  const out = missing(measure, total);
  return out === 0 ? '' : out === total.requests ? 'Unknown for all requests of this time.' : `Unknown for ${formatCount(out)} of ${formatCount(total.requests)} requests, which are left out.`;
}

function useLabels(by: By, groups: Of[]): (group: Of) => string {
  const projects = useProjectNames();
  const tokens = useTokenNames(by === 'token' ? groups.flatMap(({ id }) => id ?? []) : []);
  const names = { model: undefined, project: projects, token: tokens }[by];
  return useCallback(({ id, others }) => (others ? 'all others' : id === undefined ? 'unknown' : names ? nameOf(names, id) : id), [names]);
}
