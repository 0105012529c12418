import { Button, Group, SegmentedControl, Stack, Text } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { getRouteApi } from '@tanstack/react-router';
import { useState } from 'react';

import type { Schemas } from '../../api/client';
import { usePages } from '../../api/pages';
import { Page } from '../../app/Page';
import { DataTable } from '../../shared/DataTable';
import { EmptyState } from '../../shared/EmptyState';
import { SearchField } from '../../shared/SearchField';
import { projectColumns } from './columns';
import { DeleteProject } from './DeleteProject';
import { ProjectDrawer } from './ProjectDrawer';
import type { ProjectsSearch } from './search';

const route = getRouteApi('/projects');

export function ProjectsScreen() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const go = (change: ProjectsSearch, replace = false) => void navigate({ search: (old) => ({ ...old, ...change }), replace });
  const pages = usePages('/manage/projects', { q: search.q, active: search.active });
  const [leaving, setLeaving] = useState<Schemas['Project']>();
  const filtered = !!search.q || search.active !== undefined;
  const create = <Button leftSection={<IconPlus size={16} />} onClick={() => go({ edit: 'new' })}>Create project</Button>;

  return (
    <Page title="Projects" actions={create}>
      <Group>
        <SearchField label="Search by name" value={search.q ?? ''} onSearch={(q) => go({ q: q || undefined })} />
        <SegmentedControl
          aria-label="State" data={[{ value: '', label: 'All' }, { value: 'true', label: 'Active' }, { value: 'false', label: 'Inactive' }]}
          value={search.active === undefined ? '' : String(search.active)} onChange={(value) => go({ active: value === '' ? undefined : value === 'true' })}
        />
      </Group>
      <DataTable
        label="Projects" pages={pages} id="project_id" columns={projectColumns({ onEdit: (p) => go({ edit: p.project_id }), onDelete: setLeaving })}
        onRowClick={(p) => go({ edit: p.project_id })}
        empty={filtered ? <Stack align="flex-start"><Text>No project fits.</Text><Button variant="default" onClick={() => go({ q: undefined, active: undefined })}>Show all</Button></Stack> : (
          <EmptyState title="No project yet" action={create} command="llm-proxy manage project create Team-A --api-key-file key.txt">
            A project holds one provider key. The tokens that you give out belong to it: they spend its key and never see it.
          </EmptyState>
        )}
      />
      <ProjectDrawer edit={search.edit} known={pages.rows} onClose={() => go({ edit: undefined }, true)} />
      <DeleteProject project={leaving} onClose={() => setLeaving(undefined)} />
    </Page>
  );
}
