import { Group, Radio, Stack, TextInput } from '@mantine/core';
import type { ReactNode } from 'react';

import { formatTime } from '../../shared/format';
import { useNow } from '../../shared/Time';
import { lifetimes, momentOf, type Ending } from './token';

interface Props {
  label: string;
  value: Ending;
  onChange: (next: Ending) => void;
  error?: ReactNode;
  longestMinutes: number;
  keep?: string; // what it says that leaves the end as it is
}

/** When a token ends: some time from now, or at a moment. */
export function EndingField({ label, value, onChange, error, longestMinutes, keep }: Props) {
  const now = useNow(1);
  const offered = lifetimes.filter(({ minutes }) => minutes <= longestMinutes);
  const until = value.choice === 'keep' || value.choice === 'custom' ? undefined : momentOf(value, now);
  return (
    <Stack gap="xs">
      <Radio.Group
        label={label} description={until ? `Until ${formatTime(until)}` : undefined} error={value.choice === 'custom' ? undefined : error}
        value={value.choice} onChange={(choice) => onChange({ ...value, choice: choice as Ending['choice'] })}
      >
        <Group mt="xs">
          {keep && <Radio value="keep" label={keep} />}
          {offered.map(({ minutes, label: text }) => <Radio key={minutes} value={String(minutes)} label={text} />)}
          <Radio value="custom" label="Custom" />
        </Group>
      </Radio.Group>
      {value.choice === 'custom' && (
        <TextInput
          type="datetime-local" step={1} label="Ends at" description={`In your time zone, ${Intl.DateTimeFormat().resolvedOptions().timeZone}`}
          value={value.at.replace(' ', 'T')} error={error} onChange={(event) => onChange({ ...value, at: event.currentTarget.value })}
        />
      )}
    </Stack>
  );
}
