import { expect, test } from 'vitest';

import { changesOf, exportAddress } from './entry';
import { parseAuditSearch } from './search';

test('changed fields stand side by side, also where one side has none', () => {
  expect(changesOf({ before: { name: 'a', limit: '5' }, after: { name: 'b', expiry: 'x' } })).toEqual([
    { field: 'expiry', before: undefined, after: 'x' },
    { field: 'limit', before: '5', after: undefined },
    { field: 'name', before: 'a', after: 'b' },
  ]);
  expect(changesOf({ before: {}, after: {} })).toEqual([]);
});

test('an export asks for what the list shows', () => {
  expect(exportAddress('csv', { q: 'a&b', outcome: undefined, actor: 'admin:x' })).toBe('/manage/audit?format=csv&q=a%26b&actor=admin%3Ax');
});

test('an address is read, and nonsense is not', () => {
  const id = '019ac000-0000-7000-8000-000000000000';
  expect(parseAuditSearch({ q: 7, outcome: 'refused', project_id: id, entry: id })).toMatchObject({ q: '7', outcome: 'refused', project_id: id, entry: id });
  expect(Object.values(parseAuditSearch({ q: '', outcome: 'maybe', project_id: '<script>', token_id: 5, entry: [], action: 'x'.repeat(101) })).filter((v) => v !== undefined)).toEqual([]);
});
