import { execFile } from 'node:child_process';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { Page } from 'playwright-core';

import { nav } from '../src/app/nav';
import { expect, settled, signIn, test, type Server } from './kit';

// Makes docs/images: each screen of the header in light and dark, over data that came through the real API and real requests, and puts
// them into docs/admin.md and README.md (make screenshots).

const root = resolve(import.meta.dirname, '../../../..');
const images = join(root, 'docs/images');
const largest = 150_000; // bytes of an image

interface Minted { id: string; token: string }

/** What a small organisation would have: three projects, tokens of people and jobs, requests that went well and some that did not. Returns the tokens. */
async function fill(server: Server): Promise<Minted[]> {
  const projects = [
    { name: 'Support assistant', description: 'Drafts answers to tickets', metadata: { team: 'support', cost_center: '4711' } },
    { name: 'Search', description: 'Embeddings of the knowledge base', metadata: { team: 'platform' } },
    { name: 'Playground', description: 'For everyone who wants to try something', metadata: { team: 'all' } },
  ];
  const tokens: Minted[] = [];
  for (const [n, project] of projects.entries()) {
    const { project_id } = await server.api<{ project_id: string }>('POST', '/manage/projects', { ...project, api_key: `sk-fake-provider-key-000${n}` });
    for (const [name, minutes, most] of [['nightly job', 43_200, 5000], ['Ada', 1440, 200], ['Grace', 60, 40], ['demo at the fair', 15, 12]] as const) {
      tokens.push(await server.api<Minted>('POST', '/manage/tokens', { project_id, name, duration_minutes: minutes, max_requests: most }));
    }
  }
  await promisify(execFile)('go', ['test', '-run', '^$', '-bench', 'DaysForPictures', '-benchtime', '1x', './internal/manage'], {
    cwd: root, env: { ...process.env, LLM_PROXY_PICTURES_DB: join(server.dir, 'llm-proxy.db') },
  });
  const questions = ['Summarize this ticket in two sentences.', 'Which plan has single sign-on?', 'Translate the answer to German.', 'Write a friendly reply.', 'Find similar questions.'];
  const ask = async (n: number) => {
    const model = ['gpt-4o', 'gpt-4o-mini', 'gpt-4.1', 'gpt-4o-mini'][n % 4];
    const misbehave: Record<string, string> = n % 17 === 16 ? { 'X-Demo': 'status=503' } : n % 23 === 22 ? { 'X-Demo': 'events=20,cut-after=8' } : {};
    await fetch(`${server.url}/v1/chat/completions`, {
      method: 'POST', headers: { Authorization: `Bearer ${tokens[(n * n) % tokens.length]!.token}`, 'Content-Type': 'application/json', ...misbehave },
      body: JSON.stringify({ model, stream: n % 3 === 0, messages: [{ role: 'user', content: questions[n % questions.length]!.repeat(1 + (n % 7)) }] }),
    }).then((response) => response.text()).catch(() => ''); // one of them is cut on purpose
  };
  for (let n = 0; n < 120; n += 6) {
    await Promise.all(Array.from({ length: 6 }, (_, i) => ask(n + i)));
  }
  await server.api('DELETE', `/manage/tokens/${tokens[3]!.id}`);
  await server.api('PATCH', `/manage/tokens/${tokens[1]!.id}`, { max_requests: 300 });
  await fetch(`${server.url}/manage/projects`, { headers: { Authorization: 'Bearer sk-fake-not-the-management-token-000000' } });
  await expect.poll(async () => (await server.api<unknown[]>('GET', '/manage/requests?limit=100')).length, { timeout: 60_000 }).toBeGreaterThan(90);
  return tokens;
}

/** Asks in the playground, as somebody who tries something out; until the cost is known. */
async function tryOut(page: Page, token: string): Promise<void> {
  await page.getByRole('textbox', { name: 'Token' }).fill(token);
  await page.getByRole('textbox', { name: 'Message' }).fill('Translate to German: The parcel will arrive on Thursday.');
  await page.keyboard.press('Control+Enter');
  await page.getByRole('region', { name: 'Answer' }).getByText(/^\$0\.\d+$/).waitFor();
}

const fileOf = (to: string, scheme: string) => `${to.slice(1).replaceAll('/', '-')}-${scheme}.png`;

/** A screen as a page of text shows it: in the reader's colours. */
const picture = (to: string, label: string, folder: string) => `<picture>
  <source media="(prefers-color-scheme: dark)" srcset="${folder}${fileOf(to, 'dark')}">
  <img alt="The screen ${label}" src="${folder}${fileOf(to, 'light')}">
</picture>`;

/** Puts text between the two marks of a file, where it says what makes it. */
async function write(file: string, text: string): Promise<void> {
  const path = join(root, file);
  const parts = (await readFile(path, 'utf8')).split(/(<!-- make screenshots -->\n)[^]*?(<!-- end -->)/);
  expect(parts.length, `${file} has its marks once`).toBe(4);
  await writeFile(path, `${parts[0]}${parts[1]}${text}\n${parts[2]}${parts[3]}`);
}

test('each screen has its pictures', async ({ page, strict, server }) => {
  strict.allow(/404 \(Not Found\).*\/manage\/requests\//); // the playground asks for its request until the ledger has it
  const tokens = await fill(server);
  await mkdir(images, { recursive: true });
  await page.setViewportSize({ width: 1280, height: 800 });
  await signIn(page);
  for (const scheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const { to, label } of nav) {
      await page.goto(`/admin/#${to}`);
      await page.getByRole('heading', { level: 1 }).waitFor();
      await page.waitForLoadState('networkidle'); // a list comes after its heading, in the shape of one at first
      await settled(page, label);
      if (to === '/playground') {
        await tryOut(page, tokens[8]!.token);
      }
      await page.waitForFunction(() => [...document.querySelectorAll('[role="figure"]')].every((chart) => chart.querySelector('svg')));
      await page.mouse.move(0, 0);
      const path = join(images, fileOf(to, scheme));
      await page.screenshot({ path, animations: 'disabled', caret: 'hide' });
      expect((await stat(path)).size, `${path} is small`).toBeLessThan(largest);
    }
  }
  await write('docs/admin.md', nav.map(({ to, label }) => `**${label}**\n\n${picture(to, label, 'images/')}\n`).join('\n').trimEnd());
  await write('README.md', picture(nav[0]!.to, nav[0]!.label, 'docs/images/'));
});
