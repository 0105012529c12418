import { Code, Stack, Text, Title } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import type { DataTableColumn } from 'mantine-datatable';

import type { Schemas } from '../../api/client';
import { usePages } from '../../api/pages';
import { DataTable } from '../../shared/DataTable';
import { formatCost, formatCount, formatWhole, unknown } from '../../shared/format';
import { StatusBadge } from '../../shared/StatusBadge';
import { Time } from '../../shared/Time';

type Request = Schemas['Request'];

const columns: DataTableColumn<Request>[] = [
  { accessor: 'time', title: 'When', render: (r) => <Time at={r.time} /> },
  { accessor: 'id', title: 'Request', render: (r) => <Link to="/requests" search={{ token_id: r.token_id, open: r.id }}><Code fz={11} title={r.id}>{r.id.slice(0, 8)}…</Code></Link> },
  { accessor: 'path', title: 'Endpoint', width: 200, render: (r) => <span className="wrap">{r.method} {r.path}</span> },
  { accessor: 'model', title: 'Model', width: 150, render: (r) => <span className="wrap">{r.model ?? unknown}</span> },
  { accessor: 'outcome', title: 'Outcome', render: (r) => <StatusBadge tone={r.outcome === 'complete' && (r.status ?? 0) < 400 ? 'good' : 'bad'}>{`${r.status ?? ''} ${r.outcome.replaceAll('_', ' ')}`.trim()}</StatusBadge> },
  { accessor: 'usage.total', title: 'Usage', textAlign: 'right', render: (r) => formatCount(r.usage?.total) },
  { accessor: 'usage.cost_usd', title: 'Cost', textAlign: 'right', render: (r) => formatCost(r.usage?.cost_usd) },
  { accessor: 'timing.total_ms', title: 'Latency', textAlign: 'right', render: (r) => formatWhole(r.timing.total_ms) },
];

/** The newest requests of a token. */
export function TokenRequests({ id }: { id: string }) {
  const pages = usePages('/manage/requests', { token_id: id }, 10);
  return (
    <Stack gap="sm">
      <Title order={2} size="h4">Recent requests</Title>
      <DataTable label="Recent requests" pages={pages} id="id" columns={columns} empty={<Text c="dimmed">No request yet in the last 30 days.</Text>} />
    </Stack>
  );
}
