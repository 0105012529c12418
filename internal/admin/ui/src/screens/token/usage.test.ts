import { expect, test } from 'vitest';

import type { Schemas } from '../../api/client';
import { barsOf } from './usage';

const row = (start: string, requests: number, errors: number) => ({ start, requests, errors }) as Schemas['UsageRow'];

test('hours in which nobody asked have a bar of their own', () => {
  expect(barsOf({ from: '2026-11-24T10:00:00Z', to: '2026-11-24T13:00:00Z', rows: [row('2026-11-24T11:00:00Z', 5, 2)] }, 'hour')).toEqual([
    { start: '2026-11-24T10:00:00.000Z', answered: 0, errors: 0 },
    { start: '2026-11-24T11:00:00.000Z', answered: 3, errors: 2 },
    { start: '2026-11-24T12:00:00.000Z', answered: 0, errors: 0 },
  ]);
});

test('a day that the time begins in the middle of is there', () => {
  expect(barsOf({ from: '2026-11-23T18:00:00Z', to: '2026-11-25T02:00:00Z', rows: [row('2026-11-23T00:00:00Z', 1, 0)] }, 'day').map(({ start, answered }) => [start.slice(0, 10), answered])).toEqual([
    ['2026-11-23', 1], ['2026-11-24', 0], ['2026-11-25', 0],
  ]);
});
