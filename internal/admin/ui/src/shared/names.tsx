import { keepPreviousData, queryOptions, useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';

import { $api, api } from '../api/client';
import { nextCursor } from '../api/pages';

/** Names by id. Who is deleted has none. */
export type Names = Record<string, string>;

/** Names of tokens. */
export function useTokenNames(ids: string[]): Names {
  const wanted = [...new Set(ids)].sort();
  const { data } = $api.useQuery('get', '/manage/tokens', { params: { query: { id: wanted } } }, { enabled: wanted.length > 0, staleTime: 60_000, placeholderData: keepPreviousData });
  return useMemo(() => Object.fromEntries((data ?? []).map(({ id, name }) => [id, name])), [data]);
}

/** Names of projects: of all, as there are few. */
export const useProjectNames = (): Names => useQuery(projectNames).data ?? none;

export const projectNames = queryOptions({
  queryKey: ['get', '/manage/projects', 'names'],
  staleTime: 60_000,
  queryFn: async ({ signal }) => {
    const names: Names = {};
    let cursor: string | undefined;
    for (let page = 0; page < 20; page++) { // more than that are shown by their ids
      const { data: rows, response } = await api.GET('/manage/projects', { params: { query: { limit: 100, cursor } }, signal });
      (rows ?? []).forEach(({ project_id, name }) => { names[project_id] = name; });
      cursor = nextCursor(response.headers.get('Link'));
      if (!cursor) {
        break;
      }
    }
    return names;
  },
});

const none: Names = {};

/** A name, or how the id begins. */
export const nameOf = (names: Names, id: string) => names[id] || `${id.slice(0, 8)}…`;

/** The name of a project, its id where it has none any more. */
export function ProjectName({ id }: { id: string }) {
  return <span className="wrap" title={id}>{nameOf(useProjectNames(), id)}</span>;
}
