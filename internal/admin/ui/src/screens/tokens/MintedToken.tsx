import { Alert, Button, Code, Group, Modal, Stack, Text } from '@mantine/core';
import { useBlocker } from '@tanstack/react-router';

import type { Schemas } from '../../api/client';
import { CopyButton } from '../../shared/CopyButton';
import { formatTime } from '../../shared/format';
import { useProject } from '../../shared/projects';
import { Snippets } from '../../shared/Snippets';
import { titleOf } from './token';

/** A new secret, this once. It is in the memory of this page alone, so neither a slip of the hand nor the way back closes it. */
export function MintedToken({ minted, onStored }: { minted: Schemas['MintedToken'] | undefined; onStored: () => void }) {
  useBlocker({ shouldBlockFn: ({ current, next }) => current.pathname !== next.pathname, enableBeforeUnload: true, disabled: !minted });
  return (
    <Modal opened={!!minted} onClose={onStored} title={minted ? titleOf(minted) : ''} size="lg" closeOnEscape={false} closeOnClickOutside={false} withCloseButton={false}>
      {minted && <Secret minted={minted} onStored={onStored} />}
    </Modal>
  );
}

function Secret({ minted, onStored }: { minted: Schemas['MintedToken']; onStored: () => void }) {
  const project = useProject(minted.project_id);
  return (
    <Stack>
      <Alert color="orange" role="note">Copy the token now. It is shown this once, and nobody can get it back: a lost one is replaced by another.</Alert>
      <Group gap="xs" wrap="nowrap" align="flex-start">
        <Code block flex={1} miw={0} tabIndex={0} role="group" aria-label="Token" className="wrap" style={{ whiteSpace: 'pre-wrap' }}>{minted.token}</Code>
        <CopyButton text={minted.token} label="Copy the token" variant="filled" data-autofocus />
      </Group>
      <Text size="sm" c="dimmed">Good until {formatTime(minted.expires_at)}.</Text>
      {project && <Snippets token={minted.token} provider={project.provider} />}
      <Group justify="flex-end"><Button onClick={onStored}>I stored it</Button></Group>
    </Stack>
  );
}
