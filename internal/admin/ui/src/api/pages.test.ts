// @vitest-environment jsdom
import { expect, test } from 'vitest';

import { nextCursor } from './pages';

test.each([
  [null, undefined],
  ['</manage/projects?cursor=abc&limit=2>; rel="next"', 'abc'],
  ['<https://x.example/manage/projects?limit=2&cursor=a%2Bb>; rel=next', 'a+b'],
  ['</a?cursor=1>; rel="prev", </a?cursor=2>; rel="next"', '2'],
  ['</a?cursor=1>; rel="prev"', undefined],
])('the next page of %s is %s', (link, cursor) => expect(nextCursor(link)).toBe(cursor));
