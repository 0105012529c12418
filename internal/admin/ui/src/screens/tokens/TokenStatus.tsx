import { useEffect, useReducer } from 'react';

import { StatusBadge } from '../../shared/StatusBadge';
import { statusAt, type Token } from './token';

const tones = { active: 'good', exhausted: 'warn', expired: 'off', revoked: 'bad' } as const;

/** Whether a token works, and if not, why. Turns to expired by itself. */
export function TokenStatus({ token }: { token: Token }) {
  const [, again] = useReducer((n: number) => n + 1, 0);
  useEffect(() => {
    const wait = new Date(token.expires_at).getTime() - Date.now();
    const timer = wait > 0 && wait < 2 ** 31 ? setTimeout(again, wait + 10) : undefined;
    return () => clearTimeout(timer);
  }, [token.expires_at]);
  const status = statusAt(token, new Date());
  return <StatusBadge tone={tones[status]}>{status}</StatusBadge>;
}
