import { Anchor, Text } from '@mantine/core';
import type { DataTableColumn } from 'mantine-datatable';

import type { Schemas } from '../../api/client';
import { formatCost, formatCount, formatTime, formatWhole, unknown } from '../../shared/format';
import { StatusBadge } from '../../shared/StatusBadge';
import { nameOf, type Names } from '../../shared/names';

type Request = Schemas['Request'];

export function requestColumns({ projects, tokens, onOpen }: { projects: Names; tokens: Names; onOpen: (r: Request) => void }): DataTableColumn<Request>[] {
  const name = (names: Names, id: string | undefined) => (id ? <span className="wrap">{nameOf(names, id)}</span> : <Text span c="dimmed" inherit>{unknown}</Text>);
  return [
    {
      accessor: 'time', title: 'Time', width: 170,
      render: (r) => <Anchor component="button" inherit onClick={(event) => { event.stopPropagation(); onOpen(r); }}><time dateTime={r.time}>{formatTime(r.time)}</time></Anchor>,
    },
    { accessor: 'status', title: 'Status', width: 90, render: (r) => <StatusBadge tone={toneOf(r)}>{r.status ? String(r.status) : unknown}</StatusBadge> },
    { accessor: 'outcome', title: 'Outcome', render: (r) => outcomeText(r) },
    { accessor: 'path', title: 'Request', width: 220, render: (r) => <span className="wrap">{r.method} {r.path}</span> },
    { accessor: 'model', title: 'Model', render: (r) => (r.model ? <span className="wrap">{r.model}</span> : <Text span c="dimmed" inherit>{unknown}</Text>) },
    { accessor: 'project_id', title: 'Project', render: (r) => name(projects, r.project_id) },
    { accessor: 'token_id', title: 'Token', render: (r) => name(tokens, r.token_id) },
    { accessor: 'timing', title: 'Total', textAlign: 'right', render: (r) => formatWhole(r.timing.total_ms) },
    { accessor: 'usage', title: 'Usage', textAlign: 'right', render: (r) => formatCount(r.usage?.total) },
    { accessor: 'cost', title: 'Cost', textAlign: 'right', render: (r) => formatCost(r.usage?.cost_usd) },
  ];
}

/** An outcome in words: client_gone → "client gone" */
export const outcomeText = ({ outcome }: Request) => outcome.replaceAll('_', ' ');

export function toneOf({ status, outcome }: Request): 'good' | 'warn' | 'bad' | 'off' {
  if (!status) {
    return 'off';
  }
  return outcome !== 'complete' && outcome !== 'refused' ? 'bad' : status >= 500 ? 'bad' : status >= 400 ? 'warn' : 'good';
}
