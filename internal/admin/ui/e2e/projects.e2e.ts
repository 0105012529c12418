import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { atAddress, checkAccessibility, expect, failsUntilRetried, focused, signIn, test, titled } from './kit';

interface Project { project_id: string; name: string; description: string; is_active: boolean; key_hint?: string; metadata: Record<string, string>; capture?: string; endpoints: string[] }

const hostile = '<img src=x onerror="document.title=\'taken\'">';

test('a project is created, changed, switched off and on, and deleted', async ({ page, server }) => {
  await signIn(page, '/admin/#/projects');
  await page.getByRole('button', { name: 'Create project' }).click();
  const form = page.getByRole('dialog', { name: 'Create project' });
  await form.getByRole('button', { name: 'Create project' }).click();
  await form.getByText('A project needs a name').waitFor();
  await form.getByLabel('Name', { exact: false }).first().fill('Team A');
  await form.getByLabel('Description').fill('For the tests');
  await form.getByLabel('Provider key', { exact: true }).fill('sk-fake-provider-key-wxyz');
  await form.getByRole('button', { name: 'Add entry' }).click();
  await form.getByLabel('Key 1').fill('team');
  await form.getByLabel('Value 1').fill('a');
  await checkAccessibility(page);
  await form.getByRole('button', { name: 'Create project' }).click();
  await page.getByText('Team A is created.').waitFor();
  const row = page.getByRole('row', { name: /Team A/ });
  await row.getByText('…wxyz').waitFor();

  const find = async () => (await server.api<Project[]>('GET', '/manage/projects?q=Team')).find(({ name }) => name.startsWith('Team'));
  expect(await find()).toMatchObject({ name: 'Team A', description: 'For the tests', metadata: { team: 'a' }, endpoints: ['inference'], key_hint: 'wxyz' });

  await row.getByRole('button', { name: 'Team A', exact: true }).click();
  const edit = page.getByRole('dialog', { name: 'Edit project' });
  expect(await edit.getByLabel('Provider key', { exact: true }).inputValue(), 'a key never comes back').toBe('');
  await edit.getByLabel('Name', { exact: false }).first().fill('Team B');
  await edit.getByLabel('Provider key', { exact: true }).fill('sk-fake-provider-key-1234');
  await edit.getByLabel('Capture').click();
  await page.getByRole('option', { name: /Metadata/ }).click();
  await edit.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Team B is saved.').waitFor();
  expect(await find()).toMatchObject({ name: 'Team B', description: 'For the tests', key_hint: '1234', capture: 'metadata', metadata: { team: 'a' } });

  const menu = async (item: string) => {
    await page.getByRole('button', { name: 'Actions for Team B' }).click();
    await page.getByRole('menuitem', { name: item, exact: true }).click();
  };
  await menu('Deactivate');
  await page.getByRole('row', { name: /Team B/ }).getByText('inactive').waitFor();
  expect((await find())!.is_active).toBe(false);
  await menu('Activate');
  await page.getByText('Team B is active: its tokens work.').waitFor();
  await focused(page.getByRole('button', { name: 'Actions for Team B' }));
  expect((await find())!.is_active).toBe(true);

  await menu('Delete');
  const question = page.getByRole('dialog', { name: 'Delete project' });
  expect(await question.getByRole('button', { name: 'Delete project' }).isDisabled()).toBe(true);
  await question.getByLabel(/Type Team B to confirm/).fill('Team');
  expect(await question.getByRole('button', { name: 'Delete project' }).isDisabled()).toBe(true);
  await question.getByLabel(/Type Team B to confirm/).fill('Team B');
  await checkAccessibility(page);
  await question.getByRole('button', { name: 'Delete project' }).click();
  await page.getByText('Team B is deleted.').waitFor();
  await page.getByRole('row', { name: /Team B/ }).waitFor({ state: 'detached' });
  expect(await find()).toBeUndefined();
});

