import { expect, test } from 'vitest';

import { after, EventReader, type Answer } from './stream';

const nothing: Answer = { text: '', input: undefined, output: undefined, done: false };

test('events are read whole, wherever the pieces end', () => {
  const reader = new EventReader();
  expect(reader.feed('data: {"a"')).toEqual([]);
  expect(reader.feed(':1}\n')).toEqual([]);
  expect(reader.feed('\n: comment\n\nevent: x\r\ndata:2\r\n\r\nda')).toEqual(['{"a":1}', '2']);
  expect(reader.feed('ta: [DONE]\n\n')).toEqual(['[DONE]']);
});

test('an answer of chat completions adds up', () => {
  const events = ['{"choices":[{"delta":{"role":"assistant"}}]}', '{"choices":[{"delta":{"content":"Hel"}}]}', '{"choices":[{"delta":{"content":"lo"}}]}', '{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}'];
  const answer = events.reduce(after, nothing);
  expect(answer).toEqual({ text: 'Hello', input: 3, output: 2, done: false });
  expect(after(answer, '[DONE]').done).toBe(true);
});

test('an answer of messages adds up', () => {
  const events = [
    '{"type":"message_start","message":{"usage":{"input_tokens":3,"output_tokens":1}}}', '{"type":"content_block_delta","delta":{"text":"Hello"}}',
    '{"type":"message_delta","delta":{},"usage":{"output_tokens":7}}', '{"type":"message_stop"}',
  ];
  expect(events.reduce(after, nothing)).toEqual({ text: 'Hello', input: 3, output: 7, done: true });
});

test('an error in the stream is told', () => {
  expect(() => after(nothing, '{"error":{"message":"too much"}}')).toThrow('too much');
});
