import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { chromium, type Browser, type BrowserContextOptions, type Locator, type Page } from 'playwright-core';
import { expect, test as base } from 'vitest';

const program = resolve(import.meta.dirname, '../../../../bin/llm-proxy');
export const user = 'admin';
export const password = 'sk-fake-admin-password';

/** A server of its own, as `llm-proxy server --demo` starts it. */
export interface Server {
  url: string;
  /** Its data folder. */
  dir: string;
  /** A token of the demo's project, which is named Demo; empty without --demo. */
  demoToken: string;
  /** Asks the management API, past the site: to make what a test begins with, or to see what it has done. */
  api<T = unknown>(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<T>;
}

/** Starts a server; one that is not the file's is stopped by who has started it. `settings` are further ones, by environment; `within` is in milliseconds. */
export async function startServer(settings: Record<string, string> = {}, args = ['--demo'], within = 30_000): Promise<{ server: Server; stop: () => Promise<void> }> {
  if (!existsSync(program)) {
    throw new Error(`no ${program}: run make build first`);
  }
  const dir = await mkdtemp(join(tmpdir(), 'llm-proxy-e2e-'));
  const env = { PATH: process.env.PATH, HOME: dir, LLM_PROXY_DATA_DIR: dir, LLM_PROXY_ADDR: '127.0.0.1:0', LLM_PROXY_METRICS_ADDR: 'off', ADMIN_USER: user, ADMIN_PASSWORD: password, ...settings };
  const child = spawn(program, ['server', ...args], { env, cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (piece: Buffer) => { log += piece.toString(); });
  const ended = new Promise<void>((done) => child.on('exit', () => done()));
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
    await rm(dir, { recursive: true, force: true });
  };
  const read = async (name: string) => JSON.parse(await readFile(join(dir, name), 'utf8')) as Record<string, string>;
  for (let waited = 0; ; waited += 50) {
    try {
      const url = (await read('llm-proxy.pid')).url!;
      const keys = await read('keys.json');
      await fetch(`${url}/health`);
      return { server: { url, dir, demoToken: keys.demo_token ?? '', api: apiOf(url, settings.MANAGEMENT_TOKEN ?? keys.management_token!) }, stop };
    } catch (thrown) {
      if (waited > within || child.exitCode !== null) {
        await stop();
        throw new Error(`the server does not start: ${String(thrown)}\n${log}`);
      }
      await new Promise((done) => setTimeout(done, 50));
    }
  }
}

const apiOf = (url: string, token: string): Server['api'] => async (method, path, body, headers) => {
  const response = await fetch(url + path, {
    method, headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json', ...headers }, body: body === undefined ? null : JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) {
    throw new Error(`${method} ${path}: ${response.status} ${text}`);
  }
  return (text ? JSON.parse(text) : undefined) as never;
};

/** What a page must not do; what is allowed here is what a test has asked for. */
export interface Strictness {
  /** Messages on the console that this test brings about, such as a refused request. */
  allow(message: RegExp): void;
}

/** Opens a page that fails its test on a violation of the policy, an error on the console or in a script, and a request to another place. */
async function openPage(browser: Browser, server: Server, options: BrowserContextOptions = {}): Promise<{ page: Page; strict: Strictness; check: () => Promise<void> }> {
  const context = await browser.newContext({ baseURL: server.url, permissions: ['clipboard-read', 'clipboard-write'], reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(Number(process.env.E2E_PATIENCE ?? 45_000)); // milliseconds: a slow machine that does other things too
  const wrong: string[] = [];
  const allowed = [/401 \(Unauthorized\).*\/admin\/api\/session/]; // the page asks whether somebody has signed in
  await page.exposeFunction('reportViolation', (text: string) => { wrong.push(`the policy was violated: ${text}`); });
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (e) => {
      (window as unknown as { reportViolation: (text: string) => void }).reportViolation(`${e.violatedDirective} by ${e.blockedURI} ${e.sample} at ${e.sourceFile}:${e.lineNumber}`);
    });
  });
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') {
      wrong.push(`console: ${message.text()} (${message.location().url})`);
    }
  });
  page.on('pageerror', (error) => { wrong.push(`script: ${error.stack ?? error.message}`); });
  page.on('request', (request) => {
    if (!request.url().startsWith(`${server.url}/`) && !request.url().startsWith('data:')) {
      wrong.push(`a request to ${request.url()}`);
    }
  });
  return {
    page,
    strict: { allow: (message) => { allowed.push(message); } },
    check: async () => {
      await context.close();
      expect(wrong.filter((text) => !allowed.some((one) => one.test(text)))).toEqual([]);
    },
  };
}

/** By its name: a label finds the button that shows the password too. */
export const passwordField = (page: Page) => page.locator('input[name="password"]');

/** Waits until a screen has all that it shows: its heading, and nothing that is still on its way. */
export async function settled(page: Page, heading?: string): Promise<void> {
  await page.getByRole('heading', { level: 1, ...(heading === undefined ? {} : { name: heading, exact: true }) }).waitFor();
  await page.waitForFunction(() => !document.querySelector('[aria-busy="true"], .mantine-Skeleton-root'));
}

/** Waits until the address says something. What is on the screen may be there a moment before. */
export async function atAddress(page: Page, ...parts: (string | RegExp)[]): Promise<void> {
  for (const part of parts) {
    await expect.poll(() => page.url()).toMatch(part);
  }
}

/** Waits until the page has a title, which it gets a moment after its heading. */
export async function titled(page: Page, title: string): Promise<void> {
  await expect.poll(() => page.title()).toBe(title);
}

