import { Button, Group, Modal, Stack, Text, TextInput } from '@mantine/core';
import { useState, type FormEvent, type ReactNode } from 'react';

import { ProblemAlert } from './ProblemAlert';

interface Props {
  opened: boolean;
  onClose: () => void;
  title: string;
  children: ReactNode; // what will happen, and whether it can be undone
  action: string; // what the button says, such as "Delete project"
  typed?: string; // what has to be typed first, where it cannot be undone
  onConfirm: () => void;
  busy: boolean;
  error: unknown;
}

/** Asks before something that cannot be taken back. It stays open until it was done, and shows why it was not. */
export function ConfirmDialog({ opened, onClose, title, ...rest }: Props) {
  return (
    <Modal opened={opened} onClose={onClose} title={title}>
      <Question onClose={onClose} {...rest} />
    </Modal>
  );
}

function Question({ onClose, children, action, typed, onConfirm, busy, error }: Omit<Props, 'opened' | 'title'>) {
  const [text, setText] = useState('');
  const ready = typed === undefined || text === typed;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (ready && !busy) {
      onConfirm();
    }
  };
  return (
    <form onSubmit={submit}>
      <Stack>
        <Text component="div" size="sm">{children}</Text>
        {typed !== undefined && (
          <TextInput
            data-autofocus autoComplete="off" spellCheck={false} label={<>Type <strong className="wrap">{typed}</strong> to confirm</>}
            value={text} onChange={(event) => setText(event.currentTarget.value)}
          />
        )}
        <ProblemAlert error={error} />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>Cancel</Button>
          <Button type="submit" color="red" disabled={!ready} loading={busy}>{action}</Button>
        </Group>
      </Stack>
    </form>
  );
}
