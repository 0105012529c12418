import { $api, type Schemas } from '../../api/client';
import { ConfirmDialog } from '../../shared/ConfirmDialog';
import { toast } from '../../shared/toast';

export function DeleteProject({ project, onClose }: { project: Schemas['Project'] | undefined; onClose: () => void }) {
  const remove = $api.useMutation('delete', '/manage/projects/{id}');
  const close = () => {
    remove.reset();
    onClose();
  };
  return (
    <ConfirmDialog
      opened={!!project} onClose={close} title="Delete project" action="Delete project" typed={project?.name} busy={remove.isPending} error={remove.error}
      onConfirm={() => project && remove.mutate({ params: { path: { id: project.project_id } } }, { onSuccess: () => { toast(<><bdi>{project.name}</bdi> is deleted.</>); close(); } })}
    >
      Its provider key is gone and all its tokens are refused from then on. This cannot be undone; deactivating it can. What it has used so far stays in the ledger.
    </ConfirmDialog>
  );
}
