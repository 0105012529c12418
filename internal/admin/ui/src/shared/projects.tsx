import { Select, type SelectProps } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useState } from 'react';

import { $api, type Schemas } from '../api/client';
import { nameOf } from './names';

const remembered = { staleTime: 60_000 }; // milliseconds; a change made here is seen at once all the same

/** A project by its id: of the newest hundred, which most installations have all of, or asked for by itself. Undefined while it comes, or where it is not there. */
export function useProject(id: string | undefined): Schemas['Project'] | undefined {
  const newest = $api.useQuery('get', '/manage/projects', {}, remembered);
  const among = newest.data?.find((p) => p.project_id === id);
  const asked = $api.useQuery('get', '/manage/projects/{id}', { params: { path: { id: id ?? '' } } }, { ...remembered, enabled: !!id && newest.isSuccess && !among });
  return among ?? asked.data;
}

interface Props extends Omit<SelectProps, 'data' | 'value' | 'onChange' | 'searchable' | 'filter'> {
  value: string | undefined; // an id
  onChange: (id: string | undefined) => void;
}

/** Chooses a project; what is typed is searched for on the server, as there may be many. */
export function ProjectSelect({ value, onChange, ...props }: Props) {
  const [typed, setTyped] = useState('');
  const [q] = useDebouncedValue(typed.trim(), 300);
  const chosen = useProject(value);
  const searching = !!q && q !== chosen?.name;
  const found = $api.useQuery('get', '/manage/projects', searching ? { params: { query: { q } } } : {}, remembered);
  const projects = (found.data ?? []).filter((p) => p.project_id !== value).map((p) => ({ value: p.project_id, label: p.name }));
  return (
    <Select
      searchable data={value ? [{ value, label: chosen?.name ?? nameOf({}, value) }, ...projects] : projects} value={value ?? null} onChange={(id) => onChange(id ?? undefined)}
      onSearchChange={setTyped} filter={({ options }) => options} // the server has done it
      nothingFoundMessage={found.isFetching ? 'Searching' : 'No project is called that'} {...props}
    />
  );
}
