/** What a streamed answer has told so far. */
export interface Answer {
  text: string;
  input: number | undefined; // units, as the upstream counts them
  output: number | undefined;
  done: boolean; // it said that it is complete
}

/** Reads the events of a stream piece by piece; feed gives the data of those that are complete. */
export class EventReader {
  private rest = '';

  feed(piece: string): string[] {
    const events = (this.rest + piece).replaceAll('\r\n', '\n').split('\n\n');
    this.rest = events.pop() ?? '';
    return events.map((event) => event.split('\n').filter((line) => line.startsWith('data:')).map((line) => line.slice(5).replace(/^ /, '')).join('\n')).filter(Boolean);
  }
}

interface WireUsage {
  prompt_tokens?: number;
  completion_tokens?: number;
  input_tokens?: number;
  output_tokens?: number;
}

/** An event of either API: OpenAI's chat completions, or Anthropic's messages. */
interface Wire {
  type?: string;
  choices?: { delta?: { content?: string | null } }[];
  delta?: { text?: string };
  usage?: WireUsage | null;
  message?: { usage?: WireUsage };
  error?: { message?: string };
}

/** An answer after one more event. Throws what an event of the stream says went wrong. */
export function after(answer: Answer, data: string): Answer {
  if (data === '[DONE]') {
    return { ...answer, done: true };
  }
  const wire = JSON.parse(data) as Wire;
  if (wire.error) {
    throw new Error(wire.error.message ?? 'The stream ended with an error.');
  }
  const usage = wire.usage ?? wire.message?.usage;
  return {
    text: answer.text + (wire.choices?.[0]?.delta?.content ?? wire.delta?.text ?? ''),
    input: usage?.prompt_tokens ?? usage?.input_tokens ?? answer.input,
    output: usage?.completion_tokens ?? usage?.output_tokens ?? answer.output,
    done: answer.done || wire.type === 'message_stop',
  };
}
