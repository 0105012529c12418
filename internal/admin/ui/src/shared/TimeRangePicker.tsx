import { Button, Group, Popover, SegmentedControl } from '@mantine/core';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useMemo, useState } from 'react';

import { CustomRange } from './CustomRange';
import { useNow } from './Time';
import { formatTime } from './format';
import { presets, rangeAt, type Preset, type RangeSearch, type TimeRange } from './timeRange';

/** The range that the address has; it moves on with the clock. */
export function useTimeRange(): TimeRange {
  const search: RangeSearch = useSearch({ from: '__root__' });
  const minute = Math.floor(useNow(15).getTime() / 60_000);
  return useMemo(() => rangeAt({ range: search.range, from: search.from, to: search.to }, new Date(minute * 60_000)), [search.range, search.from, search.to, minute]);
}

/** How far back a screen looks: an hour, a day, a week, a month, or any two moments. Kept in the address from screen to screen. */
export function TimeRangePicker() {
  const range = useTimeRange();
  const navigate = useNavigate();
  const [opened, setOpened] = useState(false);
  const go = (next: RangeSearch) => void navigate({ to: '.', search: (old: object) => ({ ...old, range: undefined, from: undefined, to: undefined, ...next }) });
  return (
    <Group gap="xs">
      <SegmentedControl
        aria-label="Time range" data={[...Object.keys(presets)]} value={range.preset ?? ''} onChange={(preset) => go({ range: preset as Preset })}
      />
      <Popover opened={opened} onChange={setOpened} position="bottom-end" withArrow trapFocus>
        <Popover.Target>
          <Button variant={range.preset ? 'default' : 'light'} onClick={() => setOpened(!opened)} aria-expanded={opened}>
            {range.preset ? 'Custom' : `${formatTime(range.from).slice(0, 16)} – ${formatTime(range.to).slice(0, 16)}`}
          </Button>
        </Popover.Target>
        <Popover.Dropdown>
          <CustomRange range={range} onPick={(from, to) => { go({ from, to }); setOpened(false); }} />
        </Popover.Dropdown>
      </Popover>
    </Group>
  );
}
