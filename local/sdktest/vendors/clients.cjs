// Reports one call with Lunary's and Helicone's own clients. Standard input has the call: {request, response | chunks | failure, started,
// ended, firstByte, user, lunary, helicone}, the last two being where to.
const { readFileSync } = require('node:fs')
const call = JSON.parse(readFileSync(0, 'utf8'))
process.env.LUNARY_API_URL = call.lunary
process.env.LUNARY_PUBLIC_KEY = call.key
const { monitorOpenAI } = require('lunary/openai')
const { HeliconeManualLogger } = require('@helicone/helpers')

async function* stream() {
  for (const chunk of call.chunks) yield chunk
}

// What stands for the OpenAI client: it answers with what the provider has answered.
const openai = {
  chat: {
    completions: {
      create: async () => {
        if (call.failure) throw new Error(call.failure)
        return call.chunks ? stream() : call.response
      },
    },
  },
}

async function main() {
  const answer = await monitorOpenAI(openai).chat.completions.create({ ...call.request }).catch(() => undefined)
  if (call.chunks) for await (const _ of answer);
  // Lunary's client sends half a second later; the process ends when it has.
  if (!call.failure) {
    const logger = new HeliconeManualLogger({ apiKey: call.key, loggingEndpoint: call.helicone })
    const text = call.chunks && call.chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join('')
    await logger.sendLog(call.request, text ?? call.response, {
      startTime: call.started, endTime: call.ended, timeToFirstToken: call.chunks && call.firstByte, status: 200, provider: 'OPENAI',
      additionalHeaders: { 'Helicone-User-Id': call.user },
    })
  }
}
main()
