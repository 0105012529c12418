import { Stack, Text, Title } from '@mantine/core';
import type { DataTableColumn } from 'mantine-datatable';

import type { Schemas } from '../../api/client';
import { usePages } from '../../api/pages';
import { DataTable } from '../../shared/DataTable';
import { StatusBadge } from '../../shared/StatusBadge';
import { Time } from '../../shared/Time';

type Entry = Schemas['AuditEntry'];

const columns: DataTableColumn<Entry>[] = [
  { accessor: 'time', title: 'When', width: 130, render: (e) => <Time at={e.time} /> },
  { accessor: 'action', title: 'What', width: 150 },
  { accessor: 'actor', title: 'Who', width: 150, render: (e) => <span className="wrap">{e.actor}</span> },
  { accessor: 'outcome', title: 'Outcome', width: 110, render: (e) => <StatusBadge tone={e.outcome === 'done' ? 'good' : 'bad'}>{e.outcome}</StatusBadge> },
  { accessor: 'after', title: 'Changes', width: 320, render: (e) => <Changes entry={e} /> },
];

/** What was done to a token, and what was tried. */
export function TokenAudit({ id }: { id: string }) {
  const pages = usePages('/manage/audit', { token_id: id }, 10);
  return (
    <Stack gap="sm">
      <Title order={2} size="h4">Audit trail</Title>
      <DataTable label="Audit trail" pages={pages} id="id" columns={columns} empty={<Text c="dimmed">Nothing is told of it any more.</Text>} />
    </Stack>
  );
}

function Changes({ entry }: { entry: Entry }) {
  const fields = [...new Set([...Object.keys(entry.before), ...Object.keys(entry.after)])].sort();
  return (
    <>
      {entry.reason && <Text size="xs" className="wrap">{entry.reason}</Text>}
      {fields.map((field) => (
        <Text key={field} size="xs" className="wrap">
          {field}: {field in entry.before && <><bdi>{entry.before[field] || 'none'}</bdi> → </>}<bdi>{entry.after[field] || 'none'}</bdi>
        </Text>
      ))}
    </>
  );
}
