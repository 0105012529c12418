import { Button, Group, Pill, Popover, SegmentedControl, Select, Stack, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { IconFilter } from '@tabler/icons-react';
import { useState } from 'react';

import { SearchField } from '../../shared/SearchField';
import { TimeRangePicker } from '../../shared/TimeRangePicker';
import { actions } from './entry';
import { exactFilters, isID, type AuditSearch, type ExactFilter } from './search';

interface Props {
  search: AuditSearch;
  go: (change: AuditSearch) => void;
}

export function AuditFilters({ search, go }: Props) {
  const chosen = (Object.keys(exactFilters) as ExactFilter[]).filter((name) => search[name]);
  return (
    <Stack gap="sm">
      <Group>
        <SearchField label="Search action, actor, reason or value" value={search.q ?? ''} onSearch={(q) => go({ q: q || undefined })} />
        <TimeRangePicker />
      </Group>
      <Group>
        <SegmentedControl
          aria-label="Outcome" data={[{ value: '', label: 'All' }, { value: 'done', label: 'Done' }, { value: 'refused', label: 'Refused' }]}
          value={search.outcome ?? ''} onChange={(value) => go({ outcome: (value || undefined) as AuditSearch['outcome'] })}
        />
        <Select
          aria-label="Action" placeholder="Any action" searchable clearable clearButtonProps={{ 'aria-label': 'Any action' }} maw="100%"
          data={search.action && !actions.includes(search.action) ? [search.action, ...actions] : actions}
          value={search.action ?? null} onChange={(action) => go({ action: action ?? undefined })}
        />
        <ExactFilters search={search} go={go} />
      </Group>
      {chosen.length > 0 && (
        <Group gap="xs">
          {chosen.map((name) => (
            <Pill key={name} withRemoveButton maw="100%" removeButtonProps={{ 'aria-label': `Without the filter ${exactFilters[name]}`, tabIndex: 0, 'aria-hidden': false }} onRemove={() => go({ [name]: undefined })}>
              {exactFilters[name]}: {search[name]}
            </Pill>
          ))}
        </Group>
      )}
    </Stack>
  );
}

/** Filters for what somebody has from elsewhere: an id out of a log, a user's name. */
function ExactFilters(props: Props) {
  const [opened, setOpened] = useState(false);
  return (
    <Popover opened={opened} onChange={setOpened} position="bottom-start" withArrow trapFocus width={340}>
      <Popover.Target><Button variant="default" leftSection={<IconFilter size={16} />} aria-expanded={opened} onClick={() => setOpened(!opened)}>More filters</Button></Popover.Target>
      <Popover.Dropdown><ExactForm {...props} onDone={() => setOpened(false)} /></Popover.Dropdown>
    </Popover>
  );
}

function ExactForm({ search, go, onDone }: Props & { onDone: () => void }) {
  const id = (text: string) => (text.trim() === '' || isID(text.trim()) ? null : 'This is no id, such as 019ac1f0-…');
  const form = useForm<Record<ExactFilter, string>>({
    initialValues: { actor: search.actor ?? '', project_id: search.project_id ?? '', token_id: search.token_id ?? '', request_id: search.request_id ?? '' },
    validate: { project_id: id, token_id: id },
  });
  const apply = (values: Record<ExactFilter, string>) => {
    go(Object.fromEntries(Object.entries(values).map(([name, text]) => [name, text.trim() || undefined])));
    onDone();
  };
  return (
    <form onSubmit={form.onSubmit(apply)}>
      <Stack gap="sm">
        <TextInput label="Actor" description="token, admin:<user>, local or unknown" maxLength={200} {...form.getInputProps('actor')} />
        <TextInput label="Project id" {...form.getInputProps('project_id')} />
        <TextInput label="Token id" {...form.getInputProps('token_id')} />
        <TextInput label="Request id" maxLength={100} {...form.getInputProps('request_id')} />
        <Button type="submit">Show</Button>
      </Stack>
    </form>
  );
}
