import { CloseButton, TextInput } from '@mantine/core';
import { IconSearch } from '@tabler/icons-react';

import { useTyped } from './useTyped';

/** The search field of a screen, where `/` leads. Tells of what was typed when typing rests. */
export function SearchField({ label, value, onSearch }: { label: string; value: string; onSearch: (text: string) => void }) {
  const [text, type] = useTyped(value, onSearch);
  return (
    <TextInput
      data-search type="search" aria-label={label} placeholder={label} leftSection={<IconSearch size={16} />} w={330} maw="100%" value={text}
      onChange={(event) => type(event.currentTarget.value)}
      rightSection={text ? <CloseButton size="sm" aria-label="Clear" onClick={() => type('')} /> : null}
    />
  );
}
