import { $api } from '../../api/client';
import { ConfirmDialog } from '../../shared/ConfirmDialog';
import { formatCount } from '../../shared/format';
import { toast } from '../../shared/toast';
import type { Destination } from './destination';

export function Redrive({ destination, onClose }: { destination: Destination | undefined; onClose: () => void }) {
  const redrive = $api.useMutation('post', '/manage/destinations/{name}/redrive');
  const name = destination?.name ?? '';
  const close = () => {
    redrive.reset();
    onClose();
  };
  return (
    <ConfirmDialog
      opened={!!destination} onClose={close} title="Send dead letters again" action="Send again" busy={redrive.isPending} error={redrive.error}
      onConfirm={() => redrive.mutate({ params: { path: { name } } }, { onSuccess: ({ dead_letters }) => { toast(`${formatCount(dead_letters)} dead letters are being sent to ${name} again.`); close(); } })}
    >
      {formatCount(destination?.dead_letters)} events that {name} did not take are sent to it again. What it refuses once more is a dead letter again.
      {destination?.last_error && ` Its last error was: ${destination.last_error}`}
    </ConfirmDialog>
  );
}
