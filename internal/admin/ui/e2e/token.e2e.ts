import { atAddress, checkAccessibility, expect, signIn, test, titled, type Server } from './kit';

interface Minted { id: string; token: string; project_id: string }

const hostile = '<img src=x onerror="document.title=\'taken\'">';

async function demoProject(server: Server): Promise<string> {
  const [demo] = await server.api<{ project_id: string }[]>('GET', '/manage/projects?q=Demo');
  return demo!.project_id;
}
const mint = async (server: Server, rest: object = {}) => server.api<Minted>('POST', '/manage/tokens', { project_id: await demoProject(server), duration_minutes: 60, ...rest });

async function ask(server: Server, token: string, model = 'gpt-4o-mini'): Promise<string> {
  const response = await fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST', headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }, body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }] }),
  });
  await response.text();
  return response.headers.get('X-Llm-Proxy-Request-Id')!;
}

test('the page of a token has its caps, its usage, its requests and what was done to it', async ({ page, server }) => {
  const { id, token } = await mint(server, { name: 'watched', max_requests: 10 });
  const requestID = await ask(server, token);
  await ask(server, token);
  await server.api('PATCH', `/manage/tokens/${id}`, { max_requests: 4 });
  await expect.poll(async () => (await server.api<unknown[]>('GET', `/manage/requests?token_id=${id}`)).length).toBe(2);

  await signIn(page, '/admin/#/tokens?q=watched');
  await page.getByRole('link', { name: 'watched' }).click();
  await page.getByRole('heading', { level: 1, name: 'watched' }).waitFor();
  await page.getByText('2 of 4 in its life').waitFor();
  await page.getByText(id, { exact: true }).waitFor();
  await page.getByRole('link', { name: 'Demo' }).waitFor();

  const usage = page.getByRole('region', { name: 'Usage' });
  await usage.getByRole('figure', { name: 'Requests by hour' }).waitFor();
  await usage.locator('.recharts-bar-rectangle rect').first().waitFor();
  expect(await usage.locator('dd').first().innerText()).toBe('2');
  const requests = page.getByRole('region', { name: 'Recent requests' });
  await requests.getByTitle(requestID).waitFor();
  await requests.getByText('gpt-4o-mini').first().waitFor();
  await requests.getByRole('link').filter({ has: page.getByTitle(requestID) }).click();
  const details = page.getByRole('dialog', { name: 'Request' });
  await details.getByText(requestID).waitFor();
  await details.getByRole('link', { name: 'watched' }).click();
  await page.getByRole('heading', { level: 1, name: 'watched' }).waitFor();
  const audit = page.getByRole('region', { name: 'Audit trail' });
  await audit.getByText('token.update').waitFor();
  await audit.getByText('max_requests: 10 → 4').waitFor();
  await audit.getByText('token.create').waitFor();
  await checkAccessibility(page);

  await usage.getByText('30d', { exact: true }).click();
  await usage.getByRole('figure', { name: 'Requests by day' }).waitFor();
  await atAddress(page, 'range=30d');

  await page.getByRole('button', { name: 'Revoke' }).click();
  await page.getByRole('dialog', { name: 'Revoke token' }).getByRole('button', { name: 'Revoke token' }).click();
  await page.getByText('watched is revoked.').waitFor();
  await page.getByRole('main').getByText('revoked', { exact: true }).first().waitFor();
  expect(await page.getByRole('button', { name: 'Rotate' }).count()).toBe(0);
});

test('hostile names and models are text, and a phone has room for all', async ({ page, server }) => {
  const { id, token } = await mint(server, { name: hostile });
  await ask(server, token, hostile);
  await expect.poll(async () => (await server.api<unknown[]>('GET', `/manage/requests?token_id=${id}`)).length).toBe(1);
  await page.setViewportSize({ width: 360, height: 740 });
  await signIn(page, `/admin/#/tokens/${id}`);
  await page.getByRole('heading', { level: 1, name: hostile }).waitFor();
  await page.getByRole('region', { name: 'Recent requests' }).getByText(hostile).waitFor();
  await page.getByRole('region', { name: 'Audit trail' }).getByText(hostile).first().waitFor();
  await titled(page, `${hostile} · llm-proxy`);
  expect(await page.locator('img[src="x"]').count()).toBe(0);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
});

test('a token that nobody has used says so, and one that is not there too', async ({ page, server, strict }) => {
  strict.allow(/404 \(Not Found\)/);
  const { id } = await mint(server);
  await signIn(page, `/admin/#/tokens/${id}`);
  await page.getByText('No request yet').waitFor();
  await page.getByText('0 in its life').waitFor();
  await checkAccessibility(page);
  await page.goto('/admin/#/tokens/01980000-0000-7000-8000-000000000000');
  await page.getByRole('alert').waitFor();
  await checkAccessibility(page);
  await page.getByRole('link', { name: 'All tokens' }).click();
  await page.getByRole('heading', { level: 1, name: 'Tokens' }).waitFor();
});
