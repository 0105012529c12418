import { CloseButton, TextInput } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { IconSearch } from '@tabler/icons-react';
import { useEffect, useRef, useState } from 'react';

/** The search field of a screen, where `/` leads. Tells of what was typed when typing rests. */
export function SearchField({ label, value, onSearch }: { label: string; value: string; onSearch: (text: string) => void }) {
  const [text, setText] = useState(value);
  const told = useRef(value);
  const tell = useDebouncedCallback((next: string) => {
    told.current = next;
    onSearch(next);
  }, 300);
  useEffect(() => {
    if (value !== told.current) { // the address has changed by itself, as with the browser's back
      told.current = value;
      setText(value);
    }
  }, [value]);
  const change = (next: string) => {
    setText(next);
    tell(next);
  };
  return (
    <TextInput
      data-search type="search" aria-label={label} placeholder={label} leftSection={<IconSearch size={16} />} w={280} maw="100%" value={text}
      onChange={(event) => change(event.currentTarget.value)}
      rightSection={text ? <CloseButton size="sm" aria-label="Clear" onClick={() => change('')} /> : null}
    />
  );
}
