import { Button, Group, Modal, NumberInput, Stack, Text } from '@mantine/core';
import { useState, type FormEvent } from 'react';

import { $api, type Schemas } from '../../api/client';
import { useInfo } from '../../api/info';
import { ProblemAlert } from '../../shared/ProblemAlert';
import { titleOf, type Token } from './token';

/** Gives a token a new secret. */
export function RotateToken({ token, onClose, onRotated }: { token: Token | undefined; onClose: () => void; onRotated: (minted: Schemas['MintedToken']) => void }) {
  return (
    <Modal opened={!!token} onClose={onClose} title="Rotate token">
      {token && <Question token={token} onClose={onClose} onRotated={onRotated} />}
    </Modal>
  );
}

function Question({ token, onClose, onRotated }: { token: Token; onClose: () => void; onRotated: (minted: Schemas['MintedToken']) => void }) {
  const [grace, setGrace] = useState<number | string>(60);
  const longest = useInfo().data?.limits.max_duration_minutes;
  const rotate = $api.useMutation('post', '/manage/tokens/{id}/rotate', { gcTime: 0 }); // the secret is kept nowhere
  const submit = (event: FormEvent) => {
    event.preventDefault();
    rotate.mutate({ params: { path: { id: token.id } }, body: { grace_minutes: Number(grace) } }, { onSuccess: onRotated });
  };
  return (
    <form onSubmit={submit}>
      <Stack>
        <Text size="sm"><span className="wrap">{titleOf(token)}</span> gets a new secret, which is shown once. Its id, its counters and its end stay.</Text>
        <NumberInput
          label="Grace in minutes" description="How long the secret before stays good, so that whoever uses it can change over. 0 ends it at once." data-autofocus
          min={0} max={longest} allowDecimal={false} allowNegative={false} clampBehavior="blur" value={grace} onChange={setGrace}
        />
        <ProblemAlert error={rotate.error} />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>Cancel</Button>
          <Button type="submit" loading={rotate.isPending} disabled={grace === ''}>Rotate token</Button>
        </Group>
      </Stack>
    </form>
  );
}
