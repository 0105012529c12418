import type { Page } from 'playwright-core';

import { checkAccessibility, expect, signIn, test, titled } from './kit';

const hostile = '<img src=x onerror="document.title=\'taken\'">';

test('a question is asked with a pasted token, and its figures are told', async ({ page, strict, server }) => {
  strict.allow(/404 \(Not Found\).*\/manage\/requests\//); // until the ledger has the request
  await signIn(page, '/admin/#/playground');
  await checkAccessibility(page);
  expect(await page.getByRole('button', { name: 'Ask' }).isDisabled()).toBe(true);
  await page.getByRole('textbox', { name: 'Token' }).fill(server.demoToken);
  await page.getByRole('textbox', { name: 'Message' }).fill(hostile);
  const sent = page.waitForRequest('**/v1/chat/completions');
  await page.keyboard.press('Control+Enter');
  expect((await (await sent).allHeaders()).cookie, 'the session stays here').toBeUndefined();

  const answer = page.getByRole('region', { name: 'Answer' });
  await answer.getByText('complete').waitFor();
  await answer.getByText(hostile).waitFor();
  const id = await answer.locator('code').innerText();
  await expect.poll(() => server.api('GET', `/manage/requests/${id}`).then(() => true, () => false)).toBe(true);
  const entry = await server.api<{ outcome: string; stream: boolean; usage: { input: number; output: number } }>('GET', `/manage/requests/${id}`);
  expect(entry).toMatchObject({ outcome: 'complete', stream: true });
  expect(await answer.locator('dd').allInnerTexts()).toEqual(expect.arrayContaining([id, '200', String(entry.usage.input), String(entry.usage.output)]));
  expect(await answer.getByText(/^\d+(\.\d+)? (µs|ms|s)$/).count(), 'first byte and latency').toBe(2);
  await answer.getByText(/^\$0\.\d+$/).waitFor(); // the cost, once the ledger has it
  await checkAccessibility(page);
  expect(await page.locator('img[src="x"]').count()).toBe(0);
  await titled(page, 'Playground · llm-proxy');

  expect(await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }) + window.location.href)).not.toContain(server.demoToken);
  await page.keyboard.press('Escape');
  await page.goto('/admin/#/projects');
  await page.getByRole('heading', { level: 1, name: 'Projects' }).waitFor();
  await page.goto('/admin/#/playground');
  expect(await page.getByRole('textbox', { name: 'Token' }).inputValue(), 'it is gone when one leaves').toBe('');
});

/** Lets the demo provider misbehave: the playground has no header for that. */
const misbehaves = (page: Page, how: string) => page.route('**/v1/chat/completions', (route) => route.continue({ headers: { ...route.request().headers(), 'x-demo': how } }));

test('an answer that goes on too long is stopped, and what came of it stays', async ({ page, strict, server }) => {
  strict.allow(/404 \(Not Found\).*\/manage\/requests\//);
  await misbehaves(page, 'events=20, hang-after=5');
  await signIn(page, '/admin/#/playground');
  await page.getByRole('textbox', { name: 'Token' }).fill(server.demoToken);
  await page.getByRole('textbox', { name: 'Message' }).fill('Tell me a story about a long river');
  await page.getByRole('button', { name: 'Ask' }).click();
  const answer = page.getByRole('region', { name: 'Answer' });
  await answer.getByRole('paragraph').first().waitFor(); // a part of the text
  await answer.getByText('answering', { exact: true }).waitFor();
  expect(await page.getByRole('button', { name: 'Ask' }).isDisabled(), 'one at a time').toBe(true);
  await page.getByRole('button', { name: 'Stop' }).click();
  await answer.getByText('stopped', { exact: true }).waitFor();
  expect((await answer.getByRole('paragraph').first().innerText()).length).toBeGreaterThan(0);
  await page.getByRole('button', { name: 'Stop' }).waitFor({ state: 'detached' });
  await checkAccessibility(page);
  const id = await answer.locator('code').innerText();
  await expect.poll(() => server.api<{ outcome: string }>('GET', `/manage/requests/${id}`).then(({ outcome }) => outcome, () => 'not yet')).toBe('client_gone');
  await page.unroute('**/v1/chat/completions');
  await page.getByRole('button', { name: 'Ask' }).click(); // the next question goes its way
  await answer.getByText('complete', { exact: true }).waitFor();
});

test('an answer that breaks off says so', async ({ page, strict, server }) => {
  strict.allow(/404 \(Not Found\).*\/manage\/requests\/|ERR_INCOMPLETE_CHUNKED_ENCODING/);
  await misbehaves(page, 'events=20, chunk-delay=200ms, cut-after=5');
  await signIn(page, '/admin/#/playground');
  await page.getByRole('textbox', { name: 'Token' }).fill(server.demoToken);
  await page.getByRole('textbox', { name: 'Message' }).fill('Tell me a story about a long river');
  await page.getByRole('button', { name: 'Ask' }).click();
  const answer = page.getByRole('region', { name: 'Answer' });
  await answer.getByText('failed', { exact: true }).waitFor();
  await answer.getByRole('alert').getByText('The answer broke off').waitFor();
  await answer.getByText(/What came so far is below|Its head has come/).waitFor(); // a browser drops what it has not given out when an answer breaks off
  await checkAccessibility(page);
  const id = await answer.locator('code').innerText();
  await expect.poll(() => server.api<{ outcome: string }>('GET', `/manage/requests/${id}`).then(({ outcome }) => outcome, () => 'not yet')).toBe('cut');
});

test('a token is made for the playground, and a phone has room for it', async ({ page, strict, server }) => {
  strict.allow(/404 \(Not Found\).*\/manage\/requests\//);
  await page.setViewportSize({ width: 360, height: 740 });
  await signIn(page, '/admin/#/playground');
  await page.getByRole('combobox', { name: 'Or a new one of a project' }).click();
  await page.getByRole('option', { name: 'Demo' }).click();
  await page.getByRole('button', { name: 'Make one for 15 minutes' }).click();
  await expect.poll(() => page.getByRole('textbox', { name: 'Token' }).inputValue()).toMatch(/^sk-llmp-/);
  await page.getByRole('textbox', { name: 'Message' }).fill('Hello');
  await page.getByRole('button', { name: 'Ask' }).click();
  await page.getByRole('region', { name: 'Answer' }).getByText('complete').waitFor();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  const made = await server.api<{ name: string }[]>('GET', '/manage/tokens?q=Playground');
  expect(made.map(({ name }) => name)).toEqual(['Playground']);
});

test('a refusal is told as what it is', async ({ page, strict }) => {
  strict.allow(/404 \(Not Found\).*\/manage\/requests\/|401 \(Unauthorized\).*\/v1\//);
  await signIn(page, '/admin/#/playground');
  const answer = page.getByRole('region', { name: 'Answer' });
  await page.getByRole('textbox', { name: 'Token' }).fill('sk-llmp-fake');
  await page.getByRole('textbox', { name: 'Message' }).fill('Hello');
  await page.getByRole('button', { name: 'Ask' }).click();
  await answer.getByRole('alert').getByText(/401/).waitFor();
  await checkAccessibility(page);
});
