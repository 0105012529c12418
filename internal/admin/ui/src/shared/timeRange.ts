/** How far back a screen looks. It stands in the address: ?range=24h, or ?from=…&to=… */
export interface RangeSearch {
  range?: Preset;
  from?: string;
  to?: string;
}

export const presets = { '1h': 3600, '24h': 86_400, '7d': 7 * 86_400, '30d': 30 * 86_400 } as const; // in seconds
export type Preset = keyof typeof presets;
export const defaultPreset: Preset = '24h';

/** A time with both ends. `to` is not part of it. */
export interface TimeRange {
  preset: Preset | undefined; // undefined: given by its ends
  from: Date;
  to: Date;
  bucket: 'hour' | 'day'; // what a chart over it has room for
}

/** Reads a range out of what stands in an address. What cannot be read is as if it were not there. */
export function parseRange(search: Record<string, unknown>): RangeSearch {
  const time = (x: unknown) => (typeof x === 'string' && !Number.isNaN(Date.parse(x)) ? new Date(x).toISOString() : undefined);
  const from = time(search.from);
  const to = time(search.to);
  if (from && to && from < to) {
    return { from, to };
  }
  return typeof search.range === 'string' && Object.hasOwn(presets, search.range) ? { range: search.range as Preset } : {};
}

/** The times that a range means at a moment. A preset ends with the minute that runs, so that the same question is asked once a minute. */
export function rangeAt(search: RangeSearch, now: Date): TimeRange {
  if (search.from && search.to) {
    const [from, to] = [new Date(search.from), new Date(search.to)];
    return { preset: undefined, from, to, bucket: bucketOf(to.getTime() - from.getTime()) };
  }
  const preset = search.range ?? defaultPreset;
  const to = new Date(Math.ceil((now.getTime() + 1) / 60_000) * 60_000);
  const length = presets[preset] * 1000;
  return { preset, from: new Date(to.getTime() - length), to, bucket: bucketOf(length) };
}

/** The period of the same length just before, for "against the period before". */
export function before({ from, to }: Pick<TimeRange, 'from' | 'to'>): { from: Date; to: Date } {
  return { from: new Date(from.getTime() - (to.getTime() - from.getTime())), to: from };
}

const bucketOf = (ms: number) => (ms <= 3 * 86_400_000 ? 'hour' : 'day');
