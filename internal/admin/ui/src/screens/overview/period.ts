import { before, type TimeRange } from '../../shared/timeRange';

const hour = 3_600_000;

/** The whole hours that a range touches, which is what the ledger adds up, and as many just before. */
export function wholeHours(range: Pick<TimeRange, 'from' | 'to'>): { now: Period; then: Period } {
  const from = new Date(Math.floor(range.from.getTime() / hour) * hour);
  const to = new Date(Math.ceil(range.to.getTime() / hour) * hour);
  const now = { from, to };
  const write = (p: { from: Date; to: Date }) => ({ from: p.from.toISOString(), to: p.to.toISOString() });
  return { now: write(now), then: write(before(now)) };
}

/** A time as the API is asked for it. */
export interface Period {
  from: string;
  to: string;
}
