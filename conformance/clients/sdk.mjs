// The AWS SDK for JavaScript: the runtime client speaks HTTP/2 in clear text
// unless told otherwise, the control client HTTP/1.1. Endpoint and
// credentials come from the environment.
//
//   node sdk.mjs        the packages are looked for in the working directory
import { createRequire } from 'node:module'
import { check, end, equal, fails, yes } from './checks.mjs'

const require = createRequire(process.cwd() + '/')
const runtimeSDK = require('@aws-sdk/client-bedrock-runtime')
const { BedrockClient, ListFoundationModelsCommand, GetFoundationModelCommand } = require('@aws-sdk/client-bedrock')
const { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand, InvokeModelCommand, InvokeModelWithResponseStreamCommand, CountTokensCommand } = runtimeSDK

const HAIKU = 'anthropic.claude-3-haiku-20240307-v1:0'
const messages = [{ role: 'user', content: [{ text: 'Hello, how are you?' }] }]
const body = JSON.stringify({ anthropic_version: 'bedrock-2023-05-31', max_tokens: 32, messages: [{ role: 'user', content: 'Hello' }] })
const runtime = new BedrockRuntimeClient({ maxAttempts: 1 })
const textOf = (answer) => answer.output.message.content.map((b) => b.text ?? '').join('')
const tools = { tools: [{ toolSpec: { name: 'weather', inputSchema: { json: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } } } }], toolChoice: { any: {} } }

await check('converse over HTTP/2', async () => {
  const answer = await runtime.send(new ConverseCommand({ modelId: HAIKU, messages }))
  yes(textOf(answer), 'no text')
  equal(answer.usage.totalTokens, answer.usage.inputTokens + answer.usage.outputTokens, 'total')
  yes(answer.$metadata.requestId, 'no request id')
})

await check('converse-stream over HTTP/2', async () => {
  const answer = await runtime.send(new ConverseStreamCommand({ modelId: HAIKU, messages, inferenceConfig: { maxTokens: 40 } }))
  const names = [], text = []
  for await (const event of answer.stream) {
    names.push(Object.keys(event)[0])
    text.push(event.contentBlockDelta?.delta.text ?? '')
  }
  equal(names[0], 'messageStart')
  equal(names.slice(-3).join(), 'contentBlockStop,messageStop,metadata', 'end')
  const whole = await runtime.send(new ConverseCommand({ modelId: HAIKU, messages, inferenceConfig: { maxTokens: 40 } }))
  equal(text.join(''), textOf(whole), 'text')
})

await check('many streams at a time on one connection', async () => {
  const all = await Promise.all(Array.from({ length: 40 }, async () => {
    const answer = await runtime.send(new ConverseStreamCommand({ modelId: HAIKU, messages }))
    let last
    for await (const event of answer.stream) last = Object.keys(event)[0]
    return last
  }))
  yes(all.every((name) => name === 'metadata'), `ends are ${[...new Set(all)]}`)
})

await check('tool use', async () => {
  const answer = await runtime.send(new ConverseCommand({ modelId: HAIKU, messages, toolConfig: tools }))
  equal(answer.stopReason, 'tool_use', 'stop reason')
  equal(typeof answer.output.message.content.find((b) => b.toolUse).toolUse.input.city, 'string', 'input')
})

await check('invoke-model', async () => {
  const answer = await runtime.send(new InvokeModelCommand({ modelId: HAIKU, body }))
  yes(JSON.parse(new TextDecoder().decode(answer.body)).content[0].text, 'no text')
  equal(answer.contentType, 'application/json', 'content type')
})

await check('invoke-model-with-response-stream', async () => {
  const answer = await runtime.send(new InvokeModelWithResponseStreamCommand({ modelId: HAIKU, body }))
  equal(answer.contentType, 'application/json', 'content type')
  let last
  for await (const event of answer.body) last = JSON.parse(new TextDecoder().decode(event.chunk.bytes))
  equal(last.type, 'message_stop', 'last chunk')
  yes(last['amazon-bedrock-invocationMetrics'].outputTokenCount > 0, 'no metrics')
})

await check('count-tokens', async () => {
  const answer = await runtime.send(new CountTokensCommand({ modelId: HAIKU, input: { converse: { messages } } }))
  yes(answer.inputTokens > 0, 'no tokens')
})

await check('an ARN as model id', async () => {
  yes(textOf(await runtime.send(new ConverseCommand({ modelId: 'arn:aws:bedrock:us-east-1::foundation-model/' + HAIKU, messages }))), 'no text')
})

await check('errors have their classes', async () => {
  for (const [name, status] of [['ThrottlingException', 429], ['ValidationException', 400], ['ModelTimeoutException', 408], ['ServiceUnavailableException', 503], ['AccessDeniedException', 403]]) {
    const error = await fails(name, runtime.send(new ConverseCommand({ modelId: HAIKU, messages, requestMetadata: { fault: name } })))
    yes(error instanceof runtimeSDK[name], `${name} is not an instance of its class`)
    equal(error.$metadata.httpStatusCode, status, 'status')
  }
})

await check('throttling is tried again, after the time that is told', async () => {
  const patient = new BedrockRuntimeClient({ maxAttempts: 2 })
  const begin = Date.now()
  const error = await fails('ThrottlingException', patient.send(new ConverseCommand({ modelId: HAIKU, messages, requestMetadata: { fault: 'ThrottlingException' } })))
  equal(error.$metadata.attempts, 2, 'attempts')
  yes(Date.now() - begin < 20_000, 'the wait is too long')
})

await check('a cut stream throws', async () => {
  const answer = await runtime.send(new ConverseStreamCommand({ modelId: HAIKU, messages, requestMetadata: { fault: 'cut' } }))
  const error = await fails('ModelStreamErrorException', (async () => { for await (const _ of answer.stream); })())
  yes(error.message, 'no message')
})

await check('a client that aborts', async () => {
  const controller = new AbortController()
  const answer = await runtime.send(new ConverseStreamCommand({ modelId: HAIKU, messages, requestMetadata: { fault: 'slow' } }), { abortSignal: controller.signal })
  for await (const _ of answer.stream) break
  controller.abort()
  yes(textOf(await runtime.send(new ConverseCommand({ modelId: HAIKU, messages }))), 'no text afterwards')
})

await check('the catalogue over HTTP/1.1', async () => {
  const control = new BedrockClient({ maxAttempts: 1 })
  const { modelSummaries } = await control.send(new ListFoundationModelsCommand({ byProvider: 'Anthropic' }))
  yes(modelSummaries.length > 0 && modelSummaries.every((m) => m.providerName === 'Anthropic'), 'wrong models')
  const { modelDetails } = await control.send(new GetFoundationModelCommand({ modelIdentifier: HAIKU }))
  equal(modelDetails.modelId, HAIKU, 'id')
  yes(modelDetails.modelLifecycle.startOfLifeTime === undefined || modelDetails.modelLifecycle.startOfLifeTime instanceof Date, 'no date')
})

runtime.destroy()
end()
