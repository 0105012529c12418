import { checkAccessibility, signIn, test } from './kit';

test('without a project the screen says what one is and how to get it', async ({ page, server }) => {
  for (const { project_id } of await server.api<{ project_id: string }[]>('GET', '/manage/projects')) {
    await server.api('DELETE', `/manage/projects/${project_id}`);
  }
  await signIn(page, '/admin/#/projects');
  await page.getByRole('heading', { name: 'No project yet' }).waitFor();
  await page.getByText('llm-proxy manage project create').waitFor();
  await checkAccessibility(page);
});
