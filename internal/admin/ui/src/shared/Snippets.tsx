import { Code, Group, Stack, Tabs, Text } from '@mantine/core';

import type { Schemas } from '../api/client';
import { useInfo } from '../api/info';
import { CopyButton } from './CopyButton';
import { ProblemAlert } from './ProblemAlert';
import { TableSkeleton } from './Skeletons';

interface Props {
  token?: string | undefined; // absent: the snippets read it from the environment
  model?: string | undefined;
  provider?: string | undefined; // of the token's project; absent: the default one
}

/** How a token is used: one small request from a shell and from some languages, ready to paste. */
export function Snippets({ token, model, provider }: Props) {
  const info = useInfo();
  if (!info.data) {
    return info.error ? <ProblemAlert error={info.error} retry={() => void info.refetch()} /> : <TableSkeleton label="the snippets" rows={3} />;
  }
  const snippets = snippetsOf({ ...targetOf(info.data, window.location.origin, provider), token, model });
  return (
    <Tabs defaultValue="curl" keepMounted={false}>
      <Tabs.List aria-label="Language">
        {snippets.map(({ label }) => <Tabs.Tab key={label} value={label}>{label}</Tabs.Tab>)}
      </Tabs.List>
      {snippets.map(({ label, code, needs }) => (
        <Tabs.Panel key={label} value={label} pt="sm">
          <Stack gap="xs">
            <Code block tabIndex={0} role="group" aria-label={`Snippet for ${label}`}>{code}</Code>
            <Group justify="space-between" gap="xs">
              <Text size="xs" c="dimmed">{needs}</Text>
              <CopyButton text={code} label="Copy the snippet" />
            </Group>
          </Stack>
        </Tabs.Panel>
      ))}
    </Tabs>
  );
}

/** Where the clients of a provider send their requests, and which clients these are. */
export interface Target {
  baseURL: string;
  clients: Schemas['Provider']['clients'];
}

/** The target of a provider. Where the server was not told its public address, that is the origin of the page. */
export function targetOf(info: Pick<Schemas['Info'], 'base_url' | 'default_provider'> & { providers: Pick<Schemas['Provider'], 'name' | 'base_path' | 'clients'>[] }, origin: string, name = info.default_provider): Target {
  const find = (of: string) => info.providers.find((p) => p.name === of);
  const ofDefault = find(info.default_provider)?.base_path ?? '';
  const root = info.base_url?.endsWith(ofDefault) ? info.base_url.slice(0, info.base_url.length - ofDefault.length) : origin;
  const provider = find(name);
  return { baseURL: root + (provider?.base_path ?? ofDefault), clients: provider?.clients ?? 'openai' };
}

export interface Snippet {
  label: string;
  code: string;
  needs: string;
}

/** What is different between the two kinds of client libraries. */
const kinds = {
  openai: { variable: 'OPENAI', path: '/chat/completions', model: 'gpt-4o-mini', further: {}, headers: {} },
  anthropic: { variable: 'ANTHROPIC', path: '/v1/messages', model: 'claude-3-5-haiku-latest', further: { max_tokens: 99 }, headers: { 'anthropic-version': '2023-06-01' } },
};

export function snippetsOf({ baseURL, clients, token, model }: Target & { token?: string | undefined; model?: string | undefined }): Snippet[] {
  const kind = kinds[clients];
  const variable = `${kind.variable}_API_KEY`;
  const url = baseURL + kind.path;
  const question = { model: model ?? kind.model, ...kind.further, messages: [{ role: 'user', content: 'Hello!' }] };
  const body = JSON.stringify(question);
  const fixed = { 'Content-Type': 'application/json', ...kind.headers };

  const curl = (flag: string, data: string) => [
    `curl ${flag} ${shellText(url)}`,
    `-H "Authorization: Bearer ${token ?? `$${variable}`}"`,
    ...Object.entries(fixed).map(([name, value]) => `-H "${name}: ${value}"`),
    `-d ${shellText(data)}`,
  ].join(' \\\n  ');

  const call = clients === 'openai'
    ? `client.chat.completions.create(\n    model=${text(question.model)},\n    messages=[{"role": "user", "content": "Hello!"}],\n)\nprint(answer.choices[0].message.content)`
    : `client.messages.create(\n    model=${text(question.model)},\n    max_tokens=99,\n    messages=[{"role": "user", "content": "Hello!"}],\n)\nprint(answer.content[0].text)`;
  const library = clients === 'openai' ? 'OpenAI' : 'Anthropic';
  const python = `${token ? '' : 'import os\n\n'}from ${clients} import ${library}

client = ${library}(base_url=${text(baseURL)}, api_key=${token ? text(token) : `os.environ[${text(variable)}]`})
answer = ${call}
`;

  const javascript = `const token = ${token ? text(token) : `process.env.${variable}`};
const answer = await fetch(${text(url)}, {
  method: "POST",
  headers: { Authorization: \`Bearer \${token}\`, ${Object.entries(fixed).map(([name, value]) => `${text(name)}: ${text(value)}`).join(', ')} },
  body: JSON.stringify(${body}),
});
console.log(answer.status, answer.headers.get("x-llm-proxy-request-id"));
console.log(JSON.stringify(await answer.json(), null, 2));
`;

  const go = `package main

import (
	"fmt"
	"io"
	"net/http"
${token ? '' : '\t"os"\n'}	"strings"
)

func main() {
	token := ${token ? text(token) : `os.Getenv(${text(variable)})`}
	body := ${body.includes('`') ? text(body) : `\`${body}\``}
	req, err := http.NewRequest("POST", ${text(url)}, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
${Object.entries(fixed).map(([name, value]) => `\treq.Header.Set(${text(name)}, ${text(value)})`).join('\n')}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		panic(err)
	}
	fmt.Println(resp.Status, resp.Header.Get("X-Llm-Proxy-Request-Id"))
	fmt.Println(string(answer))
}
`;

  return [
    { label: 'curl', code: curl('-i', body), needs: 'For a shell.' },
    { label: 'Python', code: python, needs: `Needs: pip install ${clients}` },
    { label: 'JavaScript', code: javascript, needs: 'Needs nothing but Node. Save it as hello.mjs.' },
    { label: 'Go', code: go, needs: 'Needs nothing but Go. Save it as main.go.' },
    { label: 'Environment', code: `export ${kind.variable}_BASE_URL=${shellText(baseURL)}\nexport ${variable}=${token ? shellText(token) : '…'}`, needs: 'Programs that use a client library need no other change.' },
    { label: 'Streaming', code: curl('-iN', JSON.stringify({ ...question, stream: true })), needs: 'For a shell: the answer comes piece by piece.' },
  ];
}

/** A text as Python, JavaScript and Go write it. */
const text = (of: string) => JSON.stringify(of);

/** A text as a shell takes it, whatever stands in it. */
const shellText = (of: string) => (/^[\w:/.@%+=,-]+$/.test(of) ? of : `'${of.replaceAll("'", `'\\''`)}'`);
