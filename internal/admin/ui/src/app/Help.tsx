import { Group, Kbd, Modal, Stack, Text } from '@mantine/core';

import { nav } from './nav';

const keys: [string[], string][] = [
  [['Ctrl', 'K'], 'Find a screen or an action (⌘ K on a Mac)'],
  [['/'], 'Go to the search field'],
  [['?'], 'Show this'],
  [['Esc'], 'Close what is open'],
];

export function Help({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  return (
    <Modal opened={opened} onClose={onClose} title="Keyboard">
      <Stack gap="xs">
        {[...keys, ...nav.map(({ key, label }): [string[], string] => [['g', key], `Go to ${label}`])].map(([pressed, does]) => (
          <Group key={does} justify="space-between">
            <Text size="sm">{does}</Text>
            <Group gap={4}>{pressed.map((key) => <Kbd key={key}>{key}</Kbd>)}</Group>
          </Group>
        ))}
      </Stack>
    </Modal>
  );
}
