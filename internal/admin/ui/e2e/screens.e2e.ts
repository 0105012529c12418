import type { Page } from 'playwright-core';

import { nav } from '../src/app/nav';
import { checkAccessibility, expect, goByKeys, settled, signIn, test } from './kit';

// What holds for every screen, whoever wrote it.

const sizes = { desktop: { width: 1280, height: 900 }, phone: { width: 360, height: 740 } } as const;

async function open(page: Page, to: string): Promise<void> {
  await signIn(page, `/admin/#${to}`);
  await settled(page);
}

/** What of the page can be operated, and what of that the Tab key does not reach. */
async function unreached(page: Page): Promise<string[]> {
  await page.evaluate(() => {
    const operable = 'a[href], button, input, select, textarea, summary, [role="button"], [role="link"], [role="menuitem"], [role="tab"], [role="checkbox"], [role="switch"], [role="option"]';
    const shown = (e: Element) => e.checkVisibility({ checkVisibilityCSS: true }) && !e.closest('[aria-hidden="true"]');
    const all = [...document.querySelectorAll<HTMLElement>(operable)].filter((e) => shown(e) && !(e as HTMLButtonElement).disabled && (e as HTMLInputElement).type !== 'hidden');
    const reached = new Set<Element>();
    document.addEventListener('focusin', (event) => reached.add(event.target as Element));
    Object.assign(window, { focusTest: { all, reached } });
    (document.activeElement as HTMLElement | null)?.blur();
    document.body.focus();
  });
  const left = () => page.evaluate(() => {
    const { all, reached } = (window as unknown as { focusTest: { all: HTMLElement[]; reached: Set<Element> } }).focusTest;
    const isReached = (e: HTMLElement): boolean => {
      const radio = e as HTMLInputElement;
      if (radio.type === 'radio') { // one of a group has the focus, arrow keys reach the others
        return all.some((other) => (other as HTMLInputElement).type === 'radio' && (other as HTMLInputElement).name === radio.name && reached.has(other));
      }
      if (e.tabIndex < 0 && e.getAttribute('role') === 'tab') { // likewise
        return [...(e.closest('[role="tablist"]')?.querySelectorAll('[role="tab"]') ?? [])].some((other) => reached.has(other));
      }
      return reached.has(e);
    };
    return all.filter((e) => e.isConnected && !isReached(e)).map((e) => e.outerHTML.slice(0, 200));
  });
  let missing = await left();
  for (let presses = 0; missing.length > 0 && presses < 400; presses++) {
    await page.keyboard.press('Tab');
    if (presses % 10 === 9) {
      missing = await left();
    }
  }
  return missing;
}

for (const { to, label } of nav) {
  for (const [size, viewport] of Object.entries(sizes)) {
    test(`${label}, ${size}: accessible in both colours, nothing stands out to the side, the keyboard reaches everything`, async ({ page }) => {
      await page.setViewportSize(viewport);
      await open(page, to);
      await checkAccessibility(page);
      expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), 'pixels that stand out to the side').toBeLessThanOrEqual(0);
      expect(await unreached(page)).toEqual([]);
    });
  }
}

test('each screen is reached by the header, the palette and its keys', async ({ page }) => {
  await open(page, nav[0]!.to);
  for (const { to, label, key } of nav) {
    await page.getByRole('navigation', { name: 'Screens' }).getByRole('link', { name: label, exact: true }).click();
    await expect.poll(() => new URL(page.url()).hash.split('?')[0], { message: label }).toBe(`#${to}`);
    await page.goto('/admin/#/nowhere');
    await page.getByRole('heading', { name: 'There is no such screen' }).waitFor();
    await goByKeys(page, key, to);
  }
  expect(new Set(nav.map(({ key }) => key)).size, 'each key is there once').toBe(nav.length);
});

test('nothing of a session or a key is in what the browser keeps', async ({ page }) => {
  await open(page, nav[0]!.to);
  for (const { to, label } of nav) {
    await page.goto(`/admin/#${to}`);
    await settled(page, label);
  }
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
  expect(kept).not.toMatch(/sk-|llmp|token|session/i);
});
