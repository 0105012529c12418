import { expect, test } from 'vitest';

import { exportURL, parseRequestsSearch } from './search';

const id = '0197a1b2-0000-7000-8000-000000000001';

test('an address filters by what the API takes, and by nothing else', () => {
  expect(parseRequestsSearch({ project_id: id, token_id: id, model: 'gpt-4o', status: 429, outcome: 'refused', open: id })).toEqual({
    project_id: id, token_id: id, model: 'gpt-4o', status: '429', outcome: 'refused', open: id,
  });
  const none = { project_id: undefined, token_id: undefined, model: undefined, status: undefined, outcome: undefined, open: undefined };
  expect(parseRequestsSearch({ project_id: 'x', token_id: '../x', model: '', status: '6xx', outcome: 'toString', open: 'x?y=1' })).toEqual(none);
});

test('an export asks for what the list shows, escaped', () => {
  const range = { from: '2026-11-24T00:00:00.000Z', to: '2026-11-25T00:00:00.000Z' };
  expect(exportURL('csv', { model: 'a&b=c', status: '5xx', open: id }, range)).toBe(
    '/manage/requests?format=csv&model=a%26b%3Dc&status=5xx&from=2026-11-24T00%3A00%3A00.000Z&to=2026-11-25T00%3A00%3A00.000Z',
  );
  expect(exportURL('jsonl', {}, { ...range, to: undefined }), 'a preset has no end').toBe('/manage/requests?format=jsonl&from=2026-11-24T00%3A00%3A00.000Z');
});
