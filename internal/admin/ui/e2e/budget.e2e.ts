import type { Page } from 'playwright-core';

import { nav } from '../src/app/nav';
import { expect, settled, signIn, test } from './kit';
import { ask, recorded } from './traffic';

// What a page's quality is measured by (contrast and names are axe's, in each screen's own tests; the console, and requests to other places,
// are watched in all of them).

/** What a first load may take, in bytes as they are sent. */
const budget = 300_000;

test('the first load stays within its budget, and charts are no part of it', async ({ page }) => {
  const sizes: Record<string, number> = {};
  let running = 0;
  page.on('request', () => running++);
  page.on('requestfailed', () => running--);
  page.on('requestfinished', (request) => {
    void request.sizes().catch(() => ({ responseBodySize: 0 })).then(({ responseBodySize }) => {
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
  console.log(`first load: ${loaded} bytes of ${budget}`);
  expect(Object.keys(sizes).some((path) => path.endsWith('.js'))).toBe(true);
  expect(loaded).toBeLessThanOrEqual(budget);
  expect(Object.keys(sizes).join()).not.toMatch(/chart/i);
});

test('the page says what it is, in which language, and how wide it is', async ({ page }) => {
  await signIn(page);
  const said = await page.evaluate(() => ({
    lang: document.documentElement.lang, viewport: document.querySelector<HTMLMetaElement>('meta[name="viewport"]')?.content,
    description: document.querySelector<HTMLMetaElement>('meta[name="description"]')?.content ?? '', robots: document.querySelector<HTMLMetaElement>('meta[name="robots"]')?.content,
    charset: document.characterSet, doctype: document.doctype?.name, icon: document.querySelector<HTMLLinkElement>('link[rel="icon"]')?.href,
  }));
  expect(said).toMatchObject({ lang: 'en', viewport: 'width=device-width, initial-scale=1', robots: 'noindex, nofollow', charset: 'UTF-8', doctype: 'html' });
  expect(said.description.length).toBeGreaterThan(50);
  expect((await page.request.get(said.icon!)).status()).toBe(200);
  await expect.poll(() => page.title()).toBe('Overview · llm-proxy');
});

test('files are sent small, those with a hash in their name are kept for ever, and the page is asked for each time', async ({ page }) => {
  const answers: Record<string, Record<string, string>> = {};
  page.on('response', (response) => {
    const { pathname } = new URL(response.url());
    if (response.request().method() === 'GET' && pathname.startsWith('/admin/') && !pathname.startsWith('/admin/api/')) {
      answers[pathname] = response.headers();
    }
  });
  await signIn(page);
  await settled(page);
  const hashed = Object.entries(answers).filter(([path]) => path.startsWith('/admin/assets/'));
  expect(hashed.length).toBeGreaterThan(3);
  for (const [path, headers] of hashed) {
    expect(path, 'a hash').toMatch(/-[\w-]{8}\.(js|css)$/);
    expect(headers, path).toMatchObject({ 'cache-control': 'public, max-age=31536000, immutable', 'content-encoding': 'gzip', vary: 'Accept-Encoding', 'x-content-type-options': 'nosniff' });
  }
  expect(answers['/admin/']).toMatchObject({ 'cache-control': 'no-cache', 'content-encoding': 'gzip' });
  await page.reload();
  await settled(page);
  const again = await page.evaluate(() => performance.getEntriesByType('resource').map((e) => e as PerformanceResourceTiming).filter((e) => e.name.includes('/assets/')).map((e) => e.transferSize));
  expect(again.length).toBeGreaterThan(3);
  expect(again.reduce((sum, bytes) => sum + bytes, 0), 'bytes that a second visit loads').toBe(0);
});

/** Layout shift of a load, as Lighthouse has it; 0.1 is its limit for a good page. */
const shiftLimit = 0.1;
/** First contentful paint, in milliseconds. What is slower than this is slow on any machine. */
const paintLimit = 15_000;

/** Notes what moves from now on, on each page that is loaded. */
async function watchShifts(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const seen = { shift: 0, of: [] as string[] };
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as (PerformanceEntry & { value: number; hadRecentInput: boolean; sources: { node?: Element }[] })[]) {
        if (!entry.hadRecentInput) {
          seen.shift += entry.value;
          seen.of.push(...entry.sources.map(({ node }) => `${entry.value.toFixed(3)} ${node?.nodeName ?? ''} ${node?.className ?? ''} ${node?.textContent?.slice(0, 40) ?? ''}`));
        }
      }
    }).observe({ type: 'layout-shift', buffered: true });
    Object.assign(window, { seen });
  });
}

/** What has moved of the page since it began to load, and when it was painted first. */
const shifts = (page: Page) => page.evaluate(() => ({
  ...(window as unknown as { seen: { shift: number; of: string[] } }).seen, paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Infinity,
}));

test('a screen is painted soon, and nothing of it moves while it loads', async ({ page, server }) => {
  await recorded(server, [await ask(server), await ask(server, { model: 'gpt-4o-mini' })]);
  await watchShifts(page);
  await signIn(page);
  const loads = nav.flatMap(({ to, label }) => [{ width: 1280, to, label }, { width: 360, to, label }]);
  const moved: Record<string, unknown> = {};
  for (const { width, to, label } of loads) {
    await page.setViewportSize({ width, height: 800 });
    await page.goto('about:blank'); // else the hash alone would change
    await page.goto(`/admin/#${to}`);
    await settled(page, label);
    await page.getByRole('note').waitFor(); // the last that comes
    const { shift, of, paint } = await shifts(page);
    if (shift > shiftLimit) {
      moved[`${label}, ${width}`] = { shift, of: of.slice(0, 8) };
    }
    expect(paint, `first paint of ${label}`).toBeLessThan(paintLimit);
  }
  expect(moved).toEqual({});
});

test('nor does the quick start of an empty installation', async ({ another }) => {
  for (const width of [1280, 360]) {
    for (const projects of ['with a project', 'without']) {
      const { server, page } = await another();
      if (projects === 'without') {
        for (const { project_id } of await server.api<{ project_id: string }[]>('GET', '/manage/projects')) {
          await server.api('DELETE', `/manage/projects/${project_id}`);
        }
      }
      await watchShifts(page);
      await page.setViewportSize({ width, height: 800 });
      await signIn(page, '/admin/#/overview');
      await page.getByRole('region', { name: 'Quick start' }).getByRole('button', { name: /^Create/ }).waitFor();
      await page.getByRole('heading', { name: 'See the first request' }).waitFor();
      await page.getByRole('note').waitFor();
      const { shift, of } = await shifts(page);
      console.log(`quick start ${projects}, ${width}: shift ${shift.toFixed(3)}`);
      expect(shift, `${width}, ${projects}: ${of.join('; ')}`).toBeLessThanOrEqual(shiftLimit);
    }
  }
});
