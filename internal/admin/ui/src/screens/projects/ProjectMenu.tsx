import { ActionIcon, Menu } from '@mantine/core';
import { IconDots, IconPencil, IconPlayerPause, IconPlayerPlay, IconTrash } from '@tabler/icons-react';

import { $api, ifMatch, type Schemas } from '../../api/client';
import { toast, toastProblem } from '../../shared/toast';

type Project = Schemas['Project'];

/** What can be done to a project, from its row. */
export function ProjectMenu({ project, onEdit, onDelete }: { project: Project; onEdit: (p: Project) => void; onDelete: (p: Project) => void }) {
  const change = $api.useMutation('patch', '/manage/projects/{id}');
  const switchTo = (active: boolean) =>
    change.mutate(
      { params: { path: { id: project.project_id }, header: ifMatch(project) }, body: { is_active: active } },
      {
        onSuccess: () => toast(<><bdi>{project.name}</bdi> is {active ? 'active: its tokens work.' : 'inactive: its tokens are refused.'}</>),
        onError: (error) => toastProblem(<><bdi>{project.name}</bdi> is as it was</>, error),
      },
    );
  return (
    <div onClick={(event) => event.stopPropagation()} role="presentation">
      <Menu position="bottom-end" withinPortal>
        <Menu.Target><ActionIcon variant="subtle" color="gray" aria-label={`Actions for ${project.name}`}><IconDots size={18} /></ActionIcon></Menu.Target>
        <Menu.Dropdown>
          <Menu.Item leftSection={<IconPencil size={16} />} onClick={() => onEdit(project)}>Edit</Menu.Item>
          {project.is_active
            ? <Menu.Item leftSection={<IconPlayerPause size={16} />} onClick={() => switchTo(false)}>Deactivate</Menu.Item>
            : <Menu.Item leftSection={<IconPlayerPlay size={16} />} onClick={() => switchTo(true)}>Activate</Menu.Item>}
          <Menu.Divider />
          <Menu.Item c="red" leftSection={<IconTrash size={16} />} onClick={() => onDelete(project)}>Delete</Menu.Item>
        </Menu.Dropdown>
      </Menu>
    </div>
  );
}
