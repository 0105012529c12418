import { useDebouncedCallback } from '@mantine/hooks';
import { useEffect, useRef, useState } from 'react';

/** How long typing rests before it is told of, in milliseconds. */
export const rest = 300;

/**
 * The text of a field whose value stands in the address: told of when typing rests, and read anew when the address changes by itself, as with
 * the browser's back. What was told comes back a while later; by then more may have been typed, which stays.
 */
export function useTyped(value: string, tell: (text: string) => void): [text: string, type: (text: string) => void] {
  const [text, setText] = useState(value);
  const told = useRef([value]); // the value as it was last, and what was told since
  const tellLater = useDebouncedCallback((next: string) => {
    told.current.push(next);
    tell(next);
  }, rest);
  useEffect(() => {
    const at = told.current.lastIndexOf(value);
    told.current = at < 0 ? [value] : told.current.slice(at);
    if (at < 0) {
      setText(value);
    }
  }, [value]);
  const type = (next: string) => {
    setText(next);
    tellLater(next.trim());
  };
  return [text, type];
}
