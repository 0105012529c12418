import { expect, test } from 'vitest';

import { before, parseRange, rangeAt } from './timeRange';

const now = new Date('2026-11-24T12:34:56Z');

test('a range is read from the address, and nonsense is not', () => {
  expect(parseRange({ range: '7d' })).toEqual({ range: '7d' });
  expect(parseRange({ range: '5y' })).toEqual({});
  expect(parseRange({ range: 'toString' })).toEqual({});
  expect(parseRange({ from: '2026-11-01', to: '2026-11-02' })).toEqual({ from: '2026-11-01T00:00:00.000Z', to: '2026-11-02T00:00:00.000Z' });
  expect(parseRange({ from: '2026-11-02', to: '2026-11-01', range: '1h' })).toEqual({ range: '1h' });
  expect(parseRange({ from: 'x', to: 7 })).toEqual({});
});

test('a preset ends with the minute that runs', () => {
  const { from, to, bucket } = rangeAt({ range: '1h' }, now);
  expect([from, to]).toEqual([new Date('2026-11-24T11:35:00Z'), new Date('2026-11-24T12:35:00Z')]);
  expect(bucket).toBe('hour');
  expect(rangeAt({ range: '1h' }, new Date('2026-11-24T12:34:01Z')).to).toEqual(to);
  expect(rangeAt({}, now).preset).toBe('24h');
  expect(rangeAt({ range: '30d' }, now).bucket).toBe('day');
});

test('the period before has the same length and ends where this one begins', () => {
  const range = rangeAt({ from: '2026-11-10T00:00:00Z', to: '2026-11-12T00:00:00Z' }, now);
  expect(before(range)).toEqual({ from: new Date('2026-11-08T00:00:00Z'), to: new Date('2026-11-10T00:00:00Z') });
});
