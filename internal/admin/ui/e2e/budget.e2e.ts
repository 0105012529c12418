import { expect, signIn, test } from './kit';

/** What a first load may take, in bytes as they are sent. */
const budget = 300_000;

test('the first load stays within its budget, and charts are no part of it', async ({ page }) => {
  const sizes: Record<string, number> = {};
  page.on('requestfinished', (request) => {
    if (new URL(request.url()).pathname.startsWith('/admin/')) {
      void request.sizes().then(({ responseBodySize }) => { sizes[new URL(request.url()).pathname] = responseBodySize; });
    }
  });
  await signIn(page);
  await page.waitForLoadState('networkidle');
  const loaded = Object.values(sizes).reduce((sum, n) => sum + n, 0);
  console.log(`first load: ${loaded} bytes`, sizes);
  expect(Object.keys(sizes).some((path) => path.endsWith('.js'))).toBe(true);
  expect(loaded).toBeLessThanOrEqual(budget);
  expect(Object.keys(sizes).join()).not.toMatch(/chart/i);
});
