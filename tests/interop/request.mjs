// Plain HTTP at the level of what is sent: paths go out as they are written, answers are seen header by header.
import { request } from 'node:http'
import { atEnd } from './ending.mjs'
import { until, within } from './waiting.mjs'

/**
 * One request, answered: `{ status, headers, bytes, text, json }`. `query` is appended; `token` is sent as a bearer;
 * a `body` of any other kind than bytes and text is sent as JSON.
 */
export async function ask (host, method, path, { ms = 15_000, ...options } = {}) {
  const held = new Held(host, method, path, options)
  try {
    await within(held.ended, () => `${method} ${path} is answered; ${host.state ?? ''}`, ms)
  } finally {
    held.abort()
  }
  return held.answer
}

/** A request whose answer may take its time; given up at the end of test `t`. Resolves with a `Held` at once. */
export function hold (t, host, path, options = {}) {
  const held = new Held(host, options.method ?? 'GET', path, options)
  atEnd(t, () => held.abort())
  held.ended.catch(() => {}) // whoever waits for it hears of it
  return held
}

/** The same once its headers have come. */
export async function open (t, host, path, options) {
  const held = hold(t, host, path, options)
  await within(held.opened, `${path} is answered with headers`)
  return held
}

/** A stream of Server-Sent Events, once its headers have come. */
export async function listen (t, host, path, options) {
  const held = await open(t, host, path, options)
  return new Events(held)
}

/** What has come in answer to a request so far. */
export function answerOf ({ status, headers, chunks }) {
  const bytes = new Uint8Array(Buffer.concat(chunks))
  return {
    status,
    headers,
    bytes,
    get text () { return Buffer.from(bytes).toString() },
    get json () { return JSON.parse(this.text) }
  }
}

export class Held {
  constructor (host, method, path, { query, headers = {}, token, body, agent = false } = {}) {
    const { hostname, port } = new URL(host.url)
    const search = query === undefined ? '' : (path.includes('?') ? '&' : '?') + new URLSearchParams(query)
    const [bytes, type] = encodedBody(body)
    this.chunks = []
    this.began = performance.now()
    this.opened = new Promise((resolve, reject) => { this.#open = { resolve, reject } })
    this.opened.catch(() => {})
    this.ended = new Promise((resolve, reject) => {
      this.request = request({
        hostname,
        port,
        path: path + search,
        method,
        agent,
        headers: { ...type, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...headers }
      }, answer => {
        this.response = answer
        this.status = answer.statusCode
        this.headers = answer.headers
        this.#open.resolve(this)
        answer.on('data', chunk => this.chunks.push(chunk))
        answer.on('end', () => { this.over = true; this.took = performance.now() - this.began; resolve(this.answer) })
        answer.on('error', reject)
      })
      this.request.on('error', error => { this.error = error; this.#open.reject(error); reject(error) })
      this.request.end(bytes)
    })
  }

  #open

  get answer () {
    return answerOf(this)
  }

  abort () {
    this.request.on('error', () => {})
    this.request.destroy()
  }
}

/** What a stream of Server-Sent Events has brought so far: `events` (`{ event, data }`), `comments`, `controls`. */
export class Events {
  constructor (held) {
    this.held = held
    this.status = held.status
    this.headers = held.headers
    this.ended = held.ended
  }

  /** Parsed anew from what has come, so that a half-written event shows as nothing. */
  get blocks () {
    const text = Buffer.concat(this.held.chunks).toString().replaceAll('\r\n', '\n')
    return text.split('\n\n').slice(0, -1)
  }

  get events () {
    return this.blocks.map(block => {
      const fields = block.split('\n').filter(line => !line.startsWith(':')).map(line => line.match(/^([a-z]+):? ?(.*)$/))
      const event = fields.find(([, name]) => name === 'event')?.[2]
      return { event, data: fields.filter(([, name]) => name === 'data').map(([, , data]) => data).join('\n') }
    }).filter(({ event, data }) => event !== undefined || data !== '')
  }

  get comments () {
    return this.blocks.flatMap(block => block.split('\n').filter(line => line.startsWith(':')))
  }

  get controls () {
    return this.of('control').map(data => JSON.parse(data))
  }

  /** The data of all events of a name. */
  of (name) {
    return this.events.filter(({ event }) => event === name).map(({ data }) => data)
  }

  /** Resolves with the first truthy value of `found(this)`. */
  got (found, what, ms) {
    return until(() => {
      const value = found(this)
      if (!value && this.held.error) throw this.held.error
      return value
    }, () => `${typeof what === 'function' ? what() : what}; got ${JSON.stringify(this.events.slice(-6))}`, ms)
  }

  abort () { this.held.abort() }
}

function encodedBody (body) {
  if (body === undefined || typeof body === 'string' || body instanceof Uint8Array) return [body, {}]
  return [JSON.stringify(body), { 'content-type': 'application/json' }]
}
