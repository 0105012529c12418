import dayjs from 'dayjs';
import utc from 'dayjs/plugin/utc';

import type { Schemas } from '../api/client';

dayjs.extend(utc);
const hour = 3_600_000;

/** A point of a chart: its time, and its figures by the names of their series. */
export type Point = { start: string } & Record<string, string | number | null>;

/** The hours or days of a period, each with what its rows say; those without a row have nothing. */
export function pointsOver(usage: Schemas['Usage'], fill: (rows: Schemas['UsageRow'][]) => Record<string, number | null>): Point[] {
  const step = usage.bucket === 'day' ? 24 * hour : hour;
  const rows = new Map<number, Schemas['UsageRow'][]>();
  for (const row of usage.rows) {
    const at = Date.parse(row.start ?? usage.from);
    rows.set(at, [...(rows.get(at) ?? []), row]);
  }
  const points: Point[] = [];
  for (let at = Math.floor(Date.parse(usage.from) / step) * step; at < Date.parse(usage.to); at += step) {
    points.push({ start: new Date(at).toISOString(), ...fill(rows.get(at) ?? []) });
  }
  return points;
}

/** The time of a point as a chart writes it. Hours are those of the browser's zone, days are those of the ledger, of UTC. */
export const momentText = (bucket: 'hour' | 'day') => moments[bucket];

const moments = {
  hour: (start: string) => dayjs(start).format('MM-DD HH:mm'),
  day: (start: string) => dayjs.utc(start).format('YYYY-MM-DD'),
};
