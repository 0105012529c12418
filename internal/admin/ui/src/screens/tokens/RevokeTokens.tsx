import { $api, type Schemas } from '../../api/client';
import { ConfirmDialog } from '../../shared/ConfirmDialog';
import { formatCount } from '../../shared/format';
import { toast } from '../../shared/toast';
import { titleOf, type Token } from './token';

interface Closing {
  onClose: () => void;
  onRevoked?: (() => void) | undefined;
}

/** Asks before one or more tokens are revoked, all of them or none. */
export function RevokeTokens({ tokens, onClose, onRevoked }: { tokens: Token[] | undefined } & Closing) {
  const revoke = $api.useMutation('delete', '/manage/tokens');
  const close = () => {
    revoke.reset();
    onClose();
  };
  const [first] = tokens ?? [];
  const one = tokens?.length === 1;
  const what = one && first ? titleOf(first) : `${formatCount(tokens?.length ?? 0)} tokens`;
  const done = () => {
    toast(<><bdi>{what}</bdi> {one ? 'is' : 'are'} revoked.</>);
    close();
    onRevoked?.();
  };
  return (
    <ConfirmDialog
      opened={!!tokens} onClose={close} title={one ? 'Revoke token' : 'Revoke tokens'} action={one ? 'Revoke token' : `Revoke ${what}`} busy={revoke.isPending} error={revoke.error}
      onConfirm={() => tokens && revoke.mutate({ body: { tokens: tokens.map(({ id }) => id) } }, { onSuccess: done })}
    >
      <span className="wrap">{what}</span> will be refused from the next request on. This cannot be undone. What was used so far stays in the ledger.
    </ConfirmDialog>
  );
}

/** Asks before all tokens of a project are revoked, however many there are. */
export function RevokeProject({ project, onClose, onRevoked }: { project: Schemas['Project'] | undefined } & Closing) {
  const revoke = $api.useMutation('post', '/manage/projects/{id}/tokens/revoke');
  const close = () => {
    revoke.reset();
    onClose();
  };
  const done = ({ revoked }: Schemas['Revoked']) => {
    toast(<>{formatCount(revoked)} {revoked === 1 ? 'token' : 'tokens'} of <bdi>{project?.name}</bdi> revoked.</>);
    close();
    onRevoked?.();
  };
  return (
    <ConfirmDialog
      opened={!!project} onClose={close} title="Revoke all tokens of a project" action="Revoke all" typed={project?.name} busy={revoke.isPending} error={revoke.error}
      onConfirm={() => project && revoke.mutate({ params: { path: { id: project.project_id } } }, { onSuccess: done })}
    >
      All its tokens, also those that this list does not show, will be refused from the next request on. This cannot be undone; deactivating the project can. New tokens can be created at once.
    </ConfirmDialog>
  );
}
