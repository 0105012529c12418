import { readFileSync } from 'node:fs';
import openapiTS, { astToString, COMMENT_HEADER } from 'openapi-typescript';
import { expect, test } from 'vitest';

test('the types are those of openapi.yaml (npm run types)', async () => {
  const ast = await openapiTS(new URL('../../../../manage/openapi.yaml', import.meta.url), { silent: true });
  expect(readFileSync(new URL('./schema.gen.ts', import.meta.url), 'utf8')).toBe(COMMENT_HEADER + astToString(ast));
});
