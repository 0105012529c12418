import { Text } from '@mantine/core';
import { useEffect, useState } from 'react';

import { formatLeft, formatRelative, formatTime } from './format';

/** The time, anew every `seconds`. */
export function useNow(seconds: number): Date {
  const [now, setNow] = useState(() => new Date());
  useEffect(() => {
    const tick = setInterval(() => setNow(new Date()), seconds * 1000);
    return () => clearInterval(tick);
  }, [seconds]);
  return now;
}

/** A moment that has been, seen from now, with the exact one on hover and for readers of the page's text. */
export function Time({ at }: { at: string | undefined }) {
  const now = useNow(30);
  const seen = at && new Date(at) > now ? new Date(at) : now; // what was read since the last tick is no future
  return at ? <time dateTime={at} title={formatTime(at)}>{formatRelative(at, seen)}</time> : <Text span c="dimmed" inherit>never</Text>;
}

/** What is left until a moment, counting down. */
export function Countdown({ until, over }: { until: string; over: string }) {
  const now = useNow(1);
  return <time dateTime={until} title={formatTime(until)}>{formatLeft(until, now) || over}</time>;
}
