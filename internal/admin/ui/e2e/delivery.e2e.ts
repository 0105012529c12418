import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { checkAccessibility, expect, failsUntilRetried, signIn, test } from './kit';

interface Destination { name: string; state: string; dead_letters: number; delivered: number }

const events = async (dir: string) => (await readFile(join(dir, 'events.jsonl'), 'utf8')).trim().split('\n').map((line) => JSON.parse(line) as { id: string; test?: boolean });

const letter = `${JSON.stringify({
  time: '2026-11-22T10:20:35.456Z', destination: 'file', reason: 'no space <b>', attempts: 1,
  event: { version: 1, id: '019aab3c-0000-7000-8000-000000000001', time: '2026-11-22T10:20:35.456Z', method: 'GET', path: '/v1/models', outcome: 'complete', stream: false, timing: {}, request: { bytes: 0 }, response: { bytes: 0 } },
})}\n`;

test('destinations are shown with how they go, tested, and sent their dead letters again', async ({ page, server }) => {
  const answer = await fetch(`${server.url}/v1/models`, { headers: { Authorization: `Bearer ${server.demoToken}` } });
  expect(answer.status).toBe(200);
  await expect.poll(async () => (await server.api<Destination[]>('GET', '/manage/destinations')).find(({ name }) => name === 'file')?.delivered).toBeGreaterThan(0);
  await writeFile(join(server.dir, 'dead-letters.jsonl'), letter, { mode: 0o600 });

  await signIn(page, '/admin/#/delivery');
  const file = page.getByRole('region', { name: 'file', exact: true });
  await file.getByText('ok', { exact: true }).waitFor();
  await file.getByRole('row', { name: /^Dead letters/ }).getByText('1', { exact: true }).waitFor();
  await file.getByRole('row', { name: /^Last delivery/ }).getByText(/ago/).waitFor();
  const ledger = page.getByRole('region', { name: 'ledger', exact: true });
  await ledger.getByText('a test is none').waitFor();
  expect(await ledger.getByRole('button', { name: 'Send a test event' }).count()).toBe(0);
  await checkAccessibility(page);

  await file.getByRole('button', { name: 'Send a test event' }).click();
  await file.getByText('file has taken the test event.').waitFor();
  expect((await events(server.dir)).filter((event) => event.test).length).toBe(1);
  await checkAccessibility(page);

  await file.getByRole('button', { name: 'Send dead letters again' }).click();
  const question = page.getByRole('dialog', { name: 'Send dead letters again' });
  await question.getByText('1 events that file did not take').waitFor();
  await checkAccessibility(page);
  await question.getByRole('button', { name: 'Cancel' }).click();
  await question.waitFor({ state: 'detached' });
  expect((await events(server.dir)).some(({ id }) => id.startsWith('019aab3c')), 'nothing is sent before it is confirmed').toBe(false);
  await file.getByRole('button', { name: 'Send dead letters again' }).click();
  await question.getByRole('button', { name: 'Send again' }).click();
  await page.getByText('1 dead letters are being sent to file again.').waitFor();
  await file.getByRole('row', { name: /^Dead letters/ }).getByText('0', { exact: true }).waitFor();
  expect((await events(server.dir)).some(({ id }) => id.startsWith('019aab3c'))).toBe(true);
  await file.getByRole('button', { name: 'Send dead letters again' }).waitFor({ state: 'detached' });
});

test('without a destination the screen says how to switch one on', async ({ another }) => {
  const { server, page } = await another({ LLM_PROXY_LEDGER: 'false', MANAGEMENT_TOKEN: 'sk-fake-management-token-0123456789abcdef' }, []);
  expect(await server.api('GET', '/manage/destinations')).toEqual([]);
  await signIn(page, '/admin/#/delivery');
  await page.getByRole('heading', { name: 'No destination yet' }).waitFor();
  await page.getByText('llm-proxy dispatcher --service webhook').waitFor();
  await checkAccessibility(page);
});

test('a destination that does not take events says so, and why a test was not taken', async ({ another }) => {
  const { server, page } = await another();
  const log = join(server.dir, 'events.jsonl');
  const send = () => fetch(`${server.url}/v1/models`, { headers: { Authorization: `Bearer ${server.demoToken}` } });
  await send();
  const file = async () => (await server.api<Destination[]>('GET', '/manage/destinations')).find(({ name }) => name === 'file');
  await expect.poll(async () => (await file())?.delivered).toBe(1);
  await rename(log, `${log}.aside`);
  await mkdir(log); // a folder takes no line
  await send();
  await expect.poll(async () => (await file())?.state, { timeout: 90_000 }).toBe('failing');
  await signIn(page, '/admin/#/delivery');
  const card = page.getByRole('region', { name: 'file', exact: true });
  await card.getByText('failing', { exact: true }).waitFor();
  await card.getByRole('row', { name: /^Last error/ }).getByText(/events\.jsonl/).waitFor();
  await card.getByRole('row', { name: /^Oldest waiting/ }).getByText(/^for /).waitFor();
  await card.getByRole('button', { name: 'Send a test event' }).click();
  await card.getByRole('alert').getByText(/events\.jsonl/).waitFor();
  await checkAccessibility(page);
  await rm(log, { recursive: true });
});

test('a list that cannot be read says why and tries again', async ({ page, strict }) => {
  await failsUntilRetried(page, strict, { asks: '**/manage/destinations', at: '/admin/#/delivery', then: page.getByRole('region', { name: 'ledger', exact: true }) });
});
