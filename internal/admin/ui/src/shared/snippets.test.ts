// @vitest-environment jsdom
import { expect, test } from 'vitest';

import { snippetsOf, targetOf } from './Snippets';

const providers = [
  { name: 'openai', base_path: '/v1', clients: 'openai' as const },
  { name: 'claude', base_path: '/claude', clients: 'anthropic' as const },
];

test('a base URL is under the public address, or under the origin where the server knows none', () => {
  const info = { default_provider: 'openai', providers };
  expect(targetOf(info, 'http://127.0.0.1:8080')).toEqual({ baseURL: 'http://127.0.0.1:8080/v1', clients: 'openai' });
  expect(targetOf({ ...info, base_url: 'https://llm.example.com/v1' }, 'https://admin.example.com')).toEqual({ baseURL: 'https://llm.example.com/v1', clients: 'openai' });
  expect(targetOf({ ...info, base_url: 'https://llm.example.com/v1' }, 'https://admin.example.com', 'claude')).toEqual({ baseURL: 'https://llm.example.com/claude', clients: 'anthropic' });
});

test('every snippet has the token, or reads it from the environment', () => {
  for (const clients of ['openai', 'anthropic'] as const) {
    const target = { baseURL: 'http://127.0.0.1:8080/v1', clients };
    for (const { code } of snippetsOf({ ...target, token: 'sk-fake-token' })) {
      expect(code).toContain('sk-fake-token');
      expect(code).not.toMatch(/API_KEY(?!=)|import os|"os"/);
    }
    for (const { label, code } of snippetsOf(target)) {
      expect(code, label).toContain(clients === 'openai' ? 'OPENAI_API_KEY' : 'ANTHROPIC_API_KEY');
    }
  }
});

test('a hostile model stays a text of its snippet', () => {
  const model = `x'; rm -rf / #\`"$(id)`;
  const snippets = snippetsOf({ baseURL: 'http://127.0.0.1:8080/v1', clients: 'openai', token: 'sk-fake-token', model });
  const code = (label: string) => snippets.find((one) => one.label === label)!.code;
  expect(code('curl')).toContain(`-d '{"model":"x'\\''; rm -rf / #\`\\"$(id)","messages"`);
  expect(code('Python')).toContain(`model=${JSON.stringify(model)}`);
  expect(code('Go')).toContain(`body := ${JSON.stringify(JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello!' }] }))}`);
});
