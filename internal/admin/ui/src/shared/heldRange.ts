import { useSearch } from '@tanstack/react-router';
import { useMemo } from 'react';

import { rangeAt, type RangeSearch } from './timeRange';

/** A time as a list is asked for it. */
export interface HeldRange {
  from: string;
  to: string | undefined;
}

/**
 * The range of the address for a list that is read page after page: it stays where it was when it was chosen, as a range that moves on would
 * begin the list anew each minute. A preset has no end, so that what comes is in it.
 */
export function useHeldRange(): HeldRange {
  const search: RangeSearch = useSearch({ from: '__root__' });
  return useMemo(() => {
    const { preset, from, to } = rangeAt({ range: search.range, from: search.from, to: search.to }, new Date());
    return { from: from.toISOString(), to: preset ? undefined : to.toISOString() };
  }, [search.range, search.from, search.to]);
}
