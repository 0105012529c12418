import { MutationCache, QueryClient, type QueryKey } from '@tanstack/react-query';

import { toProblem } from './problem';

/** How long what was read counts as fresh, in milliseconds: going back and forth between screens asks nothing. */
const fresh = 5_000;

function newQueryClient(): QueryClient {
  const client: QueryClient = new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: fresh,
        retry: (failures, error) => failures < 2 && toProblem(error).passes,
        retryDelay: (failures, error) => Math.min(toProblem(error).retryAfter ?? failures + 1, 5) * 1000,
      },
      mutations: { retry: false }, // a change is sent once
    },
    // After each change that was made all that shows is asked for anew: few things here are not seen in another place too. So it is after one
    // that was refused because things are not what is shown.
    mutationCache: new MutationCache({
      onSettled: (_, error) => {
        if (!error || toProblem(error).outdated) {
          void client.invalidateQueries();
        }
      },
    }),
  });
  return client;
}

/** What this page has read. */
export const queries = newQueryClient();

/** The key of what `$api.useQuery` and `usePages` have read from a path. */
export const keyOf = (path: string): QueryKey => ['get', path];
