import { expect, signIn, test } from './kit';

/** What a first load may take, in bytes as they are sent. */
const budget = 300_000;

test('the first load stays within its budget, and charts are no part of it', async ({ page }) => {
  const sizes: Record<string, number> = {};
  let running = 0;
  page.on('request', () => running++);
  page.on('requestfailed', () => running--);
  page.on('requestfinished', (request) => {
    void request.sizes().then(({ responseBodySize }) => {
      const { pathname } = new URL(request.url());
      if (pathname.startsWith('/admin/')) {
        sizes[pathname] = responseBodySize;
      }
      running--;
    });
  });
  await signIn(page);
  await page.getByRole('heading', { level: 1 }).waitFor();
  await expect.poll(() => running).toBe(0);
  const loaded = Object.values(sizes).reduce((sum, n) => sum + n, 0);
  console.log(`first load: ${loaded} bytes`, sizes);
  expect(Object.keys(sizes).some((path) => path.endsWith('.js'))).toBe(true);
  expect(loaded).toBeLessThanOrEqual(budget);
  expect(Object.keys(sizes).join()).not.toMatch(/chart/i);
});
