import createFetchClient, { type Middleware } from 'openapi-fetch';
import createQueryClient from 'openapi-react-query';

import { sessionEnded } from '../session/session';
import { problemOf, toProblem } from './problem';
import type { components, paths } from './schema.gen';

/** The types of the management API by name: `Schemas['Project']`. */
export type Schemas = components['schemas'];

/** The one place where answers that are no success are handled: a session that is over leads to sign-in, the rest is thrown as a Problem. */
const problems: Middleware = {
  async onResponse({ response }) {
    if (response.ok) {
      return undefined;
    }
    if (response.status === 401) {
      sessionEnded();
    }
    throw await problemOf(response);
  },
  onError({ error }) {
    return error instanceof DOMException && error.name === 'AbortError' ? undefined : toProblem(error); // who gave up needs no problem
  },
};

/** The management API. Calls either give `data` or throw a Problem. */
export const api = createFetchClient<paths>({
  baseUrl: window.location.origin, credentials: 'same-origin', fetch: (request) => window.fetch(request),
  querySerializer: { array: { style: 'form', explode: false } }, // joined by commas
});
api.use(problems);

/** The same as hooks of TanStack Query: `$api.useQuery('get', '/manage/info')`. */
export const $api = createQueryClient(api);

/** The If-Match of a change: it is refused (412) if somebody else made one since this was read. */
export const ifMatch = (of: { revision: number }) => ({ 'If-Match': `"${of.revision}"` });

/** A key that makes one of requests that are sent again. */
export function idempotencyKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');
}