test('a project is of one of the providers that there are', async ({ another }) => {
  const dir = await mkdtemp(join(tmpdir(), 'llm-proxy-providers-'));
  try {
    const file = join(dir, 'providers.yaml');
    await writeFile(file, 'default: openai\nproviders:\n  openai:\n    preset: openai\n  claude:\n    preset: anthropic\n');
    const { server, page } = await another({ LLM_PROXY_PROVIDERS: file, MANAGEMENT_TOKEN: 'sk-fake-management-token-0123456789abcdef' }, []);
    await signIn(page, '/admin/#/projects?edit=new');
    const form = page.getByRole('dialog', { name: 'Create project' });
    await form.getByLabel('Name', { exact: false }).first().fill('Of another');
    await form.getByRole('combobox', { name: 'Provider' }).click();
    await page.getByRole('option', { name: 'claude' }).click();
    await form.getByLabel('Provider key', { exact: true }).fill('sk-fake-provider-key-wxyz');
    await form.getByRole('button', { name: 'Create project' }).click();
    await page.getByRole('row', { name: /Of another.*claude/ }).waitFor();
    expect(await server.api('GET', '/manage/projects')).toMatchObject([{ name: 'Of another', provider: 'claude' }]);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test('a hostile name is text', async ({ page, server }) => {
  await server.api('POST', '/manage/projects', { name: hostile, description: hostile, api_key: 'sk-fake-provider-key-abcd', metadata: { [hostile.slice(0, 40)]: hostile } });
  await signIn(page, '/admin/#/projects');
  await page.getByRole('button', { name: hostile, exact: true }).click();
  await page.getByRole('dialog', { name: 'Edit project' }).getByLabel('Value 1').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: `Actions for ${hostile}` }).click();
  await page.getByRole('menuitem', { name: 'Deactivate' }).click();
  await page.getByText('is inactive: its tokens are refused.').locator('bdi').getByText(hostile).waitFor(); // its direction is its own
  expect(await page.getByRole('row', { name: 'inactive' }).locator('.mantine-Badge-label').evaluate((e) => e.scrollWidth <= e.clientWidth), 'the state is not cut off').toBe(true);
  await page.getByRole('button', { name: `Actions for ${hostile}` }).click();
  await page.getByRole('menuitem', { name: 'Delete' }).click();
  const typed = page.getByRole('dialog', { name: 'Delete project' }).getByText(hostile);
  expect(await typed.evaluate((e) => getComputedStyle(e).unicodeBidi)).toBe('isolate');
  await titled(page, 'Projects · llm-proxy');
  expect(await page.locator('img[src="x"]').count()).toBe(0);
});

test('what somebody else has changed meanwhile is not overwritten', async ({ page, server, strict }) => {
  strict.allow(/412 \(Precondition Failed\)/);
  const { project_id } = await server.api<Project>('POST', '/manage/projects', { name: 'Shared', api_key: 'sk-fake-provider-key-abcd' });
  await signIn(page, `/admin/#/projects?edit=${project_id}`);
  const form = page.getByRole('dialog', { name: 'Edit project' });
  await form.getByLabel('Description').fill('mine');
  await server.api('PATCH', `/manage/projects/${project_id}`, { description: 'theirs' });
  await form.getByRole('button', { name: 'Save' }).click();
  const said = form.getByText('Somebody else has changed this project');
  await said.waitFor();
  await page.getByRole('row', { name: /Shared.*theirs/, includeHidden: true }).waitFor(); // what shows is read anew; the form is still one of what it began with
  await form.getByRole('button', { name: 'Save' }).click();
  await said.waitFor();
  expect((await server.api<Project>('GET', `/manage/projects/${project_id}`)).description).toBe('theirs');
  await page.keyboard.press('Escape');
  await form.waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Shared', exact: true }).click();
  await expect.poll(() => form.getByLabel('Description').inputValue()).toBe('theirs');
  await form.getByLabel('Description').fill('mine, knowing theirs');
  await form.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Shared is saved.').waitFor();
});

test('what the server refuses is said beside its field', async ({ page, strict }) => {
  strict.allow(/400 \(Bad Request\)/);
  await signIn(page, '/admin/#/projects?edit=new');
  const form = page.getByRole('dialog', { name: 'Create project' });
  await form.getByLabel('Name', { exact: false }).first().fill('Both');
  await form.getByLabel('Provider key', { exact: true }).fill('sk-fake-provider-key-abcd');
  await form.getByLabel('Name of a secret').fill('some/secret');
  await form.getByRole('button', { name: 'Create project' }).click();
  await form.getByText(/api_key/).first().waitFor();
});

test('a list is searched, filtered and read page after page, and the address says so', async ({ page, server }) => {
  await Promise.all(Array.from({ length: 60 }, (_, n) => server.api('POST', '/manage/projects', { name: `Many ${String(n).padStart(2, '0')}`, api_key: 'sk-fake-provider-key-abcd' })));
  await signIn(page, '/admin/#/projects?q=Many');
  const rows = page.getByRole('row', { name: /Many/ });
  await rows.first().waitFor();
  expect(await rows.count()).toBe(50);
  await page.getByRole('button', { name: 'Show more' }).click();
  await page.getByText('60 in all').waitFor();
  expect(await rows.count()).toBe(60);
  await checkAccessibility(page);

  await page.getByLabel('Search by name').fill('Many 17');
  await page.getByText('1 in all').waitFor();
  await atAddress(page, 'q=Many+17');
  await page.getByText('Inactive', { exact: true }).click();
  await page.getByText('No project fits.').waitFor();
  await atAddress(page, 'active=false');
  await page.getByRole('button', { name: 'Show all' }).click();
  await page.getByRole('button', { name: 'Show more' }).waitFor();
});

test('a list that cannot be read says why and tries again', async ({ page, strict }) => {
  await failsUntilRetried(page, strict, { asks: '**/manage/projects?*', at: '/admin/#/projects?q=Demo', then: page.getByRole('button', { name: 'Demo', exact: true }) });
});
