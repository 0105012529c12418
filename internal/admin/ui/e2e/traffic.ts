import { expect, type Server } from './kit';

export const hostile = '<img src=x onerror="document.title=\'taken\'">';

/** A project with a name that is none to trust, and a token of it. */
export async function hostileToken(server: Server): Promise<{ project: string; id: string; token: string }> {
  const { project_id } = await server.api<{ project_id: string }>('POST', '/manage/projects', { name: hostile, api_key: 'sk-fake-provider-key-abcd' });
  const { id, token } = await server.api<{ id: string; token: string }>('POST', '/manage/tokens', { project_id, name: hostile, duration_minutes: 60 });
  return { project: project_id, id, token };
}

/** Asks through the proxy; returns the request's id. `demo` is how the demo provider shall misbehave. */
export async function ask(server: Server, { token = server.demoToken, model = 'gpt-4o', demo = '', stream = false } = {}): Promise<string> {
  const response = await fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST', headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json', ...(demo ? { 'X-Demo': demo } : {}) },
    body: JSON.stringify({ model, stream, messages: [{ role: 'user', content: 'Hello!' }] }),
  });
  await response.arrayBuffer();
  return response.headers.get('X-Llm-Proxy-Request-Id')!;
}

/** Waits until the ledger has the requests: it is written after the answers. */
export async function recorded(server: Server, ids: string[]): Promise<void> {
  for (const id of ids) {
    await expect.poll(() => server.api('GET', `/manage/requests/${id}`).then(() => 'there', () => 'not yet')).toBe('there');
  }
}
