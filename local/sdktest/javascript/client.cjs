// Does what the suite orders with the official JavaScript SDK. One line of JSON comes in for each order, and one or more go out.
'use strict';

const fs = require('node:fs');
const readline = require('node:readline');
const { OpenAI } = require('openai');

const QUESTION = 'Which way to the harbour?';
const messages = [{ role: 'user', content: QUESTION }];

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');

const orders = {
  async chat(client) {
    const { choices, usage } = await client.chat.completions.create({ model: 'gpt-4o', messages });
    return { text: choices[0].message.content, input: usage.prompt_tokens, output: usage.completion_tokens, total: usage.total_tokens };
  },

  async stream_chat(client) {
    const stream = await client.chat.completions.create({ model: 'gpt-4o', messages, stream: true, stream_options: { include_usage: true } });
    for await (const chunk of stream) {
      say({ chunk: chunk.choices[0]?.delta.content ?? '' });
    }
    return {};
  },

  async respond(client) {
    const { output_text, usage } = await client.responses.create({ model: 'gpt-4o', input: QUESTION });
    return { text: output_text, input: usage.input_tokens, output: usage.output_tokens, total: usage.total_tokens };
  },

  async stream_respond(client) {
    for await (const event of await client.responses.create({ model: 'gpt-4o', input: QUESTION, stream: true })) {
      say({ chunk: event.type });
    }
    return {};
  },

  async embed(client) {
    const { data, usage } = await client.embeddings.create({ model: 'text-embedding-3-small', input: [QUESTION, 'No.'], dimensions: 256 });
    return { count: data[0].embedding.length, input: usage.prompt_tokens, total: usage.total_tokens };
  },

  async models(client) {
    let count = 0;
    for await (const _ of client.models.list()) count++;
    return { count, text: (await client.models.retrieve('ft:gpt-4o:acme::17')).id };
  },

  async images(client) {
    const { data } = await client.images.generate({ model: 'gpt-image-1', prompt: QUESTION, n: 2 });
    return { count: data.length, text: data[0].b64_json.slice(0, 11) };
  },

  async upload(client, order) {
    const { id, bytes } = await client.files.create({ file: fs.createReadStream(order.file), purpose: 'batch' });
    return { ids: [id], bytes };
  },

  async transcribe(client, order) {
    return { text: (await client.audio.transcriptions.create({ model: 'gpt-4o-transcribe', file: fs.createReadStream(order.file) })).text };
  },

  async list_files(client) {
    let count = 0;
    for await (const _ of client.files.list()) count++;
    return { count };
  },

  async unknown(client) {
    await client.post('/no/such/endpoint', { body: {} });
    return {};
  },
};

async function main() {
  const plain = new OpenAI(); // base URL and key from the environment
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    const changes = {};
    if (order.base_url) changes.baseURL = order.base_url;
    if (order.key) changes.apiKey = order.key;
    if ('retries' in order) changes.maxRetries = order.retries;
    if (order.demo) changes.defaultHeaders = { 'X-Demo': order.demo };
    const client = Object.keys(changes).length ? plain.withOptions(changes) : plain;
    try {
      say({ done: await orders[order.do](client, order) });
    } catch (error) {
      say({ error: { class: error.constructor.name, status: error.status ?? 0, code: error.code ?? '', message: String(error) } });
    }
  }
}

main();
