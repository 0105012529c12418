import { useQuery } from '@tanstack/react-query';

import { $api, type Schemas } from './client';

/** What the server says of itself. */
export type Info = Schemas['Info'];

export const askInfo = $api.queryOptions('get', '/manage/info', {}, { staleTime: 60_000 });

export const useInfo = () => useQuery(askInfo);
