import { checkAccessibility, expect, focused, goByKeys, signIn, test, titled } from './kit';

test('the keyboard does everything: skip link, search, help, palette, sequences', async ({ page }) => {
  await signIn(page, '/admin/#/projects');
  await page.getByRole('button', { name: 'Demo', exact: true }).waitFor();

  await page.keyboard.press('Tab');
  await expect.poll(() => page.evaluate(() => document.activeElement?.textContent)).toBe('Skip to content');
  await page.keyboard.press('Enter');
  await expect.poll(() => page.evaluate(() => document.activeElement?.tagName)).toBe('MAIN');

  await page.keyboard.press('/');
  await expect.poll(() => page.evaluate(() => document.activeElement?.getAttribute('aria-label'))).toBe('Search by name');
  await page.keyboard.type('?g/'); // is text here
  expect(await page.getByLabel('Search by name').inputValue()).toBe('?g/');
  await page.getByLabel('Search by name').fill('');
  await page.getByLabel('Search by name').blur();

  await page.keyboard.press('?');
  const help = page.getByRole('dialog', { name: 'Keyboard' });
  await help.getByText('Go to Projects').waitFor();
  await checkAccessibility(page);
  await page.keyboard.press('Escape');
  await help.waitFor({ state: 'detached' });

  await page.keyboard.press('Control+K');
  await page.getByLabel('Find a screen or an action').fill('create a pro');
  await checkAccessibility(page);
  await page.keyboard.press('Enter');
  await page.getByRole('dialog', { name: 'Create project' }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await focused(page.getByLabel('Search by name')); // where it was last; the palette, which opened this, has gone

  await page.goto('/admin/#/nowhere');
  await page.getByRole('heading', { name: 'There is no such screen' }).waitFor();
  await titled(page, 'There is no such screen · llm-proxy');
  await goByKeys(page, 'p', '/projects');
  await page.getByRole('heading', { name: 'Projects' }).waitFor();
  await expect.poll(() => page.evaluate(() => document.activeElement?.tagName)).toBe('MAIN');
  await titled(page, 'Projects · llm-proxy');
});

test('colours are light, dark or those of the system, and stay', async ({ page }) => {
  await page.emulateMedia({ colorScheme: 'dark' });
  await signIn(page);
  const scheme = () => page.evaluate(() => document.documentElement.dataset.mantineColorScheme);
  await expect.poll(scheme).toBe('dark');
  await page.getByRole('button', { name: 'Account' }).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).waitFor();
  await checkAccessibility(page);
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Colours' }).click();
  await page.getByRole('menuitem', { name: 'Light' }).click();
  await expect.poll(scheme).toBe('light');
  await page.reload();
  await page.getByRole('button', { name: 'Account' }).waitFor();
  await expect.poll(scheme).toBe('light');
  await page.getByRole('button', { name: 'Colours' }).click();
  await page.getByRole('menuitem', { name: 'As the system is' }).click();
  await expect.poll(scheme).toBe('dark');
});

test('a screen whose code does not come says so, and comes when the server answers again', async ({ page, strict }) => {
  strict.allow(/ERR_FAILED|Problem: The server does not answer/); // React says on the console what a screen has thrown
  await signIn(page, '/admin/#/projects');
  await page.route(/\/(admin\/(assets\/.*)?|manage\/.*)$/, (route) => route.abort());
  await page.getByRole('navigation', { name: 'Screens' }).getByRole('link', { name: 'Settings' }).click();
  await page.getByRole('alert').getByText('The server does not answer.').waitFor();
  await checkAccessibility(page);
  await page.unrouteAll();
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByRole('region', { name: 'Installation' }).waitFor();
});

test('a phone has all of it in a menu, and nothing stands out to the side', async ({ page }) => {
  await page.setViewportSize({ width: 360, height: 740 });
  await signIn(page);
  await page.getByRole('button', { name: 'Menu' }).click();
  const menu = page.getByRole('dialog', { name: 'Menu' });
  await menu.getByRole('link', { name: 'Projects' }).waitFor();
  await checkAccessibility(page);
  await menu.getByRole('link', { name: 'Projects' }).click();
  await page.keyboard.press('Escape');
  await menu.waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Demo', exact: true }).waitFor();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
});

test('what has the focus is seen to have it, and nothing moves for who wants it so', async ({ page }) => {
  await signIn(page, '/admin/#/projects');
  await page.getByRole('button', { name: 'Demo', exact: true }).waitFor();
  const focused = () => page.evaluate(() => {
    const { outlineStyle, outlineWidth, outlineColor, backgroundColor } = getComputedStyle(document.activeElement!);
    return { what: document.activeElement!.outerHTML.slice(0, 120), seen: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 && outlineColor !== backgroundColor };
  });
  for (let n = 0; n < 12; n++) {
    await page.keyboard.press('Tab');
    const { what, seen } = await focused();
    expect(seen, what).toBe(true);
  }
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Keyboard' }).waitFor();
  const moving = await page.evaluate(() => [...document.querySelectorAll('*')].filter((e) => {
    const { transitionDuration, animationName } = getComputedStyle(e);
    return /[1-9]/.test(transitionDuration) || animationName !== 'none';
  }).map((e) => e.outerHTML.slice(0, 120)));
  expect(moving).toEqual([]);
});
