// Anthropic's own client in Bedrock mode. Credentials come from the
// environment.
//
//   node anthropic.mjs  the package is looked for in the working directory
import { createRequire } from 'node:module'
import { check, end, equal, yes } from './checks.mjs'

const require = createRequire(process.cwd() + '/')
const { AnthropicBedrock } = require('@anthropic-ai/bedrock-sdk')
const model = 'anthropic.claude-3-haiku-20240307-v1:0'
const client = new AnthropicBedrock({ baseURL: process.env.AWS_ENDPOINT_URL, awsRegion: 'us-east-1', maxRetries: 0 })
const ask = { model, max_tokens: 40, messages: [{ role: 'user', content: 'Tell me about tides' }] }
const tools = [{ name: 'weather', description: 'Tells the weather', input_schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } }]

await check('messages.create', async () => {
  const answer = await client.messages.create(ask)
  equal(answer.type, 'message', 'type')
  equal(answer.role, 'assistant', 'role')
  yes(answer.content[0].text, 'no text')
  yes(answer.usage.input_tokens > 0 && answer.usage.output_tokens > 0, 'no usage')
})

await check('messages.create with a stream', async () => {
  const types = []
  for await (const event of await client.messages.create({ ...ask, stream: true })) types.push(event.type)
  equal(types[0], 'message_start', 'first')
  equal(types.at(-1), 'message_stop', 'last')
  yes(types.includes('content_block_stop') && types.includes('message_delta'), `events are ${[...new Set(types)]}`)
})

await check('messages.stream assembles what messages.create says', async () => {
  const streamed = await client.messages.stream(ask).finalMessage()
  const whole = await client.messages.create(ask)
  equal(streamed.content[0].text, whole.content[0].text, 'text')
  equal(streamed.stop_reason, whole.stop_reason, 'stop reason')
  equal(streamed.usage.output_tokens, whole.usage.output_tokens, 'output tokens')
})

await check('tool use', async () => {
  const answer = await client.messages.create({ ...ask, tools, tool_choice: { type: 'any' } })
  equal(answer.stop_reason, 'tool_use', 'stop reason')
  const use = answer.content.find((b) => b.type === 'tool_use')
  equal(typeof use.input.city, 'string', 'input')
  const more = await client.messages.create({ ...ask, tools, messages: [...ask.messages, { role: 'assistant', content: answer.content },
    { role: 'user', content: [{ type: 'tool_result', tool_use_id: use.id, content: 'sunny' }] }] })
  yes(more.content.length > 0, 'no answer to the tool result')
})

await check('streamed tool use', async () => {
  const message = await client.messages.stream({ ...ask, tools, tool_choice: { type: 'tool', name: 'weather' } }).finalMessage()
  equal(typeof message.content.find((b) => b.type === 'tool_use').input.city, 'string', 'input')
})

await check('system prompt and content blocks', async () => {
  const answer = await client.messages.create({ ...ask, system: [{ type: 'text', text: 'Be brief.' }], temperature: 0.2, top_p: 0.9, top_k: 5, stop_sequences: ['STOP'],
    messages: [{ role: 'user', content: [{ type: 'text', text: 'Hello' }] }] })
  yes(answer.content[0].text, 'no text')
})

await check('an unknown model is a bad request', async () => {
  try {
    await client.messages.create({ ...ask, model: 'no.such-model-v1:0' })
  } catch (error) {
    equal(error.status, 400, 'status')
    yes(/model identifier is invalid/.test(error.message), error.message)
    return
  }
  throw new Error('no error')
})

await check('a model id that is an ARN', async () => {
  const answer = await client.messages.create({ ...ask, model: 'arn:aws:bedrock:us-east-1::foundation-model/' + model })
  yes(answer.content[0].text, 'no text')
})

end()
