import { checkAccessibility, expect, failsUntilRetried, signIn, test } from './kit';

interface Info { version: string; store: string; default_provider: string; providers: { name: string; base_url: string; endpoints: { path: string }[] }[]; retention: { audit_days: number } }

test('settings show what the server is set to, endpoints included', async ({ page, server }) => {
  const info = await server.api<Info>('GET', '/manage/info');
  await signIn(page, '/admin/#/settings');
  const card = page.getByRole('region', { name: 'Installation' });
  await card.getByText(info.version, { exact: true }).waitFor();
  await card.getByText(`${server.url}/v1`).waitFor();
  await page.getByRole('region', { name: 'Kept for' }).getByText(`${info.retention.audit_days} days`).first().waitFor();
  await page.getByRole('region', { name: 'Limits' }).getByText('12 h').waitFor();
  for (const provider of info.providers) {
    await page.getByRole('region', { name: `Provider ${provider.name}` }).getByText(provider.base_url, { exact: true }).waitFor();
    const rows = page.getByRole('region', { name: `Endpoints of ${provider.name}` }).first().getByRole('row');
    expect(await rows.count()).toBe(provider.endpoints.length + 1);
  }
  await checkAccessibility(page);
});

test('a banner says on every screen that the demo provider is on', async ({ page }) => {
  await signIn(page, '/admin/#/settings');
  await page.getByRole('note').getByText('The demo provider is on').waitFor();
  await page.goto('/admin/#/projects');
  await page.getByRole('heading', { name: 'Projects' }).waitFor();
  await page.getByRole('note').getByText('The demo provider is on').waitFor();
  await page.getByRole('note').getByText('cost nothing. Costs that are shown are what OpenAI asks for the same').waitFor();
});

test('settings that cannot be read say why and try again', async ({ page, strict }) => {
  await failsUntilRetried(page, strict, { asks: '**/manage/info', at: '/admin/#/settings', then: page.getByRole('region', { name: 'Installation' }) });
});
