import { Anchor, Group, Paper, SegmentedControl, Stack, Table, Text, Title } from '@mantine/core';
import { keepPreviousData } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import type { CSSProperties } from 'react';

import { $api } from '../../api/client';
import { formatCostOf, formatShort } from '../../shared/format';
import { ProblemAlert } from '../../shared/ProblemAlert';
import { TableSkeleton } from '../../shared/Skeletons';
import { nameOf, useProjectNames, useTokenNames } from '../../shared/names';
import { formatUsageOf } from './figures';
import { refresh } from './OverviewScreen';
import type { Period } from './period';
import { mostOf, topTables, type TopBy } from './questions';
import type { Size } from './search';

const route = getRouteApi('/overview');
const titles = { project_id: 'Projects', token_id: 'Tokens', model: 'Models' };

/** The projects, tokens and models that have used or cost most. */
export function TopTables({ period }: { period: Period }) {
  const { top = 'usage' } = route.useSearch();
  const navigate = route.useNavigate();
  return (
    <Stack gap="sm">
      <Group justify="space-between">
        <Title order={2} size="h4">Most by {top}</Title>
        <SegmentedControl
          aria-label="Sorted by" value={top} onChange={(value) => void navigate({ search: (old) => ({ ...old, top: value as Size }) })}
          data={[{ value: 'usage', label: 'Usage' }, { value: 'cost', label: 'Cost' }, { value: 'requests', label: 'Requests' }]}
        />
      </Group>
      <div className="charts" style={{ '--column': '24rem' } as CSSProperties}>
        {topTables.map((by) => <TopTable key={by} by={by} period={period} top={top} />)}
      </div>
    </Stack>
  );
}

function TopTable({ by, period, top }: { by: TopBy; period: Period; top: Size }) {
  const title = titles[by];
  const { data, error, refetch } = $api.useQuery('get', '/manage/usage', mostOf(by, top, period), { refetchInterval: refresh, placeholderData: keepPreviousData });
  const projects = useProjectNames();
  const tokens = useTokenNames(by === 'token_id' ? (data?.rows ?? []).flatMap((row) => row.token_id ?? []) : []);
  const name = (id: string) => (by === 'model' ? id : nameOf(by === 'project_id' ? projects : tokens, id));
  return (
    <Paper withBorder p="md" miw={0}>
      <Title order={3} size="h5" mb="xs">{title}</Title>
      <ProblemAlert error={error} retry={() => void refetch()} />
      {!data && !error && <TableSkeleton label={title} rows={3} />}
      {data && (
        <Table.ScrollContainer minWidth={300} scrollAreaProps={{ viewportProps: { tabIndex: 0, role: 'region', 'aria-label': title } }}>
          <Table aria-label={title}>
            <Table.Thead>
              <Table.Tr><Table.Th>Name</Table.Th><Table.Th ta="right">Requests</Table.Th><Table.Th ta="right">Usage</Table.Th><Table.Th ta="right">Cost</Table.Th></Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {data.rows.map((row) => (
                <Table.Tr key={row.others ? 'others' : (row[by] ?? 'unknown')}>
                  <Table.Td className="wrap">
                    {row[by] === undefined ? <Text span c="dimmed" inherit>{row.others ? 'all others' : 'unknown'}</Text>
                      : <Anchor renderRoot={(props) => <Link to="/requests" search={{ [by]: row[by] }} {...props} />}>{name(row[by])}</Anchor>}
                  </Table.Td>
                  <Table.Td ta="right">{formatShort(row.requests)}</Table.Td>
                  <Table.Td ta="right">{formatUsageOf(row, row.usage.total)}</Table.Td>
                  <Table.Td ta="right">{formatCostOf(row)}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
    </Paper>
  );
}