/** Waits until something has the focus. */
export async function focused(place: Locator): Promise<void> {
  await expect.poll(() => place.evaluate((e) => e === document.activeElement), { message: `the focus at ${place}` }).toBe(true);
}

/** Goes to a screen by its keys, `g` and a letter. The second is to follow soon; a busy machine may not have done that. */
export async function goByKeys(page: Page, key: string, to: string): Promise<void> {
  await expect.poll(async () => {
    await page.keyboard.press('g');
    await page.keyboard.press(key);
    return new URL(page.url()).hash.split('?')[0];
  }, { message: `g ${key}` }).toBe(`#${to}`);
}

/** Clicks a button that copies and returns what is on the clipboard then. The button's own word for it goes again, so nobody waits for that. */
export async function copied(page: Page, button: Locator): Promise<string> {
  await page.evaluate(() => navigator.clipboard.writeText(''));
  await button.click();
  const read = () => page.evaluate(() => navigator.clipboard.readText());
  await expect.poll(read).not.toBe('');
  return read();
}

/** What the server says while it fails; `fails` has it said. */
const failure = { title: 'Service Unavailable', status: 503, detail: 'The store does not answer. Try again.' };

/**
 * A screen whose list fails says why, and reads it anew when it is asked to. Until then no answer is a good one: a screen that asks again by
 * itself would take the button away under the mouse.
 */
export async function failsUntilRetried(page: Page, strict: Strictness, { asks, at, then }: { asks: string; at: string; then: Locator }): Promise<void> {
  strict.allow(/503 \(Service Unavailable\)/);
  await page.addInitScript(() => {
    document.addEventListener('click', (event) => {
      (window as unknown as { retried?: boolean }).retried ||= (event.target as Element).closest('button')?.textContent === 'Try again';
    }, { capture: true });
  });
  await page.route(asks, async (route) => {
    const retried = await page.evaluate(() => (window as unknown as { retried?: boolean }).retried).catch(() => true);
    await (retried ? route.continue() : route.fulfill({ status: 503, contentType: 'application/problem+json', headers: { 'Retry-After': '0' }, body: JSON.stringify(failure) })).catch(() => undefined); // the page may have gone
  });
  await signIn(page, at);
  await page.getByRole('alert').getByText(failure.detail).first().waitFor();
  await checkAccessibility(page);
  await page.getByRole('button', { name: 'Try again' }).first().click();
  await then.first().waitFor();
  await page.getByRole('alert').getByText(failure.detail).waitFor({ state: 'detached' });
}

/** Signs in past the form, goes to a screen and waits for what is around it. The form has tests of its own. */
export async function signIn(page: Page, path = '/admin/'): Promise<void> {
  const answer = await page.request.post('/admin/api/session', { data: { user, password } });
  expect(answer.status()).toBe(204);
  await page.goto(path);
  await page.getByRole('button', { name: 'Account' }).waitFor();
}

/** Starts a further server, with settings by environment, and opens a page of it. */
type Another = (settings?: Record<string, string>, args?: string[]) => Promise<{ server: Server; page: Page }>;

interface Fixtures {
  $worker: { browser: Browser };
  $file: { server: Server };
  $test: { strict: Strictness; page: Page; opened: Awaited<ReturnType<typeof openPage>>; another: Another };
}

/** A test with a server (one for the file), a page of its own, and what it is strict about. */
export const test = base.extend<Fixtures>({
  browser: [async ({}, use) => {
    const browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', timeout: 120_000,
      args: ['--headless', '--lang=en-US', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    });
    await use(browser);
    await browser.close();
  }, { scope: 'worker' }],
  server: [async ({}, use) => {
    const { server, stop } = await startServer();
    await use(server);
    await stop();
  }, { scope: 'file' }],
  opened: async ({ browser, server }, use) => {
    const opened = await openPage(browser, server);
    await use(opened);
    await opened.check();
  },
  page: async ({ opened }, use) => use(opened.page),
  strict: async ({ opened }, use) => use(opened.strict),
  /** A further server, of the test alone, with a page of its own. */
  another: async ({ browser }: { browser: Browser }, use: (another: Another) => Promise<void>) => {
    const ends: (() => Promise<void>)[] = [];
    await use(async (settings, args) => {
      const { server, stop } = await startServer(settings, args);
      ends.unshift(stop);
      const { page, check } = await openPage(browser, server);
      ends.unshift(check); // before its server has gone: a page that asks on would report that
      return { server, page };
    });
    const wrong: unknown[] = [];
    for (const end of ends) {
      await end().catch((thrown: unknown) => wrong.push(thrown));
    }
    expect(wrong).toEqual([]);
  },
});

/** Waits in the page until what moves has come to its end. What moves for ever does not count. */
const atRest = async () => {
  const moving = document.getAnimations().filter((one) => one.effect?.getComputedTiming().endTime !== Infinity);
  await Promise.all(moving.map((one) => one.finished.catch(() => undefined)));
};

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Lets axe look at what the page shows, in light and in dark. */
export async function checkAccessibility(page: Page): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await page.locator(`html[data-mantine-color-scheme="${colorScheme}"]`).waitFor({ state: 'attached' });
    await page.evaluate(atRest); // a colour on its way to another has no contrast of its own
    await page.evaluate(axeSource);
    const found = await page.evaluate(async () => {
      const { axe } = window as unknown as { axe: typeof import('axe-core') };
      const { violations } = await axe.run(document, { preload: false });
      return violations.flatMap(({ id, help, nodes }) => nodes.map((node) => `${id}: ${help}: ${node.html} ${node.failureSummary ?? ''}`));
    });
    expect(found, `axe, ${colorScheme}`).toEqual([]);
  }
  await page.emulateMedia({ colorScheme: null });
}

export { expect };
