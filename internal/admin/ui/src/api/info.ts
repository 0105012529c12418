import { $api, type Schemas } from './client';

/** What the server says of itself. */
export type Info = Schemas['Info'];

export function useInfo() {
  return $api.useQuery('get', '/manage/info', {}, { staleTime: 60_000 });
}
