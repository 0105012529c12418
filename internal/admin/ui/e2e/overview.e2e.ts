import { atAddress, checkAccessibility, expect, failsUntilRetried, signIn, test, titled } from './kit';
import { ask, hostile, hostileToken, recorded } from './traffic';

test('tiles, charts and top tables say what was asked, and the address keeps what is looked at', async ({ page, server }) => {
  const { token, project } = await hostileToken(server);
  await recorded(server, [
    await ask(server), await ask(server), await ask(server, { stream: true }), await ask(server, { demo: 'status=500' }),
    await ask(server, { token, model: hostile }), await ask(server, { token, model: 'gpt-4o-mini' }),
  ]);
  await signIn(page);
  const tile = (name: string) => page.getByRole('list', { name: 'Figures' }).getByRole('listitem').filter({ hasText: name });
  await tile('Requests').getByText('6', { exact: true }).waitFor();
  await tile('Requests').getByText('none before').waitFor();
  await tile('Error rate').getByText('16.7%').waitFor();
  await tile('Cost').getByText(/^\$0\.\d+ for 4 of 6$/).waitFor(); // a model that OpenAI has not has no price
  await tile('Usage in').getByText(/^\d+ for 5 of 6$/).waitFor(); // the stream told none and is estimated; of the failure nothing is known

  await page.getByText('Unknown for 2 of 6 requests, which are left out.').waitFor();
  for (const measure of ['Requests', 'Usage, in and out', 'Cost']) {
    await page.getByRole('figure', { name: `${measure} by hour and model` }).getByText('gpt-4o-mini', { exact: true }).waitFor();
    await page.getByRole('figure', { name: `${measure} by hour and model` }).getByText(hostile, { exact: true }).waitFor();
  }
  await page.getByRole('figure', { name: 'Latency by hour' }).getByText('median', { exact: true }).waitFor();
  const chart = page.getByRole('figure', { name: 'Requests by hour and model' }).locator('.recharts-wrapper');
  await expect.poll(async () => { // again, as long as the page still moves
    await page.mouse.move(0, 0);
    await chart.hover({ position: { x: (await chart.boundingBox())!.width - 15, y: 60 } }); // the newest hour
    return chart.locator('.recharts-tooltip-wrapper').getByText(hostile, { exact: true }).isVisible();
  }, { timeout: 30_000 }).toBe(true);
  await checkAccessibility(page);

  await page.getByRole('radiogroup', { name: 'Stacked by' }).getByText('Project').click();
  await page.getByRole('figure', { name: 'Requests by hour and project' }).getByText('Demo', { exact: true }).waitFor();
  await page.getByRole('figure', { name: 'Requests by hour and project' }).getByText(hostile, { exact: true }).waitFor();
  await page.getByRole('radiogroup', { name: 'Stacked by' }).getByText('Token').click();
  await page.getByRole('figure', { name: 'Cost by hour and token' }).getByText('demo', { exact: true }).waitFor();
  await atAddress(page, 'by=token');
  await page.getByRole('radiogroup', { name: 'Stacked by' }).getByText('Project').click();
  await page.getByRole('radiogroup', { name: 'Sorted by' }).getByText('Cost').click();
  await page.getByRole('heading', { name: 'Most by cost' }).waitFor();
  await page.getByRole('radiogroup', { name: 'Time range' }).getByText('30d').click();
  await page.getByRole('heading', { name: 'By day (UTC)' }).waitFor();
  await atAddress(page, /by=project/);
  await atAddress(page, /top=cost/);
  await atAddress(page, /range=30d/);
  await page.reload();
  await page.getByRole('figure', { name: 'Usage, in and out by day and project' }).waitFor();

  const projects = page.getByRole('table', { name: 'Projects' });
  expect(await projects.getByRole('row').nth(1).textContent(), 'the larger one first').toMatch(/^Demo4/);
  await page.getByRole('table', { name: 'Tokens' }).getByRole('link', { name: hostile }).waitFor();
  await page.getByRole('table', { name: 'Models' }).getByRole('link', { name: 'gpt-4o', exact: true }).waitFor();
  await titled(page, 'Overview · llm-proxy');
  await projects.getByRole('link', { name: hostile }).click();
  await page.getByText('2 in all').waitFor();
  await atAddress(page, `project_id=${project}`);
  await atAddress(page, 'range=30d');
});

test('a time without requests says so, and one of one’s own is picked in a calendar', async ({ page }) => {
  await signIn(page, '/admin/#/overview?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z');
  await page.getByText('Nobody has asked anything in this time.').waitFor();
  expect(await page.getByRole('list', { name: 'Figures' }).getByRole('listitem').filter({ hasText: 'Latency, median' }).textContent()).toContain('unknown');
  await checkAccessibility(page);
  await page.getByRole('button', { name: /^20(19-12-31|20-01-0)/ }).click();
  await page.getByRole('button', { name: 'Show', exact: true }).waitFor();
  await checkAccessibility(page);
  await page.keyboard.press('Escape');
  await page.getByRole('radiogroup', { name: 'Time range' }).getByText('24h').click();
  await page.getByRole('figure', { name: 'Requests by hour and model' }).waitFor();
});

test('times are those of the browser’s zone', async ({ page }) => {
  const browser = await page.context().newCDPSession(page);
  await browser.send('Emulation.setTimezoneOverride', { timezoneId: 'Asia/Kolkata' });
  await signIn(page, '/admin/#/overview?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z');
  await page.getByRole('button', { name: '2020-01-01 05:30 – 2020-01-02 05:30' }).click();
  await page.getByText('In your time zone, Asia/').waitFor(); // Kolkata, or Calcutta as some call it
  await page.getByLabel('From').fill('2020-01-01T12:00:00');
  await page.getByRole('button', { name: 'Show', exact: true }).click();
  await atAddress(page, /from=2020-01-01T06(:|%3A)30/);
});

test('figures that cannot be read say why and try again', async ({ page, strict }) => {
  await failsUntilRetried(page, strict, { asks: '**/manage/usage?*', at: '/admin/#/overview', then: page.getByRole('list', { name: 'Figures' }) });
});

test('a phone shows all of it, one below the other', async ({ page }) => {
  await page.setViewportSize({ width: 360, height: 740 });
  await signIn(page, '/admin/#/overview?start=true');
  await page.getByRole('figure', { name: 'Requests by hour and model' }).waitFor();
  await page.getByRole('table', { name: 'Models' }).waitFor();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  await checkAccessibility(page);
});
