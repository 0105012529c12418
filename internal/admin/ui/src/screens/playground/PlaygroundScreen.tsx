import { Autocomplete, Button, Group, Paper, Select, Stack, Text, Textarea } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';

import type { Schemas } from '../../api/client';
import { useInfo } from '../../api/info';
import { Page } from '../../app/Page';
import { ProblemAlert } from '../../shared/ProblemAlert';
import { TableSkeleton } from '../../shared/Skeletons';
import { StatusBadge } from '../../shared/StatusBadge';
import { Figures } from './Figures';
import { TokenChoice } from './TokenChoice';
import { useAsk, type Asked } from './useAsk';

/** Asks a model through the proxy as a client would, with a token. */
export function PlaygroundScreen() {
  const info = useInfo();
  return (
    <Page title="Playground">
      {info.data ? <Form info={info.data} /> : info.error ? <ProblemAlert error={info.error} retry={() => void info.refetch()} /> : <TableSkeleton label="the playground" />}
    </Page>
  );
}

const secretLength = 56; // of a token that is whole

const usual = { openai: 'gpt-4o-mini', anthropic: 'claude-3-5-haiku-latest' } as const;

function Form({ info }: { info: Schemas['Info'] }) {
  const [token, setToken] = useState('');
  const [name, setName] = useState(info.default_provider);
  const [model, setModel] = useState<string>();
  const [text, setText] = useState('');
  const { asked, ask, stop } = useAsk();
  const provider = info.providers.find((p) => p.name === name);
  const models = useModels(provider, token.trim());
  const chosen = model ?? (provider ? usual[provider.clients] : '');
  const ready = !!provider && token.trim() !== '' && chosen.trim() !== '' && text.trim() !== '';
  const asking = asked?.state === 'asking';
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (ready && !asking) {
      void ask({ token: token.trim(), provider, model: chosen.trim(), text });
    }
  };
  return (
    <>
      <form onSubmit={submit}>
        <Stack maw={760}>
          <TokenChoice token={token} onToken={(next, of) => { setToken(next); if (of) { setName(of); } }} />
          {info.providers.length > 1 && <Select label="Provider of its project" allowDeselect={false} data={info.providers.map((p) => p.name)} value={name} onChange={(next) => next && setName(next)} />}
          <Autocomplete label="Model" data={models} limit={50} value={chosen} onChange={setModel} />
          <Textarea
            label="Message" autosize minRows={3} maxRows={12} value={text} onChange={(event) => setText(event.currentTarget.value)}
            onKeyDown={(event) => { if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) { event.currentTarget.form?.requestSubmit(); } }}
          />
          <Group>
            <Button type="submit" disabled={!ready || asking}>Ask</Button>
            {asking && <Button variant="default" onClick={stop}>Stop</Button>}
            {!token && <Text size="sm" c="dimmed">Paste a token, or make one: this spends its caps and the project's provider key, as any client does.</Text>}
          </Group>
        </Stack>
      </form>
      {asked && <Outcome asked={asked} ledger={info.ledger} />}
    </>
  );
}

const said = { asking: ['info', 'answering'], complete: ['good', 'complete'], stopped: ['warn', 'stopped'], failed: ['bad', 'failed'] } as const;

function Outcome({ asked, ledger }: { asked: Asked; ledger: boolean }) {
  const [tone, word] = said[asked.state];
  return (
    <Paper withBorder p="md" component="section" aria-label="Answer">
      <Stack>
        <div role="status"><StatusBadge tone={tone}>{word}</StatusBadge></div>
        <ProblemAlert error={asked.problem} />
        {asked.answer.text && <Text className="wrap" style={{ whiteSpace: 'pre-wrap' }}>{asked.answer.text}</Text>}
        <Figures key={asked.requestID} asked={asked} ledger={ledger} />
      </Stack>
    </Paper>
  );
}

/** The models that a token may be used with, as far as its provider lists them. Any other can be typed. */
function useModels(provider: Schemas['Provider'] | undefined, token: string): string[] {
  const [settled] = useDebouncedValue(token, 500);
  const whole = settled.length === secretLength && settled === token;
  const { data } = useQuery({
    queryKey: ['models', provider?.name, settled.slice(-6)], // not the secret
    enabled: !!provider && whole, gcTime: 0, retry: false, staleTime: Infinity,
    queryFn: async ({ signal }) => {
      const path = provider!.base_path + (provider!.clients === 'anthropic' ? '/v1/models' : '/models');
      const response = await window.fetch(path, { credentials: 'omit', signal, headers: { Authorization: `Bearer ${token}` } });
      const { data: rows } = (response.ok ? await response.json() : { data: [] }) as { data?: { id: string }[] };
      return (rows ?? []).map(({ id }) => id).sort();
    },
  });
  return data ?? [];
}
