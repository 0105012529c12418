import { atAddress, checkAccessibility, copied, expect, failsUntilRetried, focused, signIn, test, titled, type Server } from './kit';

interface Token { id: string; name: string; project_id: string; expires_at: string; status: string; max_requests: number | null; requests_per_hour: number | null; request_count: number }
interface Minted extends Token { token: string }

const hostile = '<img src=x onerror="document.title=\'taken\'">';

const project = (server: Server, name: string) => server.api<{ project_id: string; name: string }>('POST', '/manage/projects', { name, api_key: 'sk-fake-provider-key-abcd' });
const mint = (server: Server, project_id: string, rest: object = {}) => server.api<Minted>('POST', '/manage/tokens', { project_id, duration_minutes: 60, ...rest });
const models = (server: Server, token: string) => fetch(`${server.url}/v1/models`, { headers: { Authorization: `Bearer ${token}` } });

test('a token is created, shown once with snippets that hold it, and works', async ({ page, server }) => {
  const { project_id } = await project(server, 'Team A');
  await signIn(page, '/admin/#/tokens');
  await page.getByRole('button', { name: 'Create token' }).click();
  const form = page.getByRole('dialog', { name: 'Create token' });
  await form.getByRole('button', { name: 'Create token' }).click();
  await form.getByText('A token belongs to a project').waitFor();
  await form.getByRole('combobox', { name: 'Project' }).fill('Team');
  await page.getByRole('option', { name: 'Team A' }).click();
  await form.getByLabel('Name').fill('nightly job');
  await form.getByRole('radio', { name: 'Custom' }).check();
  await form.getByRole('button', { name: 'Create token' }).click();
  await form.getByText('Choose a date and a time').waitFor();
  await checkAccessibility(page);
  await form.getByRole('radio', { name: '1 day' }).check();
  await form.getByLabel('Requests in its whole life').fill('500');
  await form.getByLabel('Requests per hour').fill('');
  await form.getByRole('button', { name: 'Create token' }).click();

  const shown = page.getByRole('dialog', { name: 'nightly job' });
  const secret = await shown.getByRole('group', { name: 'Token' }).innerText();
  await shown.getByRole('group', { name: 'Snippet for curl' }).getByText(secret).waitFor();
  await checkAccessibility(page); // before the mouse is over a button, which then has another colour
  expect(await copied(page, shown.getByRole('button', { name: 'Copy the token' }))).toBe(secret);
  expect((await models(server, secret)).status).toBe(200);

  await page.keyboard.press('Escape');
  await page.mouse.click(5, 5);
  await page.evaluate(() => window.history.back());
  expect(await shown.isVisible(), 'nothing but the button closes it').toBe(true);
  expect(await page.getByRole('dialog').count(), 'nor does the way back open the form below it').toBe(1);
  await shown.getByRole('button', { name: 'I stored it' }).click();
  await shown.waitFor({ state: 'detached' });
  expect(await page.content(), 'it is gone from the page').not.toContain(secret);
  await focused(page.getByRole('button', { name: 'Create token' }));

  const row = page.getByRole('row', { name: /nightly job/ });
  await row.getByText('Team A').waitFor();
  await row.getByText('active').waitFor();
  await row.getByText('of 500 in its life').waitFor();
  expect(await row.getByRole('progressbar').count(), 'without a cap there is no bar').toBe(1);
  const [made] = await server.api<Token[]>('GET', `/manage/tokens?project_id=${project_id}`);
  expect(made).toMatchObject({ name: 'nightly job', max_requests: 500, requests_per_hour: null });
  const left = new Date(made!.expires_at).getTime() - Date.now();
  expect(left).toBeGreaterThan(23 * 3600_000);
  expect(left).toBeLessThanOrEqual(24 * 3600_000);
});

test('the list counts down by itself, shows what was used, and a token expires on the screen', async ({ page, server }) => {
  const { project_id } = await project(server, 'Countdown');
  const { token } = await mint(server, project_id, { name: 'short', max_requests: 2, requests_per_hour: 10 });
  await models(server, token);
  await models(server, token);
  await page.clock.install(); // the browser's time can be moved on; it runs meanwhile
  await signIn(page, `/admin/#/tokens?project=${project_id}`);
  const row = page.getByRole('row', { name: /short/ });
  await row.getByText('2 of 2 in its life').waitFor();
  await row.getByText(/^[02] of 10 this hour$/).waitFor(); // 0 if the hour has turned meanwhile
  await row.getByText('exhausted').waitFor();
  const left = row.getByText(/^(59 min \d+ s|5\d min|1 h)/);
  const before = await left.innerText();
  await expect.poll(() => left.innerText()).not.toBe(before);
  await page.clock.fastForward('58:30');
  await row.getByText(/^(1 min( \d+ s)?|\d+ s)$/).waitFor();
  await page.clock.fastForward('01:30');
  await row.getByText('expired').waitFor();
  await row.getByText('over').waitFor();
});

