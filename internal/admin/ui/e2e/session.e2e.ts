import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { atAddress, checkAccessibility, expect, focused, password, passwordField, settled, signIn, test, titled, user, type Server } from './kit';

const run = promisify(execFile);

test('the page has the exact policy and no inline script', async ({ server }) => {
  const response = await fetch(`${server.url}/admin/`);
  expect(response.headers.get('Content-Security-Policy')).toBe(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
  );
  expect(await response.text()).not.toMatch(/<script(?![^>]*src=)|<style|\sstyle=|\son\w+=/);
});

test('sign-in leads to the screen that was asked for, and no script sees the session', async ({ page }) => {
  await page.goto('/admin/#/projects?q=De');
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await checkAccessibility(page);
  await page.getByLabel('User').fill(user);
  await passwordField(page).fill(password);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Demo', exact: true }).waitFor();
  await atAddress(page, 'q=De');
  expect(await page.evaluate(() => document.cookie)).toBe('');
  expect(await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }))).toBe('{}');
  const [cookie] = await page.context().cookies();
  expect(cookie).toMatchObject({ name: 'llmp_session', httpOnly: true, sameSite: 'Strict' });
});

test('sign-out ends the session on the server', async ({ page, strict, server }) => {
  strict.allow(/401 \(Unauthorized\)/);
  await signIn(page);
  const [cookie] = await page.context().cookies();
  const other = await page.context().newPage();
  await other.goto('/admin/#/projects');
  await other.getByRole('button', { name: 'Demo', exact: true }).waitFor();
  await page.bringToFront();
  await page.getByRole('button', { name: 'Account' }).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
  await page.getByText('You have signed out.').waitFor();
  await other.getByText('You have signed out.').waitFor();
  expect(await other.content(), 'no window keeps what it has shown').not.toContain('Demo');
  await titled(page, 'Sign in · llm-proxy'); // no name of what was looked at stays in the window's title
  const response = await fetch(`${server.url}/manage/projects`, { headers: { Cookie: `${cookie!.name}=${cookie!.value}` } });
  expect(response.status).toBe(401);
  await page.reload();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
});

test('a session that is over leads back to sign-in, with the reason, and on to where one was', async ({ page, strict }) => {
  strict.allow(/401 \(Unauthorized\)/);
  await signIn(page, '/admin/#/projects?edit=new');
  const form = page.getByRole('dialog', { name: 'Create project' });
  await form.getByLabel('Name', { exact: false }).first().fill('Half filled');
  await form.getByLabel('Provider key', { exact: true }).fill('sk-fake-provider-key-abcd');
  await page.context().clearCookies();
  await form.getByRole('button', { name: 'Create project' }).click();
  await page.getByText('Your session is over').waitFor();
  expect(await form.isVisible()).toBe(false);
  await checkAccessibility(page);
  await passwordField(page).fill(password);
  await page.keyboard.press('Enter');
  await form.getByRole('button', { name: 'Create project' }).click(); // what was typed is there
  await page.getByText('Half filled is created.').waitFor();
  await page.context().clearCookies();
  await page.goto('/admin/#/projects?q=Demo'); // by its address: the screen with its fields may have gone already
  await page.getByText('Your session is over').waitFor();
  await passwordField(page).fill(password);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Demo', exact: true }).waitFor();
  await atAddress(page, 'q=Demo');
});

/** Lets time have passed for the server's sessions: it reads their end where it keeps them. */
const unused = (server: Server, minutes: number) => run('python3', ['-c', `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=30)
with db:
    assert db.execute("UPDATE sessions SET created_at = created_at - ?, expires_at = expires_at - ?", [int(sys.argv[2])] * 2).rowcount > 0
db.close()`, join(server.dir, 'llm-proxy.db'), String(minutes * 60_000)]);

test('a session that the server lets end under an open page leads to sign-in and back, though the cookie is there', async ({ page, server, strict }) => {
  strict.allow(/401 \(Unauthorized\)/);
  await signIn(page, '/admin/#/projects');
  await settled(page, 'Projects');
  await unused(server, 29); // it is good still, and use moves its end on
  await page.goto('/admin/#/tokens?q=nothing');
  await page.getByText('No token fits.').waitFor();
  await unused(server, 29);
  await page.goto('/admin/#/tokens?q=demo');
  await page.getByRole('link', { name: 'demo' }).waitFor();
  await unused(server, 31);
  await page.goto('/admin/#/audit?outcome=done');
  await page.getByText('Your session is over').waitFor();
  expect((await page.context().cookies()).map(({ name }) => name)).toEqual(['llmp_session']);
  await checkAccessibility(page);
  await passwordField(page).fill(password);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: 'Audit' }).waitFor();
  await atAddress(page, 'outcome=done');
});

test('a page that nobody uses asks by itself whether the session is over, and hides what it shows', async ({ page, server, strict }) => {
  strict.allow(/401 \(Unauthorized\)/);
  await page.clock.install();
  await signIn(page, '/admin/#/projects?q=De');
  await page.getByRole('button', { name: 'Demo', exact: true }).waitFor();
  await unused(server, 31);
  await page.clock.fastForward('31:00');
  await page.getByText('Your session is over').waitFor();
  expect(await page.getByRole('button', { name: 'Demo', exact: true }).count()).toBe(0);
  await passwordField(page).fill(password);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Demo', exact: true }).waitFor();
  await atAddress(page, 'q=De');
});

test('a server that does not answer is no wrong password', async ({ page, strict }) => {
  strict.allow(/ERR_FAILED/);
  await page.route('**/admin/api/session', (route) => route.abort());
  await page.goto('/admin/');
  await page.getByText('The server does not answer').waitFor();
  await page.unroute('**/admin/api/session');
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
});

// Last in this file: what it counts holds for a minute.
test('a wrong password is said clearly, without which half was wrong, and throttled', async ({ page, server, strict }) => {
  strict.allow(/401 \(Unauthorized\)|429 \(Too Many Requests\)/);
  await page.goto('/admin/');
  for (let n = 0; n < 2; n++) {
    await page.getByLabel('User').fill(n % 2 ? 'nobody' : user);
    await passwordField(page).fill('sk-fake-wrong-password');
    const answered = page.waitForResponse((response) => response.request().method() === 'POST');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await answered;
    await page.getByRole('alert').getByText('User or password is wrong.').waitFor();
    expect(await passwordField(page).inputValue()).toBe('');
    await focused(passwordField(page));
  }
  const wrong = () => fetch(`${server.url}/admin/api/session`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ user, password: 'sk-fake-wrong-password' }) });
  let last = 401;
  for (let n = 0; n < 20 && last !== 429; n++) { // five of a minute; the others follow faster than a form does
    last = (await wrong()).status;
  }
  expect(last).toBe(429);
  await passwordField(page).fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText(/Too many failures\. Try again in \d+ s\./).waitFor();
  expect(await page.getByRole('button', { name: 'Sign in' }).isDisabled()).toBe(true);
  await checkAccessibility(page);
});
