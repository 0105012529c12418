import type { Schemas } from '../../api/client';
import { formatCost, formatCostOf, formatDuration, formatShare, formatShort, unknown } from '../../shared/format';

type Tally = Schemas['Tally'];

/** A figure of a tile. */
export interface Figure {
  label: string;
  text: string;
  change: string; // against the period before; "" where one of the two is not known
  hint?: string; // what else there is to say
  worse?: boolean; // it went up and should not
}

/** Usage of requests of which some may have told none: what is known, and of how many. */
export function formatUsageOf(sum: { metered: number; requests: number }, units: number | undefined): string {
  if (sum.requests > 0 && sum.metered === 0) {
    return unknown;
  }
  const text = formatShort(units ?? (sum.requests === 0 ? 0 : undefined));
  return sum.metered < sum.requests ? `${text} for ${formatShort(sum.metered)} of ${formatShort(sum.requests)}` : text;
}

/** By how much a figure has changed, such as "+25%". */
export function changeOf(now: number | undefined, then: number | undefined): string {
  if (now === undefined || then === undefined) {
    return '';
  }
  if (then === 0) {
    return now === 0 ? 'as before' : 'none before';
  }
  const share = now / then - 1;
  return Math.abs(share) < 0.0005 ? 'as before' : `${share > 0 ? '+' : '−'}${formatShare(Math.abs(share), 1)}`;
}

export function figuresOf(now: Tally, then: Tally | undefined): Figure[] {
  const units = (of: Tally | undefined, name: 'input' | 'output') => (of && of.metered === of.requests ? of.usage[name] ?? (of.requests === 0 ? 0 : undefined) : undefined);
  const cost = (of: Tally | undefined) => (of && of.priced === of.requests ? of.cost_usd ?? (of.requests === 0 ? 0 : undefined) : undefined);
  const rate = (of: Tally) => of.errors / of.requests;
  const usage = (label: string, name: 'input' | 'output'): Figure => ({
    label, text: formatUsageOf(now, now.usage[name]), change: changeOf(units(now, name), units(then, name)), hint: now.estimated > 0 ? `${formatShort(now.estimated)} estimated` : '',
  });
  const time = (label: string, of: 'latency_ms' | 'first_byte_ms', p: 'p50' | 'p95'): Figure => ({
    label, text: formatDuration(now[of]?.[p]), change: changeOf(now[of]?.[p], then?.[of]?.[p]), worse: (now[of]?.[p] ?? 0) > (then?.[of]?.[p] ?? Infinity),
  });
  return [
    { label: 'Requests', text: formatShort(now.requests), change: changeOf(now.requests, then?.requests) },
    {
      label: 'Error rate', text: now.requests > 0 ? formatShare(now.errors, now.requests) : 'no requests', hint: now.errors === 1 ? '1 error' : `${formatShort(now.errors)} errors`,
      change: then && now.requests > 0 && then.requests > 0 ? pointsOf(rate(now) - rate(then)) : '', worse: !!then && then.requests > 0 && rate(now) > rate(then),
    },
    usage('Usage in', 'input'),
    usage('Usage out', 'output'),
    { label: 'Cost', text: formatCostOf(now), change: changeOf(cost(now), cost(then)) },
    time('Latency, median', 'latency_ms', 'p50'),
    time('Latency, 95 %', 'latency_ms', 'p95'),
    time('First byte, median', 'first_byte_ms', 'p50'),
  ];
}

const pointsOf = (share: number) => (Math.abs(share) < 0.0005 ? 'as before' : `${share > 0 ? '+' : '−'}${Math.abs(share * 100).toFixed(1)} points`);

/** A group of requests: one of the largest, or all others together. */
export interface Group {
  key: string;
  id: string | undefined; // undefined: the others, or where it is not known
  others: boolean;
}

type Dimension = 'model' | 'project_id' | 'token_id';

export function groupOf(row: Schemas['UsageRow'], by: Dimension): Group {
  const id = row[by];
  return { id, others: !!row.others, key: row.others ? 'others' : id === undefined ? 'unknown' : `=${id}` };
}

export const measures = {
  requests: { label: 'Requests', of: (row: Schemas['UsageRow']) => row.requests, format: formatShort },
  usage: { label: 'Usage, in and out', of: (row: Schemas['UsageRow']) => row.usage.total ?? 0, format: formatShort },
  cost: { label: 'Cost', of: (row: Schemas['UsageRow']) => row.cost_usd ?? 0, format: formatCost },
};
export type Measure = keyof typeof measures;

/** The groups of an answer in the order of their size over the whole time: the API has them so in each hour, the others last. */
export function groupsOf(usage: Schemas['Usage'], by: Dimension): Group[] {
  const groups = new Map<string, Group & { size: number }>();
  for (const row of usage.rows) {
    const group = groupOf(row, by);
    const known = groups.get(group.key) ?? { ...group, size: 0 };
    known.size += row.requests;
    groups.set(group.key, known);
  }
  return [...groups.values()].sort((a, b) => Number(a.others) - Number(b.others) || b.size - a.size);
}
