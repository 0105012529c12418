import { expect, test } from 'vitest';

import type { Schemas } from '../../api/client';
import { pointsOver } from '../../shared/points';
import { changeOf, figuresOf, formatUsageOf, groupsOf } from './figures';
import { wholeHours } from './period';

const tally = (more: Partial<Schemas['Tally']>): Schemas['Tally'] => ({ requests: 0, errors: 0, metered: 0, estimated: 0, priced: 0, usage: {}, ...more });
const figure = (name: string, now: Schemas['Tally'], then?: Schemas['Tally']) => figuresOf(now, then).find(({ label }) => label === name)!;

test('a period is the hours that a range touches, and the one before does not overlap it', () => {
  expect(wholeHours({ from: new Date('2026-11-24T10:35:00Z'), to: new Date('2026-11-24T11:35:00Z') })).toEqual({
    now: { from: '2026-11-24T10:00:00.000Z', to: '2026-11-24T12:00:00.000Z' }, then: { from: '2026-11-24T08:00:00.000Z', to: '2026-11-24T10:00:00.000Z' },
  });
});

test('a change is a share of what was before', () => {
  expect([changeOf(150, 100), changeOf(50, 100), changeOf(100, 100), changeOf(3, 0), changeOf(0, 0), changeOf(undefined, 1), changeOf(1, undefined)])
    .toEqual(['+50%', '−50%', 'as before', 'none before', 'as before', '', '']);
});

test('what is not known of some requests is neither 0 nor compared', () => {
  expect(formatUsageOf({ requests: 3, metered: 0 }, undefined)).toBe('unknown');
  expect(formatUsageOf({ requests: 3, metered: 2 }, 40)).toBe('40 for 2 of 3');
  expect(formatUsageOf({ requests: 0, metered: 0 }, undefined)).toBe('0');
  const then = tally({ requests: 2, priced: 2, cost_usd: 1, metered: 2, usage: { input: 10 } });
  expect(figure('Cost', tally({ requests: 4, priced: 2, cost_usd: 2 }), then)).toMatchObject({ text: '$2.00 for 2 of 4', change: '' });
  expect(figure('Cost', tally({ requests: 4, priced: 4, cost_usd: 2 }), then)).toMatchObject({ text: '$2.00', change: '+100%' });
  expect(figure('Usage in', tally({ requests: 2, metered: 2, usage: { input: 5 } }), then)).toMatchObject({ text: '5', change: '−50%' });
  expect(figure('Latency, median', tally({ requests: 1 }), then)).toMatchObject({ text: 'unknown', change: '' });
});

test('an error rate changes by points, and a higher one is worse', () => {
  expect(figure('Error rate', tally({ requests: 10, errors: 2 }), tally({ requests: 10, errors: 1 }))).toMatchObject({ text: '20%', change: '+10.0 points', worse: true });
  expect(figure('Error rate', tally({}), tally({ requests: 1 }))).toMatchObject({ text: 'no requests', change: '' });
});

test('hours that nobody asked in are points too, and groups come by size with the others last', () => {
  const row = (start: string, requests: number, more: object) => ({ ...tally({ requests }), start, ...more });
  const usage: Schemas['Usage'] = {
    from: '2026-11-24T10:00:00Z', to: '2026-11-24T13:00:00Z', bucket: 'hour', group_by: ['model'], total: tally({}),
    rows: [row('2026-11-24T10:00:00Z', 1, { model: 'others' }), row('2026-11-24T12:00:00Z', 5, { model: 'a' }), row('2026-11-24T12:00:00Z', 9, { others: true }), row('2026-11-24T12:00:00Z', 2, {})],
  };
  expect(groupsOf(usage, 'model').map(({ key }) => key)).toEqual(['=a', 'unknown', '=others', 'others']);
  expect(pointsOver(usage, (rows) => ({ requests: rows.reduce((sum, { requests }) => sum + requests, 0) })).map(({ requests }) => requests)).toEqual([1, 0, 16]);
});
