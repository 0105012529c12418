import dayjs from 'dayjs';

import type { Schemas } from '../../api/client';
import { Problem, toProblem } from '../../api/problem';
import { formatCount } from '../../shared/format';

export type Token = Schemas['Token'];

/** What a new token's life can be chosen from, in minutes. */
export const lifetimes = [
  { minutes: 15, label: '15 minutes' },
  { minutes: 60, label: '1 hour' },
  { minutes: 24 * 60, label: '1 day' },
  { minutes: 30 * 24 * 60, label: '30 days' },
] as const;

/** The end of a token's life as a form has it: as it is, after so many minutes, or at a moment of the browser's time zone. */
export interface Ending {
  choice: 'keep' | `${number}` | 'custom';
  at: string; // of 'custom': YYYY-MM-DD HH:mm:ss
}

/** What is wrong with an ending, before anybody is asked. */
export function endingError({ choice, at }: Ending, longestMinutes: number, now = new Date()): string | null {
  if (choice !== 'custom') {
    return null;
  }
  const minutes = at ? dayjs(at).diff(now, 'minute', true) : NaN;
  if (Number.isNaN(minutes)) {
    return 'Choose a date and a time';
  }
  if (minutes <= 0) {
    return 'Lies in the past; to end a token now, revoke it';
  }
  return minutes > longestMinutes ? `At most ${formatCount(Math.floor(longestMinutes / 60))} hours from now` : null;
}

/** How long a new token lives, in whole minutes; never shorter than was asked for. */
export function minutesOf({ choice, at }: Ending, now = new Date()): number {
  return choice === 'custom' ? Math.max(1, Math.ceil(dayjs(at).diff(now, 'minute', true))) : Number(choice);
}

/** When a token ends that is extended now. */
export function momentOf({ choice, at }: Ending, now = new Date()): string {
  return (choice === 'custom' ? dayjs(at) : dayjs(now).add(Number(choice), 'minute')).toISOString();
}

/** The fields of both forms. A cap that is empty is none. */
export interface TokenValues {
  name: string;
  ending: Ending;
  max_requests: number | '';
  requests_per_hour: number | '';
  [field: string]: unknown;
}

export interface NewTokenValues extends TokenValues {
  project_id: string;
}

const cap = (n: number | '') => (n === '' ? null : n);

/** Both caps are always said: what is empty on the screen is no cap, not what the installation would put there. */
export function newToken(v: NewTokenValues, now = new Date()): Schemas['NewToken'] {
  return {
    project_id: v.project_id, duration_minutes: minutesOf(v.ending, now), max_requests: cap(v.max_requests), requests_per_hour: cap(v.requests_per_hour),
    ...(v.name.trim() && { name: v.name.trim() }),
  };
}

export const valuesOf = (t: Token): TokenValues => ({
  name: t.name, ending: { choice: 'keep', at: '' }, max_requests: t.max_requests ?? '', requests_per_hour: t.requests_per_hour ?? '',
});

/** What of a token has changed: a field that is absent stays as it is. */
export function tokenChange(was: Token, v: TokenValues, now = new Date()): Schemas['TokenChange'] {
  return {
    ...(v.name.trim() !== was.name && { name: v.name.trim() || null }),
    ...(v.ending.choice !== 'keep' && { expires_at: momentOf(v.ending, now) }),
    ...(cap(v.max_requests) !== was.max_requests && { max_requests: cap(v.max_requests) }),
    ...(cap(v.requests_per_hour) !== was.requests_per_hour && { requests_per_hour: cap(v.requests_per_hour) }),
  };
}

/** The state of a token now. It may have expired since it was read; the rest only the server knows. */
export function statusAt(t: Pick<Token, 'status' | 'expires_at'>, now: Date): Token['status'] {
  return t.status !== 'revoked' && new Date(t.expires_at) <= now ? 'expired' : t.status;
}

/** What a token is called in sentences: many have no name. */
export const titleOf = (t: Pick<Token, 'id' | 'name'>) => t.name || `Token ${t.id.slice(0, 8)}`;

/** A problem as the forms have it: what it says of a token's end belongs to their field for that. */
export function endingProblem(error: unknown): Problem {
  const { status, title, detail, errors, requestID, retryAfter } = toProblem(error);
  const renamed = errors.map(({ field, message }) => ({ field: field === 'expires_at' || field === 'duration_minutes' ? 'ending' : field, message }));
  return new Problem({ status, title, detail, errors: renamed }, { requestID, retryAfter });
}

/** The fields of both forms, for what a problem says of them. */
export const tokenFields = ['name', 'ending', 'max_requests', 'requests_per_hour'] as const;
