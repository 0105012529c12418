import dayjs from 'dayjs';
import relativeTime from 'dayjs/plugin/relativeTime';

dayjs.extend(relativeTime);

/** What stands where a figure is not known. It is never written as 0. */
export const unknown = 'unknown';

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat('en', { style: 'percent', maximumFractionDigits: 1 });
const dollars = new Map<number, Intl.NumberFormat>(); // by their digits: to make one takes longer than to write a hundred sums

function dollarsOf(digits: number): Intl.NumberFormat {
  const known = dollars.get(digits) ?? new Intl.NumberFormat('en', { style: 'currency', currency: 'USD', minimumFractionDigits: 2, maximumFractionDigits: digits });
  dollars.set(digits, known);
  return known;
}

/** 1234567 → "1,234,567" */
export const formatCount = (n: number | undefined | null) => (n == null ? unknown : whole.format(n));

/** 1234567 → "1.2M", for tiles and axes */
export const formatShort = (n: number | undefined | null) => (n == null ? unknown : n < 10_000 ? whole.format(n) : short.format(n));

/** A share of 0 to 1 → "12.5%" */
export const formatShare = (part: number, of: number) => (of > 0 ? percent.format(part / of) : unknown);

/** US dollars. Small sums keep two figures that say something: 0.000012 → "$0.000012"; nothing that costs something becomes $0.00. */
export function formatCost(usd: number | undefined | null): string {
  if (usd == null) {
    return unknown;
  }
  if (usd === 0) {
    return '$0.00';
  }
  const size = Math.abs(usd);
  const digits = size >= 0.995 ? 2 : Math.min(12, 1 - Math.floor(Math.log10(size)));
  return size < 1e-12 ? '< $0.000000000001' : dollarsOf(Math.max(2, digits)).format(usd);
}

/** The cost of requests of which some have no known price. Says how many, so that a sum over a part is not taken for the whole. */
export function formatCostOf(sum: { cost_usd?: number; priced?: number; requests: number }): string {
  const priced = sum.priced ?? 0;
  if (sum.requests > 0 && priced === 0) {
    return unknown;
  }
  const cost = formatCost(sum.cost_usd ?? (sum.requests === 0 ? 0 : undefined));
  return priced < sum.requests ? `${cost} for ${formatCount(priced)} of ${formatCount(sum.requests)}` : cost;
}

/** Whole milliseconds of a request, which the API leaves out where there is none. */
export const formatWhole = (ms: number | undefined) => (ms ? formatDuration(ms) : '< 1 ms');

/** Milliseconds → "850 µs", "12 ms", "1.24 s", "2 min 5 s" */
export function formatDuration(ms: number | undefined | null): string {
  if (ms == null) {
    return unknown;
  }
  if (ms > 0 && ms < 1) {
    return `${Math.round(ms * 1000)} µs`;
  }
  if (ms < 999.5) {
    return `${ms < 10 ? Number(ms.toFixed(1)) : Math.round(ms)} ms`;
  }
  if (ms < 59_995) {
    return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  }
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** Bytes → "1.2 kB" */
export function formatBytes(n: number | undefined | null): string {
  if (n == null) {
    return unknown;
  }
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  while (n >= 1000 && unit < units.length - 1) {
    n /= 1000;
    unit++;
  }
  return `${unit === 0 ? n : n.toFixed(1)} ${units[unit]}`;
}

/** A moment in the browser's time zone, to the second. */
export const formatTime = (at: string | Date) => dayjs(at).format('YYYY-MM-DD HH:mm:ss');

/** A moment seen from now: "in 3 hours", "2 minutes ago". */
export const formatRelative = (at: string | Date, now: Date = new Date()) => dayjs(at).from(now);

/** What is left until a moment, counting down: "6 d 4 h", "3 h 12 min", "4 min 10 s"; "" once it is over. */
export function formatLeft(until: string | Date, now: Date = new Date()): string {
  const seconds = Math.floor((new Date(until).getTime() - now.getTime()) / 1000);
  if (seconds <= 0) {
    return '';
  }
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([n]) => n > 0);
  return parts.slice(first, first + 2).filter(([n], i) => i === 0 || n > 0).map(([n, unit]) => `${n} ${unit}`).join(' ');
}
