import { expect, test } from 'vitest';

import type { Schemas } from '../api/client';
import { pointsOver } from './points';

const usage = (more: object) => ({ group_by: [], rows: [], ...more }) as unknown as Schemas['Usage'];
const counts = (of: Schemas['Usage']) => pointsOver(of, (rows) => ({ n: rows.reduce((sum, { requests }) => sum + requests, 0) })).map(({ start, n }) => [start, n]);

test('hours in which nobody asked are points too', () => {
  expect(counts(usage({ from: '2026-11-24T10:00:00Z', to: '2026-11-24T13:00:00Z', bucket: 'hour', rows: [{ start: '2026-11-24T11:00:00Z', requests: 5 }] }))).toEqual([
    ['2026-11-24T10:00:00.000Z', 0], ['2026-11-24T11:00:00.000Z', 5], ['2026-11-24T12:00:00.000Z', 0],
  ]);
});

test('a day that the time begins in the middle of is there', () => {
  expect(counts(usage({ from: '2026-11-23T18:00:00Z', to: '2026-11-25T02:00:00Z', bucket: 'day', rows: [{ start: '2026-11-23T00:00:00Z', requests: 1 }] }))).toEqual([
    ['2026-11-23T00:00:00.000Z', 1], ['2026-11-24T00:00:00.000Z', 0], ['2026-11-25T00:00:00.000Z', 0],
  ]);
});
