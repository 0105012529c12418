import type { Schemas } from '../../api/client';

/** A bar of the chart: an hour or a day of UTC. */
export interface Bar {
  start: string;
  answered: number;
  errors: number;
}

const lengths = { hour: 3_600_000, day: 86_400_000 }; // milliseconds

/** The bars of a usage, with those in which nobody asked anything: they have no row. */
export function barsOf(usage: Pick<Schemas['Usage'], 'from' | 'to' | 'rows'>, bucket: 'hour' | 'day'): Bar[] {
  const step = lengths[bucket];
  const rows = new Map(usage.rows.map((row) => [Date.parse(row.start ?? ''), row]));
  const bars: Bar[] = [];
  for (let start = Math.floor(Date.parse(usage.from) / step) * step; start < Date.parse(usage.to); start += step) {
    const { requests = 0, errors = 0 } = rows.get(start) ?? {};
    bars.push({ start: new Date(start).toISOString(), answered: requests - errors, errors });
  }
  return bars;
}
