import { expect, test } from 'vitest';

import { problemOf, toProblem } from './problem';

const answer = (status: number, body: string, headers: Record<string, string>) => problemOf(new Response(body, { status, headers }));

test('a problem is read with its fields, its request and how long to wait', async () => {
  const wire = { title: 'Bad Request', status: 400, detail: 'The request cannot be taken.', errors: [{ field: 'name', message: 'is required' }] };
  const p = await answer(400, JSON.stringify(wire), { 'Content-Type': 'application/problem+json', 'X-Llm-Proxy-Request-Id': 'r-1', 'Retry-After': '7' });
  expect(p).toMatchObject({ ...wire, requestID: 'r-1', retryAfter: 7, passes: false });
});

test('an answer that is none, or is broken off, still has its status', async () => {
  expect(await answer(502, '<html>', { 'Content-Type': 'text/html' })).toMatchObject({ status: 502, passes: true });
  expect(await answer(500, '{"tit', { 'Content-Type': 'application/problem+json' })).toMatchObject({ status: 500, detail: 'The server answered with status 500.' });
});

test('no answer is said as such', () => {
  expect(toProblem(new TypeError('Failed to fetch'))).toMatchObject({ status: 0, passes: true });
  expect(toProblem('odd').detail).toBe('odd');
});
