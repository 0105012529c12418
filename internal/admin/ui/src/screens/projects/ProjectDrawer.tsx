import { Drawer, Skeleton, Stack } from '@mantine/core';

import { $api, type Schemas } from '../../api/client';
import { ProblemAlert } from '../../shared/ProblemAlert';
import { ProjectForm } from './ProjectForm';

/** The form of a new project or of one that is there, as the address says. A row that the list has is not asked for again. */
export function ProjectDrawer({ edit, known, onClose }: { edit: string | undefined; known: Schemas['Project'][]; onClose: () => void }) {
  const isNew = edit === 'new';
  const row = known.find((p) => p.project_id === edit);
  const asked = $api.useQuery('get', '/manage/projects/{id}', { params: { path: { id: edit ?? '' } } }, { enabled: !!edit && !isNew && !row });
  const project = row ?? asked.data;
  return (
    <Drawer opened={!!edit} onClose={onClose} title={isNew ? 'Create project' : 'Edit project'}>
      {isNew && <ProjectForm onDone={onClose} />}
      {!isNew && project && <ProjectForm key={project.project_id} project={project} onDone={onClose} />}
      {!isNew && !project && (asked.error ? <ProblemAlert error={asked.error} retry={() => void asked.refetch()} /> : <Stack>{[1, 2, 3].map((n) => <Skeleton key={n} height={48} />)}</Stack>)}
    </Drawer>
  );
}
