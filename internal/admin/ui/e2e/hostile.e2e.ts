import { nav } from '../src/app/nav';
import { expect, settled, signIn, test, titled, type Server } from './kit';

// What people can call a project or a token, or a request its model, and a careless page would run, turn round or burst with.
const hostile = {
  script: '<script>document.title="taken"</script>',
  image: '"><img src=x onerror="document.title=\'taken\'">',
  attribute: '\' onmouseover="document.title=\'taken\'" x=\'',
  template: '${document.title="taken"} {{constructor.constructor("x")()}}',
  link: 'javascript:document.title="taken"',
  backwards: '\u202Egnp.exe\u202C \u2066isolated\u2069 \u200Fright',
  long: 'W'.repeat(100),
  formula: '=cmd("calc")',
  proto: '__proto__',
};
const names = Object.values(hostile);

interface Made { project: string; token: string }

/** Projects, tokens, requests and audit entries of all these names, made as anybody makes them. */
async function fill(server: Server): Promise<Made[]> {
  const made: Made[] = [];
  for (const name of names) {
    const { project_id: project } = await server.api<{ project_id: string }>('POST', '/manage/projects', { name, description: `${name} ${'W'.repeat(200)}`, api_key: 'sk-fake-provider-key-abcd', metadata: { [name.slice(0, 40)]: name } });
    const { id, token } = await server.api<{ id: string; token: string }>('POST', '/manage/tokens', { project_id: project, duration_minutes: 60, name });
    await server.api('PATCH', `/manage/tokens/${id}`, { name: `${name} `.trim(), max_requests: 50 });
    for (const model of [name, `${name}${'w'.repeat(200)}`.slice(0, 200)]) {
      const answer = await fetch(`${server.url}/v1/chat/completions`, {
        method: 'POST', headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }, body: JSON.stringify({ model, messages: [{ role: 'user', content: name }] }),
      });
      await answer.text();
    }
    made.push({ project, token: id });
  }
  return made;
}

test('a hostile name is text on every screen, and nowhere pushes the page aside', async ({ page, server, strict }) => {
  strict.allow(/404 \(Not Found\)/);
  const made = await fill(server);
  await expect.poll(async () => (await server.api<unknown[]>('GET', '/manage/requests')).length, ).toBeGreaterThan(names.length);
  await signIn(page);
  const one = made[1]!;
  const deeper = ['', ...names.slice(0, 3).map((name) => `?q=${encodeURIComponent(JSON.stringify(name))}`), `?project_id=${one.project}`, `?token_id=${one.token}`];
  for (const width of [1280, 360]) {
    await page.setViewportSize({ width, height: 800 });
    for (const { to, label } of nav) {
      for (const query of deeper) {
        await page.goto(`/admin/#${to}${query}`);
        await settled(page, label);
        const where = `${to}${query} at ${width}`;
        expect(await page.title(), where).not.toContain('taken');
        expect(await page.locator('img[src="x"], [onmouseover], [onerror], a[href^="javascript:"], main script').count(), where).toBe(0);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        expect(wide, `${label}: pixels that stand out to the side, ${where}`).toBeLessThanOrEqual(0);
      }
    }
  }
});

test('a name stands on its screen as it was given, each sign of it', async ({ page, server }) => {
  await fill(server);
  await signIn(page, '/admin/#/projects');
  for (const name of names) {
    await page.getByRole('button', { name, exact: true }).first().waitFor();
  }
  await page.goto('/admin/#/audit?action=project.create');
  await page.locator('main').getByText(hostile.image, { exact: false }).first().waitFor();
  await titled(page, 'Audit · llm-proxy');
});
