import { keepPreviousData, useInfiniteQuery } from '@tanstack/react-query';

import { api } from './client';
import type { paths } from './schema.gen';

type ListPath = '/manage/projects' | '/manage/tokens' | '/manage/requests' | '/manage/audit';
export type ListQuery<P extends ListPath> = Omit<NonNullable<paths[P]['get']['parameters']['query']>, 'cursor' | 'limit' | 'format'>;
export type ListRow<P extends ListPath> = paths[P]['get']['responses'][200]['content']['application/json'] extends (infer Row)[] | null ? Row : never;

/** A list of the API, page after page. */
export interface Pages<Row> {
  rows: Row[];
  loading: boolean; // nothing is there yet
  fetching: boolean; // something is on its way
  error: unknown;
  more: boolean; // there is another page
  loadMore: () => void;
  refetch: () => void;
}

/** The cursor of the next page, from a Link header; undefined on the last one. */
export function nextCursor(link: string | null): string | undefined {
  for (const [, target = '', params = ''] of (link ?? '').matchAll(/<([^>]*)>([^,]*)/g)) {
    if (/;\s*rel="?next"?/.test(params)) {
      return new URL(target, 'http://any.invalid').searchParams.get('cursor') ?? undefined;
    }
  }
  return undefined;
}

/** Reads a list of the API. Invalidate it by its path: `['get', '/manage/projects']`. */
export function usePages<P extends ListPath>(path: P, query: ListQuery<P>, limit = 50): Pages<ListRow<P>> {
  const result = useInfiniteQuery({
    queryKey: ['get', path, 'pages', query, limit],
    initialPageParam: undefined as string | undefined,
    placeholderData: keepPreviousData,
    queryFn: async ({ pageParam, signal }) => {
      // The client's types are a union over paths, more than the compiler follows for a path that is a parameter.
      const get = api.GET as (path: string, init: unknown) => Promise<{ data?: unknown; response: Response }>;
      const { data, response } = await get(path, { params: { query: { ...query, limit, cursor: pageParam } }, signal });
      return { rows: (data ?? []) as ListRow<P>[], next: nextCursor(response.headers.get('Link')) };
    },
    getNextPageParam: (page) => page.next,
  });
  return {
    rows: result.data?.pages.flatMap((page) => page.rows) ?? [],
    loading: result.isPending,
    fetching: result.isFetching,
    error: result.error,
    more: result.hasNextPage,
    loadMore: () => void result.fetchNextPage(),
    refetch: () => void result.refetch(),
  };
}
