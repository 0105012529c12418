import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Page } from 'playwright-core';

import { atAddress, checkAccessibility, copied, expect, signIn, test } from './kit';

const run = promisify(execFile);
const id = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/;
const snippet = (page: Page) => copied(page, page.getByRole('button', { name: 'Copy the snippet' }));
/** How `make build` has compiled the standard library: from nothing that takes a minute of both processors. */
const compiled = { CGO_ENABLED: '0', GOFLAGS: '-trimpath' };

/** Runs a copied snippet as a person would, with the shell or an interpreter, and returns the id that its answer has. */
async function execute(language: string, code: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'llm-proxy-snippet-'));
  try {
    const options = { cwd: dir, timeout: 200_000, env: { ...process.env, ...compiled } };
    const file = join(dir, { JavaScript: 'hello.mjs', Go: 'main.go' }[language] ?? 'hello.sh');
    await writeFile(file, code);
    const [program, ...args] = { JavaScript: ['node', file], Go: ['go', 'run', file] }[language] ?? ['bash', '-eu', file];
    const { stdout } = await run(program!, args, options);
    expect(stdout, language).toMatch(/\b200\b/);
    const found = (/x-llm-proxy-request-id: (\S+)/i.exec(stdout) ?? /200.* (\S+)/.exec(stdout))?.[1];
    expect(found, stdout).toMatch(id);
    return found!;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

test('from an empty database to the first request, with the copied snippets really executed', async ({ page, server }) => {
  for (const { project_id } of await server.api<{ project_id: string }[]>('GET', '/manage/projects')) {
    await server.api('DELETE', `/manage/projects/${project_id}`);
  }
  await signIn(page);
  await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
  await atAddress(page, '#/overview');
  const card = page.getByRole('region', { name: 'Quick start' });
  await card.getByRole('button', { name: 'Create project and token' }).click();
  await card.getByText('A project needs the key of its provider').waitFor();
  await checkAccessibility(page);
  await card.getByLabel('Name of the project').fill('<b>First</b>');
  await card.getByLabel('Provider key', { exact: true }).fill('sk-fake-demo');
  await page.keyboard.press('Enter');

  await card.getByRole('listitem', { name: 'Create a project and a token, done' }).waitFor();
  await card.getByText('Waiting for it').waitFor();
  await checkAccessibility(page);
  const curl = await snippet(page);
  expect(curl).toContain(`${server.url}/v1/chat/completions`);
  const first = await execute('curl', curl);

  await card.getByRole('status').filter({ hasText: 'has arrived' }).waitFor();
  await card.getByRole('listitem', { name: 'See the first request, done' }).waitFor();
  await page.getByRole('list', { name: 'Figures' }).waitFor();
  await checkAccessibility(page);
  await card.getByRole('link', { name: first }).click();
  await page.getByRole('dialog', { name: 'Request' }).getByText(first).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('row', { name: /<b>First<\/b>.*Quick start/ }).waitFor();

  // Once it is there the card has gone, and comes back when it is asked for.
  await page.goto('/admin/#/overview');
  await page.getByRole('list', { name: 'Figures' }).waitFor();
  expect(await card.count()).toBe(0);
  await page.getByRole('button', { name: 'Quick start' }).click();
  await atAddress(page, 'start=true');
  await card.getByRole('button', { name: 'Create token' }).click();
  for (const language of ['Streaming', 'JavaScript', 'Go']) {
    await card.getByRole('tab', { name: language }).click();
    const seen = await execute(language, await snippet(page));
    await expect.poll(async () => server.api('GET', `/manage/requests/${seen}`).then(() => 'seen', () => 'not yet')).toBe('seen');
    await card.getByRole('listitem', { name: 'See the first request, done' }).waitFor();
    if (language !== 'Go') { // the next one needs its snippet: a quick start of its own
      await card.getByRole('button', { name: 'Done' }).click();
      await page.getByRole('button', { name: 'Quick start' }).click();
      await card.getByRole('button', { name: 'Create token' }).click();
    }
  }
  await card.getByRole('button', { name: 'Close the quick start' }).click();
  await card.waitFor({ state: 'detached' });
  await expect.poll(() => page.url()).not.toContain('start=true');
});

test('what a client library needs is two variables', async ({ page }) => {
  await signIn(page, '/admin/#/overview?start=true');
  const card = page.getByRole('region', { name: 'Quick start' });
  await card.getByRole('button', { name: /Create/ }).click();
  await card.getByRole('tab', { name: 'Environment' }).click();
  const variables = await snippet(page);
  const { stdout } = await run('bash', ['-euc', `${variables}\ncurl -sS "$OPENAI_BASE_URL/models" -H "Authorization: Bearer $OPENAI_API_KEY"`]);
  expect(JSON.parse(stdout)).toMatchObject({ object: 'list' });
  await card.getByRole('tab', { name: 'Python' }).click();
  const python = await snippet(page);
  expect(python).toContain('from openai import OpenAI');
  await run('python3', ['-c', 'import ast, sys; ast.parse(sys.argv[1])', python]);
});