test('one token is extended and its caps are changed', async ({ page, server }) => {
  const { project_id } = await project(server, 'Changes');
  const { id } = await mint(server, project_id, { name: 'old name', max_requests: 5 });
  await signIn(page, `/admin/#/tokens?project=${project_id}`);
  await page.getByRole('button', { name: 'Actions for old name' }).click();
  await page.getByRole('menuitem', { name: 'Extend or change' }).click();
  const form = page.getByRole('dialog', { name: 'Extend or change token' });
  await form.getByLabel('Name').fill('new name');
  await form.getByRole('radio', { name: '30 days' }).check();
  await form.getByLabel('Requests in its whole life').fill('');
  await form.getByLabel('Requests per hour').fill('12');
  await checkAccessibility(page);
  await form.getByRole('button', { name: 'Save' }).click();
  await page.getByText('new name is saved.').waitFor();
  const changed = await server.api<Token>('GET', `/manage/tokens/${id}`);
  expect(changed).toMatchObject({ name: 'new name', max_requests: null, requests_per_hour: 12 });
  expect(new Date(changed.expires_at).getTime() - Date.now()).toBeGreaterThan(29 * 86_400_000);
});

test('a token’s own end is chosen by the keyboard alone, in light and dark', async ({ page, server }) => {
  const { project_id } = await project(server, 'Own end');
  await signIn(page, `/admin/#/tokens?project=${project_id}&create=true`);
  const form = page.getByRole('dialog', { name: 'Create token' });
  await form.getByLabel('Name').fill('own end');
  await form.getByRole('radio', { name: '1 hour' }).focus();
  for (const next of ['1 day', '30 days', 'Custom']) {
    await page.keyboard.press('ArrowRight');
    await expect.poll(() => form.getByRole('radio', { name: next }).isChecked()).toBe(true);
  }
  const field = form.getByLabel('Ends at');
  await field.waitFor();
  await page.keyboard.press('Tab');
  await expect.poll(() => field.evaluate((e) => e === document.activeElement)).toBe(true);
  const [day, year] = await page.evaluate(() => {
    const at = new Date(Date.now() + 7 * 86_400_000);
    return [[at.getMonth() + 1, at.getDate()].map((n) => String(n).padStart(2, '0')).join(''), String(at.getFullYear())];
  }) as [string, string];
  await page.keyboard.type(day + year);
  await page.keyboard.press('Tab'); // a year may have six digits
  await page.keyboard.type('101500AM');
  await expect.poll(() => field.inputValue()).toBe(`${year}-${day.slice(0, 2)}-${day.slice(2)}T10:15`);
  await checkAccessibility(page);
  await page.keyboard.press('Enter');
  await page.getByRole('dialog', { name: 'own end' }).getByRole('button', { name: 'I stored it' }).click();
  const [made] = await server.api<Token[]>('GET', `/manage/tokens?project_id=${project_id}`);
  const wanted = await page.evaluate((text) => new Date(text).getTime(), `${year}-${day.slice(0, 2)}-${day.slice(2)}T10:15:00`);
  expect(Math.abs(new Date(made!.expires_at).getTime() - wanted), 'milliseconds beside it: lifetimes are whole minutes').toBeLessThanOrEqual(120_000);
});

test('what somebody else has changed meanwhile is not overwritten', async ({ page, server, strict }) => {
  strict.allow(/412 \(Precondition Failed\)/);
  const { project_id } = await project(server, 'Shared');
  const { id } = await mint(server, project_id, { name: 'shared' });
  await signIn(page, `/admin/#/tokens?project=${project_id}`);
  await page.getByRole('button', { name: 'Actions for shared' }).click();
  await page.getByRole('menuitem', { name: 'Extend or change' }).click();
  const form = page.getByRole('dialog', { name: 'Extend or change token' });
  await form.getByLabel('Requests per hour').fill('1');
  await server.api('PATCH', `/manage/tokens/${id}`, { requests_per_hour: 77 });
  await form.getByRole('button', { name: 'Save' }).click();
  await form.getByText('Somebody else has changed this token').waitFor();
  expect((await server.api<Token>('GET', `/manage/tokens/${id}`)).requests_per_hour).toBe(77);
  await page.getByText('0 of 77 this hour').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Actions for shared' }).click();
  await page.getByRole('menuitem', { name: 'Extend or change' }).click();
  await expect.poll(() => form.getByLabel('Requests per hour').inputValue()).toBe('77');
});

