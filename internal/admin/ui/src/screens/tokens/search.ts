/** What the address of the tokens screen says: ?q=cron&project=<id>&status=active&within=24h&sort=name&create=true */
export interface TokensSearch {
  q?: string;
  project?: string;
  status?: TokenStatus;
  within?: Within;
  sort?: Order;
  create?: boolean;
}

export const statuses = ['active', 'exhausted', 'expired', 'revoked'] as const;
export type TokenStatus = (typeof statuses)[number];

/** Tokens that end soon. */
export const withins = ['1h', '24h', '7d'] as const;
export type Within = (typeof withins)[number];

/** What the list is sorted by, as the API has it; without one, the newest come first. */
export const orders = { name: 'Name', expires_at: 'Ends soonest', '-request_count': 'Most used', '-last_used_at': 'Used last', last_used_at: 'Longest unused' } as const;
export type Order = keyof typeof orders;

const oneOf = <T extends string>(all: readonly T[], x: unknown) => all.find((one) => one === x);

export function parseTokensSearch(search: Record<string, unknown>): TokensSearch {
  return {
    q: typeof search.q === 'string' || typeof search.q === 'number' ? String(search.q) : undefined,
    project: typeof search.project === 'string' ? search.project : undefined,
    status: oneOf(statuses, search.status),
    within: oneOf(withins, search.within),
    sort: oneOf(Object.keys(orders) as Order[], search.sort),
    create: search.create === true ? true : undefined,
  };
}
