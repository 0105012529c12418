import { readFile } from 'node:fs/promises';

import { atAddress, checkAccessibility, copied, expect, failsUntilRetried, signIn, test, type Server } from './kit';

interface Entry { id: string; action: string; outcome: string; actor: string; project_id?: string; request_id?: string; before: Record<string, string>; after: Record<string, string> }
interface Project { project_id: string; name: string }

const key = 'sk-fake-provider-key-abcd';
const formula = '=cmd("calc")';

/** The cells of a CSV file (RFC 4180), row after row. */
function cellsOf(csv: string): string[][] {
  return csv.trimEnd().split(/\r?\n(?=(?:[^"]*"[^"]*")*[^"]*$)/).map((row) =>
    [...row.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? ''));
}

async function makeProject(server: Server, name: string): Promise<Project> {
  return server.api<Project>('POST', '/manage/projects', { name, api_key: key });
}

test('who did what: changed fields before and after, never a secret', async ({ page, server }) => {
  const { project_id } = await makeProject(server, 'Audited');
  await server.api('PATCH', `/manage/projects/${project_id}`, { name: 'Audited anew', description: 'now with words' });
  const token = await server.api<{ id: string }>('POST', '/manage/tokens', { project_id, duration_minutes: 60, name: 'told of' });
  await signIn(page, `/admin/#/audit?project_id=${project_id}`);
  await page.getByText('3 in all').waitFor();
  await page.getByRole('row', { name: /token\.create.*Token told of.*of Audited anew/ }).waitFor();
  await page.getByRole('row', { name: /project\.update.*Project Audited anew/ }).waitFor();
  await checkAccessibility(page);
  await page.getByRole('button', { name: 'project.update' }).click();
  const drawer = page.getByRole('dialog', { name: 'Audit entry' });
  const row = drawer.getByRole('row', { name: /^name/ });
  await row.getByText('Audited anew', { exact: true }).waitFor();
  expect(await row.getByRole('cell').allInnerTexts()).toEqual(['Audited', 'Audited anew']);
  expect(await drawer.getByRole('row', { name: /^description/ }).getByRole('cell').allInnerTexts()).toEqual(['none', 'now with words']);
  expect(await drawer.getByRole('row', { name: /^Who/ }).innerText()).toContain('token');
  expect(await drawer.getByRole('row', { name: /^Project/ }).innerText(), 'the name and the id').toMatch(new RegExp(`Audited anew\\s+${project_id}`));
  await checkAccessibility(page);
  expect(JSON.parse(await copied(page, drawer.getByRole('button', { name: 'Copy as JSON' })))).toMatchObject({ action: 'project.update', project_id });
  await drawer.getByRole('button', { name: 'Only of this request' }).click();
  await page.getByText('1 in all').waitFor();
  await atAddress(page, /request_id=/);
  expect(await page.content()).not.toContain(key);

  await page.goto(`/admin/#/audit?token_id=${token.id}`);
  await page.getByRole('button', { name: 'token.create' }).click();
  expect(await drawer.getByRole('row', { name: /^Token/ }).innerText()).toMatch(new RegExp(`told of\\s+${token.id}`));
});

test('what was refused stands there with its reason', async ({ page, server }) => {
  await fetch(`${server.url}/manage/projects`, { headers: { Authorization: 'Bearer sk-fake-not-the-management-token-000000' } });
  await signIn(page, '/admin/#/audit');
  await page.getByRole('button', { name: 'session.create' }).first().waitFor();
  await page.getByText('Refused', { exact: true }).click();
  await page.getByRole('button', { name: 'authenticate' }).first().waitFor();
  await page.getByRole('button', { name: 'session.create' }).first().waitFor({ state: 'detached' });
  await atAddress(page, 'outcome=refused');
});

test('each filter of the API is in the address, and can be taken away again', async ({ page, server }) => {
  const { project_id } = await makeProject(server, 'Filtered');
  const token = await server.api<{ id: string }>('POST', '/manage/tokens', { project_id, duration_minutes: 60, name: 'filtered token' });
  const [created] = (await server.api<Entry[]>('GET', `/manage/audit?token_id=${token.id}`));
  await signIn(page, '/admin/#/audit');
  const asked = (...what: string[]) => page.waitForRequest((request) => what.every((part) => request.url().includes('/manage/audit?') && request.url().includes(part)));

  await Promise.all([asked('q=filtered'), page.getByLabel('Search action, actor, reason or value').fill('filtered')]);
  await page.getByRole('combobox', { name: 'Action' }).click();
  await Promise.all([asked('q=filtered', 'action=token.create'), page.getByRole('option', { name: 'token.create' }).click()]);
  await page.getByText('Done', { exact: true }).click();
  await page.getByText('1 in all').waitFor();

  await page.getByRole('button', { name: 'More filters' }).click();
  await page.getByRole('textbox', { name: 'Actor' }).fill('token');
  await page.getByLabel('Project id').fill('no id');
  await page.getByRole('button', { name: 'Show', exact: true }).click();
  await page.getByText('This is no id').waitFor();
  await checkAccessibility(page);
  await page.getByLabel('Project id').fill(project_id);
  await page.getByLabel('Token id').fill(token.id);
  await page.getByLabel('Request id').fill(created!.request_id!);
  await Promise.all([asked('actor=token', `project_id=${project_id}`, `token_id=${token.id}`, `request_id=${created!.request_id}`, 'outcome=done', 'from='), page.getByRole('button', { name: 'Show', exact: true }).click()]);
  await page.getByText('1 in all').waitFor();
  for (const part of ['q=filtered', 'action=token.create', 'outcome=done', 'actor=token', `project_id=${project_id}`, `token_id=${token.id}`]) {
    await atAddress(page, part);
  }
  await page.reload();
  await page.getByText('1 in all').waitFor();
  await page.getByRole('button', { name: 'Without the filter Token id' }).click();
  await expect.poll(() => page.url()).not.toContain('token_id');
  await page.getByLabel('Search action, actor, reason or value').fill('no such words');
  await page.getByText('No entry of this time fits.').waitFor();
  await page.getByRole('button', { name: 'Show all' }).click();
  await page.getByRole('button', { name: 'session.create' }).first().waitFor();
  await expect.poll(() => page.url()).not.toContain('project_id');
});

test('a time is a preset or any two moments', async ({ page, server }) => {
  await makeProject(server, 'Timed');
  await signIn(page, '/admin/#/audit');
  await page.getByText('7d', { exact: true }).click();
  await atAddress(page, 'range=7d');
  await page.getByRole('button', { name: 'Custom' }).click();
  await page.getByLabel('From').fill('2020-01-01T00:00:00');
  await page.getByLabel('To', { exact: true }).fill('2019-02-01T00:00:00');
  await page.getByText('Must be after From').waitFor();
  expect(await page.getByRole('button', { name: 'Show', exact: true }).isDisabled()).toBe(true);
  await checkAccessibility(page);
  await page.getByLabel('To', { exact: true }).fill('2020-02-01T00:00:00');
  await page.getByRole('button', { name: 'Show', exact: true }).click();
  await page.getByRole('heading', { name: 'Nothing in this time' }).waitFor();
  await checkAccessibility(page);
  await page.getByRole('button', { name: 'Show 30 days' }).click();
  await page.getByRole('button', { name: 'project.create' }).first().waitFor();
});

test('an export has all that the filter lets through; no cell of it is a formula', async ({ page, server }) => {
  const { project_id } = await makeProject(server, 'Exported');
  for (let n = 0; n < 3; n++) {
    await server.api('PATCH', `/manage/projects/${project_id}`, { description: `${formula} ${n}` }, { 'X-Forwarded-For': formula });
  }
  await signIn(page, `/admin/#/audit?project_id=${project_id}&action=project.update`);
  await page.getByText('3 in all').waitFor();
  const save = async (name: RegExp) => {
    await page.getByRole('button', { name: 'Export' }).click();
    await page.getByRole('menuitem', { name }).waitFor();
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('menuitem', { name }).click()]);
    return { name: download.suggestedFilename(), text: await readFile(await download.path(), 'utf8') };
  };
  const lines = await save(/JSON lines/);
  expect(lines.name).toBe('audit.jsonl');
  const entries = lines.text.trim().split('\n').map((line) => JSON.parse(line) as Entry);
  expect(entries.map((e) => [e.action, e.after.description])).toEqual([2, 1, 0].map((n) => ['project.update', `${formula} ${n}`]));
  const sheet = await save(/CSV/);
  expect(sheet.name).toBe('audit.csv');
  const [head, ...rows] = cellsOf(sheet.text);
  const at = (row: string[], column: string) => row[head!.indexOf(column)]!;
  expect(rows.map((row) => [at(row, 'action'), JSON.parse(at(row, 'after'))])).toEqual([2, 1, 0].map((n) => ['project.update', { description: `${formula} ${n}` }]));
  expect(rows.map((row) => at(row, 'forwarded'))).toEqual(Array(3).fill(`'${formula}`));
  expect(rows.flat().filter((cell) => /^[=+@\t\r-]/.test(cell))).toEqual([]);
});

test('a list that cannot be read says why and tries again', async ({ page, strict }) => {
  await failsUntilRetried(page, strict, { asks: '**/manage/audit?*', at: '/admin/#/audit', then: page.getByRole('button', { name: 'session.create' }) });
});
