import { $api, type Schemas } from './client';

/** What the server says of itself. */
export type Info = Schemas['Info'] & { demo?: boolean };

export function useInfo() {
  const result = $api.useQuery('get', '/manage/info', {}, { staleTime: 60_000 });
  return { ...result, data: result.data as Info | undefined };
}
