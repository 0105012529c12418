import { atAddress, checkAccessibility, expect, password, passwordField, signIn, test, user } from './kit';

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
  await page.getByRole('button', { name: 'Account' }).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
  await page.getByText('You have signed out.').waitFor();
  const response = await fetch(`${server.url}/manage/projects`, { headers: { Cookie: `${cookie!.name}=${cookie!.value}` } });
  expect(response.status).toBe(401);
  await page.reload();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
});

test('a session that is over leads back to sign-in, with the reason, and on to where one was', async ({ page, strict }) => {
  strict.allow(/401 \(Unauthorized\)/);
  await signIn(page, '/admin/#/projects');
  await page.context().clearCookies();
  await page.goto('/admin/#/projects?q=Demo'); // by its address: the screen with its fields may have gone already
  await page.getByText('Your session is over').waitFor();
  await passwordField(page).fill(password);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Demo', exact: true }).waitFor();
  await atAddress(page, 'q=Demo');
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