test('a rotated token has a new secret, and the one before works for the grace alone', async ({ page, server }) => {
  const { project_id } = await project(server, 'Rotation');
  const old = await mint(server, project_id, { name: 'turning' });
  await signIn(page, `/admin/#/tokens?project=${project_id}`);
  const rotate = async (grace: string) => {
    await page.getByRole('button', { name: 'Actions for turning' }).click();
    await page.getByRole('menuitem', { name: 'Rotate' }).click();
    const question = page.getByRole('dialog', { name: 'Rotate token' });
    await question.getByLabel('Grace in minutes').fill(grace);
    await checkAccessibility(page);
    await question.getByRole('button', { name: 'Rotate token' }).click();
    const shown = page.getByRole('dialog', { name: 'turning' });
    const secret = await shown.getByRole('group', { name: 'Token' }).innerText();
    await shown.getByRole('button', { name: 'I stored it' }).click();
    await shown.waitFor({ state: 'detached' });
    return secret;
  };
  const second = await rotate('30');
  expect([(await models(server, old.token)).status, (await models(server, second)).status]).toEqual([200, 200]);
  const third = await rotate('0');
  expect([(await models(server, second)).status, (await models(server, third)).status]).toEqual([401, 200]);
});

test('tokens are revoked: one, those that were chosen, and all of a project', async ({ page, server }) => {
  const { project_id } = await project(server, 'Revocation');
  const made: Minted[] = [];
  for (const name of ['one', 'two', 'three', 'four', 'five']) {
    made.push(await mint(server, project_id, { name }));
  }
  const statuses = async () => (await server.api<Token[]>('GET', `/manage/tokens?project_id=${project_id}`)).map(({ name, status }) => `${name} ${status}`).sort();
  await signIn(page, `/admin/#/tokens?project=${project_id}`);

  await page.getByRole('button', { name: 'Actions for one' }).click();
  await focused(page.getByRole('menuitem', { name: 'Extend or change' }));
  await checkAccessibility(page);
  await page.getByRole('menuitem', { name: 'Revoke' }).click();
  const single = page.getByRole('dialog', { name: 'Revoke token' });
  await checkAccessibility(page);
  await single.getByRole('button', { name: 'Revoke token' }).click();
  await page.getByText('one is revoked.').waitFor();
  await page.getByRole('row', { name: /one/ }).getByText('revoked', { exact: true }).waitFor();
  expect((await models(server, made[0]!.token)).status).toBe(401);
  expect(await page.getByRole('checkbox', { name: 'Choose one' }).isDisabled()).toBe(true);

  await page.getByRole('checkbox', { name: 'Choose two' }).check();
  await page.getByRole('checkbox', { name: 'Choose three' }).check();
  await page.getByText('2 chosen').waitFor();
  await checkAccessibility(page);
  await page.getByRole('button', { name: 'Revoke them' }).click();
  await page.getByRole('dialog', { name: 'Revoke tokens' }).getByRole('button', { name: 'Revoke 2 tokens' }).click();
  await page.getByText('2 tokens are revoked.').waitFor();
  await page.getByText('2 chosen').waitFor({ state: 'detached' });
  expect(await statuses()).toEqual(['five active', 'four active', 'one revoked', 'three revoked', 'two revoked']);

  await page.getByRole('button', { name: 'Revoke all of the project' }).click();
  const all = page.getByRole('dialog', { name: 'Revoke all tokens of a project' });
  expect(await all.getByRole('button', { name: 'Revoke all' }).isDisabled()).toBe(true);
  await all.getByLabel(/Type Revocation to confirm/).fill('Revocation');
  await all.getByRole('button', { name: 'Revoke all' }).click();
  await page.getByText('2 tokens of Revocation revoked.').waitFor();
  expect(await statuses()).toEqual(['five revoked', 'four revoked', 'one revoked', 'three revoked', 'two revoked']);
});

