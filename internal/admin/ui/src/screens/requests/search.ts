import type { ListQuery } from '../../api/pages';
import type { HeldRange } from '../../shared/heldRange';

type Filter = Omit<ListQuery<'/manage/requests'>, 'from' | 'to'>;

/** What the address of the requests screen says beside the time range: ?status=5xx&open=<id> */
export interface RequestsSearch extends Filter {
  open?: string; // the request whose details show
}

export const outcomes = {
  complete: 'The answer of the provider reached its end, whatever its status.',
  cut: 'The answer of the provider broke off after its head.',
  client_gone: 'The caller left before the end.',
  deadline: 'A deadline of the proxy ended it.',
  refused: 'The proxy answered; the provider was not asked.',
  upstream_error: 'The provider gave no usable answer.',
  lost: 'The proxy ended while the request was under way.',
} as const;

export const statuses = ['2xx', '3xx', '4xx', '5xx', '400', '401', '403', '404', '408', '413', '429', '500', '502', '503', '504'];

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
export const isID = (text: string) => uuid.test(text);

/** Reads the search of an address. What the API would not take is as if it were not there. */
export function parseRequestsSearch(search: Record<string, unknown>): RequestsSearch {
  const text = (x: unknown) => (typeof x === 'string' || typeof x === 'number' ? String(x) : '');
  const id = (x: unknown) => (isID(text(x)) ? text(x) : undefined);
  const outcome = text(search.outcome);
  return {
    project_id: id(search.project_id),
    token_id: id(search.token_id),
    model: text(search.model).slice(0, 200) || undefined,
    status: /^[1-5](\d\d|xx)$/.test(text(search.status)) ? text(search.status) : undefined,
    outcome: Object.hasOwn(outcomes, outcome) ? (outcome as keyof typeof outcomes) : undefined,
    open: id(search.open),
  };
}

/** What the API is asked for. */
export const queryOf = ({ open: _, ...filter }: RequestsSearch, { from, to }: HeldRange): ListQuery<'/manage/requests'> => ({
  project_id: filter.project_id, token_id: filter.token_id, model: filter.model, status: filter.status, outcome: filter.outcome, from, to,
});

/** Where all requests that fit are, as a file. */
export function exportURL(format: 'csv' | 'jsonl', search: RequestsSearch, range: HeldRange): string {
  const query = new URLSearchParams({ format });
  for (const [name, value] of Object.entries(queryOf(search, range))) {
    if (value !== undefined) {
      query.set(name, String(value));
    }
  }
  return `/manage/requests?${query}`;
}
