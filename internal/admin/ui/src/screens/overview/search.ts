/** What the charts are stacked by. */
export const stacks = { model: 'model', project: 'project_id', token: 'token_id' } as const;
export type Stack = keyof typeof stacks;

/** What the top tables are sorted by. */
export const sizes = { usage: 'total', cost: 'cost_usd', requests: 'requests' } as const;
export type Size = keyof typeof sizes;

/** What the address of the overview says beside the time range: ?by=project&top=cost&start=true */
export interface OverviewSearch {
  by?: Stack;
  top?: Size;
  start?: boolean; // the quick start is asked for
}

export function parseOverviewSearch(search: Record<string, unknown>): OverviewSearch {
  const one = <K extends string>(x: unknown, of: Record<K, unknown>) => (typeof x === 'string' && Object.hasOwn(of, x) ? (x as K) : undefined);
  return { by: one(search.by, stacks), top: one(search.top, sizes), start: search.start === true ? true : undefined };
}
