import { expect, test } from 'vitest';

import { oldestWaiting, testResult, untoldDelivery } from './destination';

test('the result of a test says what became of the event, and why', () => {
  expect(testResult('file', { event_id: '', result: 'delivered', duration_ms: 3 })).toEqual({ good: true, text: 'file has taken the test event.' });
  expect(testResult('hook', { event_id: '', result: 'queued' }).good).toBe(true);
  expect(testResult('hook', { event_id: '', result: 'refused', error: '400: no' })).toEqual({ good: false, text: 'hook will never take the test event: 400: no' });
  expect(testResult('hook', { event_id: '', result: 'failed' })).toEqual({ good: false, text: 'hook did not take the test event now.' });
});

test('what is unknown of a destination is not shown as nothing', () => {
  expect(oldestWaiting({ backlog: 3, oldest_age_ms: 210_000 })).toBe('for 3 min 30 s');
  expect(oldestWaiting({ backlog: 0 })).toBe('none');
  expect(oldestWaiting({ backlog: 3 })).toBe('unknown');
  expect(oldestWaiting({})).toBe('unknown');
  expect(untoldDelivery({ delivered: 0 })).toBe('never');
  expect(untoldDelivery({ delivered: 13 })).toBe('unknown');
  expect(untoldDelivery({})).toBe('unknown');
});
