import dayjs from 'dayjs';
import { expect, test } from 'vitest';

import { Problem } from '../../api/problem';
import { parseTokensSearch } from './search';
import { endingError, endingProblem, minutesOf, momentOf, newToken, statusAt, titleOf, tokenChange, valuesOf, type Token } from './token';

const now = new Date('2026-11-24T12:00:00Z');
const local = (at: string) => dayjs(at).format('YYYY-MM-DD HH:mm:ss');
const was: Token = {
  id: '01980000-0000-7000-8000-000000000000', token: '01980000-0000-7000-8000-000000000000', project_id: 'p', name: 'cron', created_at: '', expires_at: '2026-11-25T00:00:00Z', is_active: true,
  status: 'active', max_requests: 10, requests_per_hour: null, request_count: 0, hour_count: 0, request_headers_drop: [], revision: 2,
};

test('a new token says both caps, and an empty one is none', () => {
  const values = { ...valuesOf(was), project_id: 'p', ending: { choice: '60', at: '' }, max_requests: '' } as const;
  expect(newToken(values, now)).toEqual({ project_id: 'p', name: 'cron', duration_minutes: 60, max_requests: null, requests_per_hour: null });
  expect(newToken({ ...values, name: ' ', requests_per_hour: 5 }, now)).toEqual({ project_id: 'p', duration_minutes: 60, max_requests: null, requests_per_hour: 5 });
});

test('a moment becomes whole minutes, never fewer', () => {
  expect(minutesOf({ choice: 'custom', at: local('2026-11-24T12:10:01Z') }, now)).toBe(11);
  expect(minutesOf({ choice: 'custom', at: local('2026-11-24T12:00:00Z') }, now)).toBe(1);
});

test('a custom end is a moment between now and the longest life', () => {
  const error = (at: string) => endingError({ choice: 'custom', at }, 1440, now);
  expect(error(local('2026-11-24T13:00:00Z'))).toBeNull();
  expect(error('')).toBe('Choose a date and a time');
  expect(error(local('2026-11-24T11:59:00Z'))).toContain('past');
  expect(error(local('2026-11-26T12:00:00Z'))).toBe('At most 24 hours from now');
  expect(endingError({ choice: '15', at: '' }, 1440, now)).toBeNull();
});

test('a change has what changed and nothing else', () => {
  expect(tokenChange(was, valuesOf(was), now)).toEqual({});
  expect(tokenChange(was, { name: '', ending: { choice: '15', at: '' }, max_requests: '', requests_per_hour: 7 }, now)).toEqual({
    name: null, expires_at: '2026-11-24T12:15:00.000Z', max_requests: null, requests_per_hour: 7,
  });
  expect(momentOf({ choice: 'custom', at: local('2026-12-01T08:00:00Z') }, now)).toBe('2026-12-01T08:00:00.000Z');
});

test('a token expires on the screen without being read again, and a revoked one stays revoked', () => {
  const later = new Date('2026-11-25T00:00:00Z');
  expect(statusAt(was, now)).toBe('active');
  expect(statusAt(was, later)).toBe('expired');
  expect(statusAt({ ...was, status: 'revoked' }, later)).toBe('revoked');
  expect(statusAt({ ...was, status: 'exhausted' }, now)).toBe('exhausted');
});

test('a token without a name goes by the beginning of its id', () => {
  expect(titleOf(was)).toBe('cron');
  expect(titleOf({ ...was, name: '' })).toBe('Token 01980000');
});

test('what an address says is taken where it means something', () => {
  expect(parseTokensSearch({ q: 7, project: 'p', status: 'active', within: '24h', sort: '-request_count', create: true })).toEqual({ q: '7', project: 'p', status: 'active', within: '24h', sort: '-request_count', create: true });
  expect(parseTokensSearch({ q: {}, project: 1, status: 'toString', within: '5y', sort: 'toString', create: 'yes' })).toEqual({});
});

test('what the server says of the end goes to the field that has it', () => {
  const { errors, status } = endingProblem(new Problem({ status: 400, errors: [{ field: 'expires_at', message: 'a' }, { field: 'duration_minutes', message: 'b' }, { field: 'name', message: 'c' }] }));
  expect(status).toBe(400);
  expect(errors).toEqual([{ field: 'ending', message: 'a' }, { field: 'ending', message: 'b' }, { field: 'name', message: 'c' }]);
});
