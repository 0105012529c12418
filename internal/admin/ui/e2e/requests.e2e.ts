import { readFile } from 'node:fs/promises';

import { atAddress, checkAccessibility, expect, failsUntilRetried, signIn, test, titled } from './kit';
import { ask, hostile, hostileToken, recorded } from './traffic';

test('without a request the screen says what stands here and how to make one', async ({ page }) => {
  await signIn(page, '/admin/#/requests');
  await page.getByText('No request in this time.').waitFor();
  await page.getByRole('button', { name: 'Look at 30 days' }).click();
  await page.getByRole('heading', { name: 'No request yet' }).waitFor();
  await page.getByText('llm-proxy openai chat').waitFor();
  await checkAccessibility(page);
});

test('requests are filtered, looked at and exported', async ({ page, server }) => {
  const { token, id: tokenID, project } = await hostileToken(server);
  const good = await ask(server);
  const failed = await ask(server, { demo: 'status=503' });
  const cut = await ask(server, { demo: 'events=5, cut-after=2', stream: true }).catch(() => undefined); // its answer breaks off
  const strange = await ask(server, { token, model: hostile });
  await recorded(server, [good, failed, strange]);
  await expect.poll(async () => (await server.api<unknown[]>('GET', '/manage/requests')).length).toBe(4);
  expect(cut).toBeUndefined();

  await signIn(page, '/admin/#/requests');
  await page.getByText('4 in all').waitFor();
  await page.getByRole('row', { name: /<img.*<img.*<img/ }).waitFor(); // model, project and token
  await checkAccessibility(page);
  const rows = page.getByRole('table', { name: 'Requests' }).getByRole('row');
  const choose = async (label: string, option: string) => {
    await page.getByRole('combobox', { name: label }).click();
    await page.getByRole('option', { name: option, exact: true }).waitFor();
    if (label === 'Status') { // the longest list
      await checkAccessibility(page);
    }
    await page.getByRole('option', { name: option, exact: true }).click();
  };

  await choose('Status', '5xx');
  await page.getByText('1 in all').waitFor();
  await atAddress(page, 'status=5xx');
  await page.getByRole('button', { name: 'Clear', exact: true }).click();
  await page.getByText('4 in all').waitFor();
  await choose('Outcome', 'cut');
  await page.getByText('1 in all').waitFor();
  await page.getByRole('button', { name: 'Clear', exact: true }).click();
  await page.getByText('4 in all').waitFor();
  await choose('Project', hostile);
  await page.getByText('1 in all').waitFor();
  await atAddress(page, `project_id=${project}`);
  await choose('Token', hostile);
  await atAddress(page, `token_id=${tokenID}`);
  await page.getByRole('combobox', { name: 'Model' }).fill('gpt-none');
  await page.getByText('No request fits.').waitFor();
  await page.getByRole('button', { name: 'Clear', exact: true }).click();
  await page.getByText('4 in all').waitFor();

  await page.getByRole('button', { name: 'Export' }).click();
  const download = page.waitForEvent('download');
  await page.getByRole('menuitem', { name: /CSV/ }).click();
  const csv = await readFile(await (await download).path(), 'utf8');
  expect(csv.trim().split('\n')).toHaveLength(5);
  expect(csv).toContain(good);
  await page.getByRole('button', { name: 'Export' }).click();
  const lines = page.waitForEvent('download');
  await page.getByRole('menuitem', { name: /JSONL/ }).click();
  expect((await lines).suggestedFilename()).toBe('requests.jsonl');
  const jsonl = (await readFile(await (await lines).path(), 'utf8')).trim().split('\n').map((line) => JSON.parse(line) as { id: string; model?: string });
  expect(jsonl.find(({ id }) => id === strange)?.model).toBe(hostile);

  // By the keyboard: `/` leads to the id, Enter opens it, Escape closes it.
  await page.keyboard.press('/');
  await page.keyboard.type('nonsense');
  await page.keyboard.press('Enter');
  await page.getByText('Not the id of a request').waitFor();
  await page.getByLabel('Request id').fill(good);
  await page.keyboard.press('Enter');
  const details = page.getByRole('dialog', { name: 'Request' });
  const known = await server.api<{ usage: { total: number }; timing: { total_ms: number } }>('GET', `/manage/requests/${good}`);
  await details.getByRole('row', { name: `Total ${known.usage.total}` }).waitFor();
  for (const label of ['Auth', 'Upstream', 'First byte', 'Total']) {
    await details.getByRole('region', { name: 'Timeline' }).getByText(label, { exact: true }).waitFor();
  }
  await details.getByRole('row', { name: /^Cost \$0\.\d+$/ }).waitFor(); // what OpenAI asks for the same
  await details.getByRole('row', { name: 'Source the provider says so' }).waitFor();
  await details.getByText(good).waitFor();
  await checkAccessibility(page);
  await page.keyboard.press('Escape');
  await details.waitFor({ state: 'detached' });

  await rows.filter({ hasText: '<img' }).getByRole('button').click();
  await details.getByRole('row', { name: `Model ${hostile}` }).waitFor();
  await details.getByRole('row', { name: 'Cost unknown' }).waitFor();
  await titled(page, 'Requests · llm-proxy');
});

test('a request that is not there says so, and a list that cannot be read tries again', async ({ page, strict }) => {
  strict.allow(/404 \(Not Found\)/);
  await failsUntilRetried(page, strict, { asks: '**/manage/requests?*', at: '/admin/#/requests', then: page.getByRole('region', { name: 'Requests' }) });
  await page.goto('/admin/#/requests?open=01a20fcf-6a12-7887-bdef-000000000000');
  await page.getByRole('dialog', { name: 'Request' }).getByRole('alert').waitFor();
});

test('the list stays where it is while time goes on, and what comes is in it', async ({ page, server }) => {
  const asked: URLSearchParams[] = [];
  page.on('request', (request) => {
    const { pathname, searchParams } = new URL(request.url());
    if (pathname === '/manage/requests') {
      asked.push(searchParams);
    }
  });
  await page.clock.install();
  await signIn(page, '/admin/#/requests?range=1h');
  await page.getByText('4 in all').waitFor();
  await page.clock.fastForward('03:00');
  const newest = await ask(server, { model: 'gpt-4.1' }); // no other request here is of this model
  await recorded(server, [newest]);
  await page.getByRole('combobox', { name: 'Outcome' }).click();
  await page.getByRole('option', { name: 'complete', exact: true }).click();
  const rows = page.getByRole('table', { name: 'Requests' }).getByRole('row');
  await rows.filter({ hasText: 'gpt-4.1' }).waitFor(); // until then the rows are those of before
  await rows.nth(1).click();
  await page.getByRole('dialog', { name: 'Request' }).getByText(newest).waitFor();
  expect(asked.length).toBeGreaterThan(1);
  expect(new Set(asked.map((query) => query.get('from'))).size, 'one beginning for all that was asked').toBe(1);
  expect(asked.filter((query) => query.has('to'))).toEqual([]);
});

test('a phone shows the list and the details', async ({ page, server }) => {
  const [newest] = await server.api<{ id: string }[]>('GET', '/manage/requests?limit=1');
  await page.setViewportSize({ width: 360, height: 740 });
  await signIn(page, '/admin/#/requests');
  await page.getByText('5 in all').waitFor();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  await checkAccessibility(page);
  await page.goto(`/admin/#/requests?open=${newest!.id}`);
  await page.getByRole('region', { name: 'Timeline' }).waitFor();
  await checkAccessibility(page);
});
