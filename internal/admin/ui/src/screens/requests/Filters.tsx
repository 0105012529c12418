import { Autocomplete, Button, Group, Select, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { IconSearch } from '@tabler/icons-react';
import { keepPreviousData } from '@tanstack/react-query';
import { useState } from 'react';

import { $api } from '../../api/client';
import { nameOf, useTokenNames } from '../../shared/names';
import { ProjectSelect } from '../../shared/projects';
import { useTyped } from '../../shared/useTyped';
import { isID, outcomes, statuses, type RequestsSearch } from './search';

/** What narrows the list. All of it stands in the address. */
export function Filters({ search, go }: { search: RequestsSearch; go: (change: RequestsSearch) => void }) {
  const filtered = !!(search.project_id ?? search.token_id ?? search.model ?? search.status ?? search.outcome);
  const one = (value: string | undefined, list: readonly string[]) => (value && !list.includes(value) ? [value, ...list] : [...list]);
  return (
    <Group gap="sm" align="flex-end">
      <ByID onOpen={(id) => go({ open: id })} />
      <ProjectSelect w={180} label="Project" placeholder="any" clearable value={search.project_id} onChange={(project_id) => go({ project_id, token_id: undefined })} />
      <TokenSelect value={search.token_id} project={search.project_id} onChange={(token_id) => go({ token_id })} />
      <ModelField value={search.model} onChange={(model) => go({ model })} />
      <Select w={120} label="Status" placeholder="any" clearable searchable data={one(search.status, statuses)} value={search.status ?? null} onChange={(status) => go({ status: status ?? undefined })} />
      <Select
        w={160} label="Outcome" placeholder="any" clearable value={search.outcome ?? null} onChange={(outcome) => go({ outcome: (outcome as RequestsSearch['outcome']) ?? undefined })}
        data={Object.keys(outcomes).map((value) => ({ value, label: value.replaceAll('_', ' ') }))}
      />
      {filtered && <Button variant="default" onClick={() => go({ project_id: undefined, token_id: undefined, model: undefined, status: undefined, outcome: undefined })}>Clear</Button>}
    </Group>
  );
}

/** Opens the request of an id, as X-Llm-Proxy-Request-Id of an answer says it. */
function ByID({ onOpen }: { onOpen: (id: string) => void }) {
  const [text, setText] = useState('');
  const [wrong, setWrong] = useState(false);
  return (
    <form onSubmit={(event) => { event.preventDefault(); setWrong(!isID(text)); if (isID(text)) { onOpen(text); } }}>
      <TextInput
        data-search w={330} maw="100%" label="Request id" placeholder="of X-Llm-Proxy-Request-Id" leftSection={<IconSearch size={16} />} value={text} error={wrong && 'Not the id of a request'}
        onChange={(event) => { setText(event.currentTarget.value.trim()); setWrong(false); }}
      />
    </form>
  );
}

/** Finds a token by a part of its name: there may be very many. */
function TokenSelect({ value, project, onChange }: { value: string | undefined; project: string | undefined; onChange: (id: string | undefined) => void }) {
  const [typed, setTyped] = useState('');
  const names = useTokenNames(value ? [value] : []);
  const chosen = value ? nameOf(names, value) : '';
  const [q] = useDebouncedValue(typed === chosen ? '' : typed, 300);
  const { data } = $api.useQuery(
    'get', '/manage/tokens', { params: { query: { project_id: project, q: q.slice(0, 100) || undefined, limit: 30 } } }, { staleTime: 30_000, placeholderData: keepPreviousData },
  );
  const found = (data ?? []).filter(({ id }) => id !== value).map(({ id, name }) => ({ value: id, label: name || nameOf({}, id) }));
  return (
    <Select
      w={180} label="Token" placeholder="any" clearable searchable filter={({ options }) => options} nothingFoundMessage="None is called that"
      value={value ?? null} data={value ? [{ value, label: chosen }, ...found] : found} onSearchChange={setTyped} onChange={(id) => onChange(id ?? undefined)}
    />
  );
}

function ModelField({ value, onChange }: { value: string | undefined; onChange: (model: string | undefined) => void }) {
  const [text, type] = useTyped(value ?? '', (model) => onChange(model || undefined));
  const { data } = $api.useQuery('get', '/manage/usage', { params: { query: { group_by: ['model'], top: 50 } } }, { staleTime: 60_000 });
  return (
    <Autocomplete
      w={180} label="Model" placeholder="any" clearable maxLength={200} data={[...new Set((data?.rows ?? []).flatMap(({ model }) => model ?? []))]} value={text} onChange={type}
    />
  );
}
