import type { QueryClient } from '@tanstack/react-query';

import { $api } from '../../api/client';
import { askInfo } from '../../api/info';
import { loadCharts } from '../../shared/charts';
import { projectNames } from '../../shared/names';
import { rangeAt, type RangeSearch } from '../../shared/timeRange';
import { wholeHours, type Period } from './period';
import { sizes, stacks, type OverviewSearch, type Size, type Stack } from './search';

// What the overview asks the API: the screen does, and the router a moment before, while the screen's code is still on its way.

/** How many groups have a colour of their own; the others are one. */
const groupsShown = 6;
const rowsShown = 5;

type Bucket = 'hour' | 'day';

export const newestRequest = { params: { query: { limit: 1 } } };
export const figuresOver = (now: Period, bucket: Bucket) => ({ params: { query: { ...now, bucket } } });
export const totalOver = (period: Period) => ({ params: { query: period } });
export const stackedBy = (by: Stack, now: Period, bucket: Bucket) => ({ params: { query: { ...now, bucket, group_by: [stacks[by]], top: groupsShown } } });
export const mostOf = (by: TopBy, top: Size, now: Period) => ({ params: { query: { ...now, group_by: [by], top: rowsShown, top_by: sizes[top] } } });

/** The top tables, in their order. */
export const topTables = ['project_id', 'token_id', 'model'] as const;
export type TopBy = (typeof topTables)[number];

/** Asks all of it at once. What fails is asked again by the screen, which says what is wrong. */
export async function askAhead(queries: QueryClient, { by = 'model', top = 'usage', ...range }: OverviewSearch & RangeSearch): Promise<void> {
  const info = await queries.fetchQuery(askInfo).catch(() => undefined);
  if (!info?.ledger) {
    return; // nobody adds anything up here
  }
  const { bucket, ...ends } = rangeAt(range, new Date());
  const { now, then } = wholeHours(ends);
  const usage = (init: ReturnType<typeof stackedBy | typeof mostOf | typeof totalOver>) => queries.prefetchQuery($api.queryOptions('get', '/manage/usage', init));
  await Promise.all([
    queries.fetchQuery($api.queryOptions('get', '/manage/requests', newestRequest)).then((newest) => (newest.length > 0 ? loadCharts() : undefined)).catch(() => undefined),
    usage(figuresOver(now, bucket)), usage(totalOver(then)), usage(stackedBy(by, now, bucket)), ...topTables.map((table) => usage(mostOf(table, top, now))),
    queries.prefetchQuery(projectNames),
  ]);
}
