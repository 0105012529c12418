/** What the address of the tokens screen says: ?q=cron&project=<id>&status=active&within=24h&create=true */
export interface TokensSearch {
  q?: string;
  project?: string;
  status?: TokenStatus;
  within?: Within;
  create?: boolean;
}

export const statuses = ['active', 'exhausted', 'expired', 'revoked'] as const;
export type TokenStatus = (typeof statuses)[number];

/** Tokens that end soon. */
export const withins = ['1h', '24h', '7d'] as const;
export type Within = (typeof withins)[number];

const oneOf = <T extends string>(all: readonly T[], x: unknown) => all.find((one) => one === x);

export function parseTokensSearch(search: Record<string, unknown>): TokensSearch {
  return {
    q: typeof search.q === 'string' || typeof search.q === 'number' ? String(search.q) : undefined,
    project: typeof search.project === 'string' ? search.project : undefined,
    status: oneOf(statuses, search.status),
    within: oneOf(withins, search.within),
    create: search.create === true ? true : undefined,
  };
}
