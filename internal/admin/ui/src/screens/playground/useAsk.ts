import { useEffect, useRef, useState } from 'react';

import { Problem, toProblem } from '../../api/problem';
import type { Schemas } from '../../api/client';
import { after, EventReader, type Answer } from './stream';

/** A question, and what has come of it. Times are those of this browser, in milliseconds. */
export interface Asked {
  state: 'asking' | 'complete' | 'stopped' | 'failed';
  answer: Answer;
  requestID?: string | undefined;
  status?: number;
  firstByte?: number;
  total?: number;
  problem?: Problem;
}

export interface Question {
  token: string;
  provider: Pick<Schemas['Provider'], 'base_path' | 'clients'>;
  model: string;
  text: string;
}

const nothing: Answer = { text: '', input: undefined, output: undefined, done: false };

/** Asks a model through the proxy, at the origin of this page, and follows its answer. */
export function useAsk() {
  const [asked, setAsked] = useState<Asked>();
  const running = useRef<AbortController>(undefined);
  useEffect(() => () => running.current?.abort(), []);
  const stop = () => running.current?.abort();

  const ask = async (question: Question) => {
    stop();
    const abort = new AbortController();
    running.current = abort;
    const began = performance.now();
    let now: Asked = { state: 'asking', answer: nothing };
    const tell = (more: Partial<Asked>) => {
      now = { ...now, ...more };
      if (running.current === abort) { // otherwise the next question is on the screen
        setAsked(now);
      }
    };
    tell({});
    try {
      const response = await window.fetch(...requestOf(question, abort.signal));
      tell({ status: response.status, requestID: response.headers.get('X-Llm-Proxy-Request-Id') ?? undefined });
      if (!response.ok || !response.body) {
        throw await refusal(response);
      }
      await follow(response.body, (answer) => tell({ answer, firstByte: now.firstByte ?? performance.now() - began }), now.answer);
      if (!now.answer.done) {
        throw brokeOff(now);
      }
      tell({ state: 'complete', total: performance.now() - began });
    } catch (thrown) {
      const total = performance.now() - began;
      const broke = now.status !== undefined && thrown instanceof TypeError; // once its head has come, no answer is a part of one
      tell(abort.signal.aborted ? { state: 'stopped', total } : {
        state: 'failed', total,
        problem: broke ? brokeOff(now) : toProblem(thrown),
      });
    }
  };
  return { asked, ask, stop };
}

const brokeOff = ({ answer }: Asked) =>
  new Problem({ status: 0, title: 'The answer broke off', detail: answer.text ? 'What came so far is below; it is not complete.' : 'Its head has come, and nothing else.' });

async function follow(body: ReadableStream<Uint8Array>, tell: (answer: Answer) => void, begin: Answer): Promise<void> {
  const events = new EventReader();
  const text = new TextDecoder();
  const reader = body.getReader();
  for (let answer = begin; ;) {
    const { value, done } = await reader.read();
    if (done) {
      return;
    }
    answer = events.feed(text.decode(value, { stream: true })).reduce(after, answer);
    tell(answer);
  }
}

/** The request of a question. Without cookies: the session is none of the proxy's business. */
function requestOf({ token, provider, model, text }: Question, signal: AbortSignal): [string, RequestInit] {
  const messages = [{ role: 'user', content: text }];
  const [path, body, headers] = provider.clients === 'anthropic'
    ? ['/v1/messages', { model, max_tokens: 1024, stream: true, messages }, { 'anthropic-version': '2023-06-01' }] as const
    : ['/chat/completions', { model, stream: true, stream_options: { include_usage: true }, messages }, {}] as const;
  return [provider.base_path + path, { method: 'POST', credentials: 'omit', signal, headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(body) }];
}

/** What an answer that is no success says, of ours or of the upstream. */
async function refusal(response: Response): Promise<Problem> {
  const about = { requestID: response.headers.get('X-Llm-Proxy-Request-Id') ?? undefined };
  const wire = await response.json().catch(() => undefined) as { error?: { message?: string; code?: string | null; type?: string } } | undefined;
  const title = [response.status, wire?.error?.code ?? wire?.error?.type].filter(Boolean).join(' ');
  return new Problem({ status: response.status, title, detail: wire?.error?.message ?? `The answer has status ${response.status}.` }, about);
}
