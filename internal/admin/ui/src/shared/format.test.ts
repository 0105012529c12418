import { describe, expect, test } from 'vitest';

import { formatBytes, formatCost, formatCostOf, formatCount, formatDuration, formatLeft, formatShare, formatShort, formatWhole } from './format';

test('what is not known is never 0', () => {
  for (const format of [formatCount, formatShort, formatCost, formatDuration, formatBytes]) {
    expect(format(undefined)).toBe('unknown');
    expect(format(null)).toBe('unknown');
    expect(format(0)).not.toBe('unknown');
  }
  expect(formatShare(0, 0)).toBe('unknown');
  expect(formatShare(1, 8)).toBe('12.5%');
});

describe('cost', () => {
  test.each([
    [0, '$0.00'], [12.3, '$12.30'], [1234.567, '$1,234.57'], [0.5, '$0.50'], [0.0125, '$0.013'], [0.000012, '$0.000012'], [0.0000000123, '$0.000000012'],
    [0.9999, '$1.00'], [1e-13, '< $0.000000000001'],
  ])('%d is %s', (usd, text) => expect(formatCost(usd)).toBe(text));

  test('of requests without a price is unknown, of some with one says of how many', () => {
    expect(formatCostOf({ requests: 3, priced: 0, cost_usd: 0 })).toBe('unknown');
    expect(formatCostOf({ requests: 3, priced: 2, cost_usd: 1 })).toBe('$1.00 for 2 of 3');
    expect(formatCostOf({ requests: 3, priced: 3, cost_usd: 1 })).toBe('$1.00');
    expect(formatCostOf({ requests: 0 })).toBe('$0.00');
  });
});

test.each([[0, '0 ms'], [0.25, '250 µs'], [1.25, '1.3 ms'], [12.4, '12 ms'], [999, '999 ms'], [999.6, '1.00 s'], [1240, '1.24 s'], [12_340, '12.3 s'], [59_996, '1 min 0 s'], [125_000, '2 min 5 s']])(
  '%d ms is %s', (ms, text) => expect(formatDuration(ms)).toBe(text),
);

test('whole milliseconds that the API leaves out are fewer than one', () => {
  expect([formatWhole(undefined), formatWhole(0), formatWhole(1), formatWhole(1500)]).toEqual(['< 1 ms', '< 1 ms', '1 ms', '1.50 s']);
});

test.each([[0, ''], [-5, ''], [10, '10 s'], [70, '1 min 10 s'], [3600, '1 h'], [3661, '1 h 1 min'], [90_000, '1 d 1 h']])('%d s are left as "%s"', (seconds, text) => {
  const now = new Date('2026-11-24T12:00:00Z');
  expect(formatLeft(new Date(now.getTime() + seconds * 1000), now)).toBe(text);
});

test.each([[512, '512 B'], [1500, '1.5 kB'], [2_500_000, '2.5 MB']])('%d bytes are %s', (n, text) => expect(formatBytes(n)).toBe(text));
