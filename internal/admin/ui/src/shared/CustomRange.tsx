import { Button, Stack, Text, TextInput } from '@mantine/core';
import dayjs from 'dayjs';
import { useState } from 'react';

import type { TimeRange } from './timeRange';

/** Two moments to pick, in the browser's own fields: they have a calendar, know the reader's way of writing dates, and speak to screen readers. */
export function CustomRange({ range, onPick }: { range: TimeRange; onPick: (from: string, to: string) => void }) {
  const text = (at: Date) => dayjs(at).format('YYYY-MM-DDTHH:mm:ss');
  const [from, setFrom] = useState(text(range.from));
  const [to, setTo] = useState(text(range.to));
  const right = !!from && !!to && dayjs(from).isBefore(to);
  const field = { type: 'datetime-local', step: 1 };
  return (
    <Stack gap="sm">
      <TextInput label="From" value={from} onChange={(event) => setFrom(event.currentTarget.value)} {...field} />
      <TextInput label="To" value={to} onChange={(event) => setTo(event.currentTarget.value)} {...field} error={right ? undefined : 'Must be after From'} />
      <Text size="xs" c="dimmed">In your time zone, {Intl.DateTimeFormat().resolvedOptions().timeZone}</Text>
      <Button disabled={!right} onClick={() => onPick(dayjs(from).toISOString(), dayjs(to).toISOString())}>Show</Button>
    </Stack>
  );
}
