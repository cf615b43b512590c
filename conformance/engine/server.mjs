// An OpenAI-compatible server over llama.cpp as a prebuilt Node addon
// (@fugood/llama.node); its native slot manager does the continuous batching.
//
//   node server.mjs MODEL.gguf [PORT] [SLOTS] [CONTEXT] [THREADS]
//
// The context is shared by all slots. Use one thread: with more on a shared
// machine the spin barriers cost thirty times the speed. The packages are
// looked for in the working directory. Port 0 takes a free one; the line
// "listening on HOST:PORT" tells which.
import http from 'node:http'
import { createRequire } from 'node:module'
const { loadModel, toggleNativeLog } = createRequire(process.cwd() + '/')('@fugood/llama.node')

const [model, port = 0, slots = 8, context = 8192, threads = 1] = process.argv.slice(2)
const id = model.split('/').pop().replace(/\.gguf$/, '')
await toggleNativeLog(!!process.env.NATIVE_LOG)
const llama = await loadModel({ model, n_ctx: +context, n_batch: 512, n_parallel: +slots, n_threads: +threads, n_gpu_layers: 0, kv_unified: true })
await llama.parallel.enable({ n_parallel: +slots, n_batch: 512 })
const total = { requests: 0, cancelled: 0, prompt: 0, predicted: 0 }

class Refusal extends Error {
  constructor(message, code = null, param = null) {
    super(message)
    this.body = { error: { message, type: 'invalid_request_error', code, param } }
  }
}

function send(res, status, body) {
  const text = typeof body === 'string'
  res.writeHead(status, { 'content-type': text ? 'text/plain' : 'application/json' })
  res.end(text ? body : JSON.stringify(body))
}

// flat turns a message's parts into its text: the model reads nothing else.
function flat(message) {
  if (typeof message.content === 'string' || message.content == null) return { ...message, content: message.content ?? '' }
  return { ...message, content: message.content.map((part) => {
    if (part.type !== 'text') throw new Refusal(`this model takes no ${part.type} input`, null, 'messages')
    return part.text
  }).join('\n') }
}

// options turns a request into the addon's options. The chat template is
// rendered here since the slot manager itself ignores response_format.
async function options(body) {
  const predict = body.max_completion_tokens ?? body.max_tokens ?? 128
  const opts = {
    n_predict: predict, temperature: body.temperature ?? 1, top_p: body.top_p ?? 1, seed: body.seed ?? -1,
    stop: [body.stop ?? []].flat(), ignore_eos: !!body.ignore_eos, reasoning_format: 'none', force_pure_content: !body.tools,
  }
  const chat = llama.getFormattedChat(body.messages.map(flat), undefined, { jinja: true, tools: body.tools, response_format: body.response_format })
  opts.prompt = chat.prompt
  if (chat.grammar) Object.assign(opts, { grammar: chat.grammar, chat_format: chat.chat_format, chat_parser: chat.chat_parser })
  for (const key in opts) if (opts[key] === undefined) delete opts[key]
  const { tokens } = await llama.tokenize(opts.prompt)
  if (tokens.length + predict > +context) { // would never be answered
    throw new Refusal(`${tokens.length} prompt tokens and ${predict} more do not fit ${context}`, 'context_length_exceeded', 'messages')
  }
  return opts
}

// A Stream writes the events of one answer.
class Stream {
  constructor(res, base) { Object.assign(this, { res, base, started: false }) }
  event(choices, extra) {
    this.res.write('data: ' + JSON.stringify({ ...this.base, object: 'chat.completion.chunk', choices, ...extra }) + '\n\n')
  }
  delta(delta, finish_reason = null) { this.event([{ index: 0, delta, finish_reason }]) }
  start() {
    if (this.started) return
    this.started = true
    this.res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
    this.delta({ role: 'assistant', content: '' })
  }
  end(finish, usage) {
    this.start()
    this.delta({}, finish)
    if (usage) this.event([], { usage })
    this.res.end('data: [DONE]\n\n')
  }
}

// The addon's own count of evaluated tokens leaves the cached ones out.
function usageOf(result) {
  const cached = result.timings.cache_n, prompt = cached + result.timings.prompt_n
  total.prompt += prompt
  total.predicted += result.tokens_predicted
  return { prompt_tokens: prompt, completion_tokens: result.tokens_predicted, total_tokens: prompt + result.tokens_predicted, prompt_tokens_details: { cached_tokens: cached } }
}

const finishOf = (result) => result.stopped_limit ? 'length' : result.tool_calls?.length ? 'tool_calls' : 'stop'

// upToStop cuts the text at the first stop sequence: the addon leaves the
// token in which it ends.
function upToStop(text, stops) {
  const ends = stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0)
  return ends.length ? text.slice(0, Math.min(...ends)) : text
}

async function complete(res, body) {
  const base = { id: 'chatcmpl-' + (++total.requests), created: Math.floor(Date.now() / 1000), model: id }
  const stream = new Stream(res, base)
  const run = await llama.parallel.completion(await options(body), (_, piece) => {
    if (!body.stream) return
    stream.start()
    if (piece.token) stream.delta({ content: piece.token })
  })
  res.on('close', () => {
    if (res.writableFinished) return
    total.cancelled++
    run.stop()
  })
  const result = await run.promise
  const usage = usageOf(result), finish = finishOf(result)
  if (body.stream) return stream.end(finish, body.stream_options?.include_usage && usage)
  const message = { role: 'assistant', content: upToStop(result.content ?? result.text, [body.stop ?? []].flat()), tool_calls: result.tool_calls }
  send(res, 200, { ...base, object: 'chat.completion', usage, choices: [{ index: 0, finish_reason: finish, message }] })
}

function metrics() {
  const status = llama.parallel.getStatus()
  return Object.entries({
    requests_processing: status.active_slots, requests_deferred: status.queued_requests, requests_total: total.requests,
    requests_cancelled_total: total.cancelled, prompt_tokens_total: total.prompt, tokens_predicted_total: total.predicted,
  }).map(([name, value]) => `llama_${name} ${value}\n`).join('')
}

const pages = {
  '/health': () => ({ status: 'ok' }),
  '/v1/models': () => ({ object: 'list', data: [{ id, object: 'model', created: 0, owned_by: 'local' }] }),
  '/slots': () => llama.parallel.getStatus(),
  '/metrics': metrics,
}

async function answer(req, res) {
  const page = req.method === 'GET' && pages[req.url]
  if (page) return send(res, 200, page())
  if (req.method !== 'POST' || req.url !== '/v1/chat/completions') return send(res, 404, { error: { message: 'no such route', type: 'invalid_request_error' } })
  const parts = []
  for await (const part of req) parts.push(part)
  await complete(res, JSON.parse(Buffer.concat(parts)))
}

const server = http.createServer((req, res) => answer(req, res).catch((error) => {
  if (res.destroyed) return
  if (res.headersSent) return res.destroy()
  send(res, 400, error.body ?? new Refusal(String(error.message ?? error)).body)
}))
server.listen(+port, '127.0.0.1', () => console.log(`listening on 127.0.0.1:${server.address().port}`))
