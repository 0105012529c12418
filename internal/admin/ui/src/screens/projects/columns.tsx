import { Anchor, Text } from '@mantine/core';
import type { DataTableColumn } from 'mantine-datatable';

import type { Schemas } from '../../api/client';
import { StatusBadge } from '../../shared/StatusBadge';
import { Time } from '../../shared/Time';
import { ProjectMenu } from './ProjectMenu';

type Project = Schemas['Project'];

export function projectColumns(act: { onEdit: (p: Project) => void; onDelete: (p: Project) => void }): DataTableColumn<Project>[] {
  return [
    {
      accessor: 'name', title: 'Name', width: 260,
      render: (p) => (
        <>
          <Anchor component="button" inherit ta="start" className="wrap" onClick={(event) => { event.stopPropagation(); act.onEdit(p); }}>{p.name}</Anchor>
          {p.description && <Text size="xs" c="dimmed" lineClamp={2} className="wrap">{p.description}</Text>}
        </>
      ),
    },
    { accessor: 'is_active', title: 'State', width: 120, render: (p) => <StatusBadge tone={p.is_active ? 'good' : 'off'}>{p.is_active ? 'active' : 'inactive'}</StatusBadge> },
    { accessor: 'provider', title: 'Provider' },
    { accessor: 'key_hint', title: 'Provider key', render: keyText },
    { accessor: 'capture', title: 'Capture', render: (p) => p.capture ?? 'as installed' },
    { accessor: 'created_at', title: 'Created', render: (p) => <Time at={p.created_at} /> },
    { accessor: 'actions', title: 'Actions', width: 80, textAlign: 'right', render: (p) => <ProjectMenu project={p} {...act} /> },
  ];
}

/** The provider key as far as anybody sees it again. */
export function keyText(p: Project): string {
  return p.api_key_ref ? `secret ${p.api_key_ref}` : p.key_hint ? `…${p.key_hint}` : 'none';
}
