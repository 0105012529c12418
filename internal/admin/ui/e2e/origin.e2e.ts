import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Response } from 'playwright-core';

import { expect, signIn, test, type Server } from './kit';

/** A page of another site (another port of this machine is another origin; the browser takes both for one site, and sends the cookie). */
async function otherSite(html: string): Promise<{ url: string; close: () => Promise<void> }> {
  const server = createServer((_, response) => response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end(html));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close: () => new Promise((done) => { server.close(() => done()); server.closeAllConnections(); }) };
}

interface Project { project_id: string; name: string; is_active: boolean }

/** Every route that changes something, as the session's cookie would reach it. */
function changes(project: string, token: string): [method: string, path: string, body: unknown][] {
  return [
    ['POST', '/manage/projects', { name: 'taken', api_key: 'sk-fake-provider-key-abcd' }],
    ['PATCH', `/manage/projects/${project}`, { name: 'taken' }],
    ['DELETE', `/manage/projects/${project}`, undefined],
    ['PATCH', '/manage/projects', { project_id: project, name: 'taken' }],
    ['DELETE', '/manage/projects', { project_id: project }],
    ['POST', `/manage/projects/${project}/tokens/revoke`, {}],
    ['POST', '/manage/tokens', { project_id: project, duration_minutes: 60 }],
    ['PATCH', `/manage/tokens/${token}`, { name: 'taken' }],
    ['POST', `/manage/tokens/${token}/rotate`, {}],
    ['DELETE', `/manage/tokens/${token}`, undefined],
    ['POST', '/manage/destinations/file/test', undefined],
    ['POST', '/manage/destinations/file/redrive', undefined],
    ['DELETE', '/admin/api/session', undefined],
  ];
}

async function victim(server: Server): Promise<{ project: string; token: string; state: () => Promise<unknown> }> {
  const { project_id: project } = await server.api<Project>('POST', '/manage/projects', { name: 'Victim', api_key: 'sk-fake-provider-key-abcd' });
  const { id: token } = await server.api<{ id: string }>('POST', '/manage/tokens', { project_id: project, duration_minutes: 60, name: 'victim' });
  const state = async () => ({
    projects: (await server.api<Project[]>('GET', '/manage/projects?q=i')).map(({ name, is_active }) => [name, is_active]),
    tokens: await server.api('GET', `/manage/tokens?project_id=${project}`),
    taken: await server.api<Project[]>('GET', '/manage/projects?q=taken'),
  });
  return { project, token, state };
}

test('a page of another origin changes nothing by fetch, though the browser adds the session', async ({ page, server }) => {
  const { project, token, state } = await victim(server);
  const before = await state();
  await signIn(page);
  const cookies = await page.context().cookies();
  const site = await otherSite('<!doctype html><title>other</title><p>another site');
  try {
    const elsewhere = await page.context().newPage(); // the same browser, with the session's cookie
    await elsewhere.goto(site.url);
    for (const [method, path, body] of changes(project, token)) {
      for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded']) {
        for (const mode of ['cors', 'no-cors'] as const) {
          let answered: number | undefined;
          const listen = (response: Response) => { answered = response.url() === server.url + path && response.request().method() === method ? response.status() : answered; };
          elsewhere.on('response', listen);
          const seen = await elsewhere.evaluate(async ({ url, method: how, type: contentType, body: content, mode: corsMode }) => {
            try {
              const response = await fetch(url, { method: how, mode: corsMode, credentials: 'include', headers: { 'Content-Type': contentType }, ...(content === undefined ? {} : { body: content }) });
              return `${response.type} ${response.status} ${(await response.text()).length}`;
            } catch {
              return 'refused by the browser';
            }
          }, { url: server.url + path, method, type, body: body === undefined ? undefined : JSON.stringify(body), mode });
          expect(['refused by the browser', 'opaque 0 0'], `${method} ${path} ${type} ${mode}: nothing can be read`).toContain(seen);
          if (seen.startsWith('opaque')) { // it was sent: then the server has refused it
            await expect.poll(() => answered, { message: `${method} ${path} ${type} ${mode}` }).toBe(403);
          }
          elsewhere.off('response', listen);
        }
      }
    }
    expect(await state()).toEqual(before);
    const still = await fetch(`${server.url}/manage/projects`, { headers: { Cookie: cookies.map(({ name, value }) => `${name}=${value}`).join('; ') } });
    expect(still.status, 'the session was good all the time').toBe(200);
  } finally {
    await site.close();
  }
});

test('a form of another origin, sent by a click, changes nothing', async ({ page, server }) => {
  const { project, token, state } = await victim(server);
  const before = await state();
  await signIn(page);
  const posts = changes(project, token).filter(([method]) => method === 'POST');
  const forms = posts.flatMap(([, path, body]) => ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data'].map((type) => {
    const json = JSON.stringify(body ?? {}).replaceAll('&', '&amp;').replaceAll('"', '&quot;');
    return `<form method="post" action="${server.url}${path}" enctype="${type}"><input name="${json.slice(0, -1)}, &quot;x&quot;:&quot;" value="&quot;}"><button>Send</button></form>`;
  }));
  const site = await otherSite(`<!doctype html><title>other</title>${forms.join('')}`);
  try {
    const elsewhere = await page.context().newPage();
    for (let n = 0; n < forms.length; n++) {
      await elsewhere.goto(site.url);
      const answered = elsewhere.waitForResponse((response) => response.request().method() === 'POST');
      await elsewhere.getByRole('button').nth(n).click();
      expect((await answered).status(), forms[n]).toBe(403);
    }
    expect(await state()).toEqual(before);
  } finally {
    await site.close();
  }
});

test('no other site shows the pages in a frame or reads what they show', async ({ page, server }) => {
  await signIn(page);
  const site = await otherSite(`<!doctype html><title>other</title><iframe src="${server.url}/admin/"></iframe>`);
  try {
    const elsewhere = await page.context().newPage();
    const refused = elsewhere.waitForEvent('console', (message) => /frame-ancestors/.test(message.text()));
    await elsewhere.goto(site.url);
    await refused;
    const read = await elsewhere.evaluate(async (url) => fetch(url, { credentials: 'include' }).then((r) => r.text(), () => 'refused by the browser'), `${server.url}/manage/projects`);
    expect(read).toBe('refused by the browser');
  } finally {
    await site.close();
  }
});
