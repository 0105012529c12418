import { existsSync } from 'node:fs';

import { nav } from '../src/app/nav';
import { expect, signIn, startServer, test } from './kit';

// How long a screen takes over a database of a large installation, which LLM_PROXY_SIZE_DB names (make bench-ui): from the click until
// nothing in the window is still to come, charts drawn, and each call of the API in between, as the browser sees it, through the real server.

const file = process.env.LLM_PROXY_SIZE_DB ?? '';
const rounds = 5; // the median of them counts
const patience = 1_000; // milliseconds that a screen may take until it is shown, and so a call of the API

/** Goes to a screen; the milliseconds until it is shown. Looked at in the page, frame by frame: to be asked from outside would slow it down. */
const shownAfter = ({ hash, label }: { hash: string; label: string }) => new Promise<number>((done) => {
  const began = performance.now();
  window.location.hash = hash;
  const drawn = (chart: Element) => chart.getBoundingClientRect().top > window.innerHeight || !!chart.querySelector('svg');
  const look = () => {
    if (document.querySelector('h1')?.textContent === label && !document.querySelector('[aria-busy="true"], .mantine-Skeleton-root')
      && [...document.querySelectorAll('[role="figure"]')].every(drawn)) {
      done(Math.round(performance.now() - began));
    } else {
      requestAnimationFrame(look);
    }
  };
  requestAnimationFrame(look);
});

test('each screen answers in under a second', async ({ page, opened }) => {
  expect(existsSync(file), 'LLM_PROXY_SIZE_DB names the database (make bench-ui)').toBe(true);
  await opened.page.close();
  const { server, stop } = await startServer({ LLM_PROXY_DB: file }, ['--demo'], 300_000);
  const context = await page.context().browser()!.newContext({ baseURL: server.url, reducedMotion: 'reduce' });
  const rows: { screen: string; 'shown, ms': number; 'slowest call, ms': number; call: string; calls: number }[] = [];
  try {
    const seen = await context.newPage();
    await signIn(seen, '/admin/#/nowhere');
    for (const range of ['24h', '30d']) {
      for (const { to, label } of nav) {
        const seenRows: typeof rows = [];
        for (let round = 0; round < rounds; round++) {
          await seen.goto('about:blank');
          await seen.goto('/admin/#/nowhere');
          await seen.getByRole('heading', { name: 'There is no such screen' }).waitFor();
          await seen.waitForLoadState('networkidle'); // who clicks has a page before them that is at rest
          await seen.evaluate(() => performance.clearResourceTimings());
          const shown = await seen.evaluate(shownAfter, { hash: `${to}?range=${range}`, label });
          await seen.waitForLoadState('networkidle');
          const calls = await seen.evaluate(() => performance.getEntriesByType('resource').filter((e) => new URL(e.name).pathname.startsWith('/manage/')).map((e) => ({ path: new URL(e.name).pathname + new URL(e.name).search.replace(/(from|to)=[^&]*&?/g, ''), ms: Math.round(e.duration) })));
          const slowest = calls.sort((a, b) => b.ms - a.ms)[0] ?? { path: '', ms: 0 };
          seenRows.push({ screen: `${label}, ${range}`, 'shown, ms': shown, 'slowest call, ms': slowest.ms, call: slowest.path.slice(0, 70), calls: calls.length });
        }
        rows.push(seenRows.sort((a, b) => a['shown, ms'] - b['shown, ms'])[Math.floor(rounds / 2)]!);
      }
    }
  } finally {
    await context.close();
    await stop();
  }
  console.table(rows);
  expect(rows.filter((row) => Math.max(row['shown, ms'], row['slowest call, ms']) > patience)).toEqual([]);
}, 600_000);
