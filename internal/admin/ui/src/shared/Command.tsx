import { Code, Group } from '@mantine/core';

import { CopyButton } from './CopyButton';

/** A command to paste into a shell, with its copy button. */
export function Command({ text }: { text: string }) {
  return (
    <Group gap="xs" align="flex-start" wrap="nowrap" w="100%">
      <Code block tabIndex={0} role="group" aria-label="Command" flex={1} miw={0}>{text}</Code>
      <CopyButton text={text} label="Copy" />
    </Group>
  );
}