test('the list is searched, filtered and read page after page, and the address says so', async ({ page, server }) => {
  const { project_id, name } = await project(server, 'Many');
  await Promise.all(Array.from({ length: 60 }, (_, n) => mint(server, project_id, { name: `job ${String(n).padStart(2, '0')}`, duration_minutes: n === 17 ? 30 : 3000 })));
  await signIn(page, '/admin/#/tokens');
  await page.getByRole('combobox', { name: 'Project' }).fill('Man');
  await page.getByRole('option', { name }).click();
  const rows = page.getByRole('row', { name: /job/ });
  await expect.poll(() => rows.count()).toBe(50);
  await atAddress(page, `project=${project_id}`);
  expect(await page.getByRole('combobox', { name: 'Expires' }).getAttribute('placeholder')).toBe('Any expiry');
  await page.getByRole('combobox', { name: 'Expires' }).click();
  await page.getByRole('option', { name: 'Expires within 1h' }).click();
  await page.getByText('1 in all').waitFor();
  await page.getByRole('row', { name: /job 17/ }).waitFor();
  await page.getByRole('combobox', { name: 'State' }).click();
  await page.getByRole('option', { name: 'revoked' }).click();
  await page.getByText('No token fits.').waitFor();
  await atAddress(page, 'status=revoked');
  await page.getByRole('button', { name: 'Show all' }).click();
  await page.getByRole('combobox', { name: 'Project' }).fill('Man');
  await page.getByRole('option', { name }).click();
  await page.getByRole('combobox', { name: 'Sorted by' }).click();
  await page.getByRole('option', { name: 'Ends soonest' }).click();
  await page.getByRole('row').nth(1).getByText('job 17').waitFor();
  await page.getByRole('combobox', { name: 'Sorted by' }).click();
  await page.getByRole('option', { name: 'Name' }).click();
  await page.getByRole('row').nth(1).getByText('job 00').waitFor();
  expect(page.url()).toContain('sort=name');
  await page.getByRole('button', { name: 'Show more' }).click();
  await page.getByRole('row').nth(60).getByText('job 59').waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('job 42');
  await page.getByText('1 in all').waitFor();
  await atAddress(page, 'q=job+42');
});

test('a hostile name is text in the list and in every dialog', async ({ page, server }) => {
  const { project_id } = await project(server, hostile);
  await mint(server, project_id, { name: hostile });
  await signIn(page, `/admin/#/tokens?project=${project_id}`);
  const row = page.getByRole('row').filter({ has: page.getByRole('link', { name: hostile }) });
  await row.getByRole('cell', { name: hostile, exact: true }).first().waitFor();
  for (const [item, dialog] of [['Extend or change', 'Extend or change token'], ['Rotate', 'Rotate token'], ['Revoke', 'Revoke token']] as const) {
    await page.getByRole('button', { name: `Actions for ${hostile}` }).click();
    await page.getByRole('menuitem', { name: item }).click();
    await page.getByRole('dialog', { name: dialog }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await focused(page.getByRole('button', { name: `Actions for ${hostile}` }));
  }
  await page.getByRole('button', { name: 'Revoke all of the project' }).click();
  await page.getByRole('dialog').getByText(hostile).waitFor();
  await titled(page, 'Tokens · llm-proxy');
  expect(await page.locator('img[src="x"]').count()).toBe(0);
});

test('a refusal is said where it happened, and a list that cannot be read tries again', async ({ page, server, strict }) => {
  const { project_id } = await project(server, 'Failing');
  await mint(server, project_id, { name: 'failing' });
  await failsUntilRetried(page, strict, { asks: '**/manage/tokens?*', at: `/admin/#/tokens?project=${project_id}`, then: page.getByRole('link', { name: 'failing' }) });

  await page.route('**/manage/tokens', (route) =>
    route.fulfill({ status: 503, contentType: 'application/problem+json', body: JSON.stringify({ title: 'Service Unavailable', status: 503, detail: 'Nothing was done.' }) }));
  await page.getByRole('button', { name: 'Actions for failing' }).click();
  await page.getByRole('menuitem', { name: 'Revoke' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke token' }).click();
  await page.getByRole('dialog').getByText('Nothing was done.').waitFor();
});

test('a phone shows all of it, and nothing stands out to the side', async ({ page, server }) => {
  const { project_id } = await project(server, 'Phone');
  await mint(server, project_id, { name: 'pocket' });
  await page.setViewportSize({ width: 360, height: 740 });
  await signIn(page, `/admin/#/tokens?project=${project_id}`);
  await page.getByRole('link', { name: 'pocket' }).waitFor();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  await page.getByRole('button', { name: 'Create token' }).click();
  const form = page.getByRole('dialog', { name: 'Create token' });
  await form.getByRole('radio', { name: '30 days' }).waitFor();
  await checkAccessibility(page);
  await form.getByRole('button', { name: 'Create token' }).click();
  const shown = page.getByRole('dialog', { name: /^Token / });
  await shown.getByRole('button', { name: 'I stored it' }).waitFor();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
});
