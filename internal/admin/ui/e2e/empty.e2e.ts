import { checkAccessibility, expect, signIn, test } from './kit';

test('without a project the screen says what one is and how to get it', async ({ page, server }) => {
  for (const { project_id } of await server.api<{ project_id: string }[]>('GET', '/manage/projects')) {
    await server.api('DELETE', `/manage/projects/${project_id}`);
  }
  await signIn(page, '/admin/#/projects');
  await page.getByRole('heading', { name: 'No project yet' }).waitFor();
  await page.getByText('llm-proxy manage project create').waitFor();
  await checkAccessibility(page);
});

test('without a token the screen says what one is and how to get it', async ({ page }) => {
  await page.route('**/manage/tokens?*', (route) => route.fulfill({ json: [] })); // those of a deleted project stay in the list for a time
  await signIn(page, '/admin/#/tokens');
  await page.getByRole('heading', { name: 'No token yet' }).waitFor();
  await page.getByText('llm-proxy manage token generate').waitFor();
  await checkAccessibility(page);
  await page.keyboard.press('Control+K');
  await page.getByLabel('Find a screen or an action').fill('create a tok');
  await page.keyboard.press('Enter');
  const form = page.getByRole('dialog', { name: 'Create token' });
  await form.getByRole('link', { name: 'create a project' }).waitFor();
});

test('what is on its way has the shape of what will come', async ({ page }) => {
  let answer = () => {};
  const held = new Promise<void>((done) => { answer = done; });
  await page.route('**/manage/projects?*', async (route) => {
    await held;
    await route.continue().catch(() => undefined);
  });
  await signIn(page, '/admin/#/projects');
  await page.getByRole('status').getByText('Loading Projects').waitFor({ state: 'attached' });
  expect(await page.locator('.mantine-Skeleton-root').count()).toBeGreaterThan(3);
  await checkAccessibility(page);
  answer();
  await page.getByRole('heading', { name: 'No project yet' }).waitFor();
  expect(await page.locator('.mantine-Skeleton-root').count()).toBe(0);
});
