// Writing and reading by HTTP. Writing: lanes, each one client, strictly one POST at a time, so that a client's edits arrive in
// order; an edit that finds no lane free waits, and its waiting counts. Reading: an event stream, or one long-poll after the
// other.

import { frame, unframe } from '../../../provider/src/frames.ts'
import { serverEvents } from '../../../provider/src/sse.ts'
import { Lane } from './edits.js'
import { Failure, failureOf, failureOfAnswer, failureOfNetwork } from './failure.js'
import { pause } from './schedule.js'

/** @typedef {import('./session.js').Line} Line */

/**
 * Makes a request that needs no question beforehand (CORS), where its method allows. Throws a `Failure` unless it is answered
 * with 2xx within `patience` milliseconds.
 *
 * @param {string} url @param {{ method?: string, body?: Uint8Array, patience: number, signal?: AbortSignal }} options
 */
export const ask = async (url, { method = 'GET', body, patience, signal }) => {
  const limit = AbortSignal.timeout(Math.max(1, patience))
  return answered(fetch(url, {
    method,
    body: /** @type {Uint8Array<ArrayBuffer> | undefined} */ (body),
    cache: 'no-store',
    signal: signal ? AbortSignal.any([signal, limit]) : limit
  }))
}

/** @param {Promise<Response>} fetched */
const answered = async fetched => {
  const answer = await fetched.catch(error => { throw failureOfNetwork(error) })
  if (!answer.ok) throw await failureOfAnswer(answer)
  return answer
}

export class Lanes {
  /** Edits that wait for a lane. @type {number[]} */
  #queue = []
  #made = 0
  /** @type {{ client?: Lane, busy: boolean }[]} */
  #lanes

  /** @param {Line} line */
  constructor (line) {
    this.line = line
    this.#lanes = Array.from({ length: line.lanes }, () => ({ busy: false }))
  }

  /** Opens as many connections as there are lanes, as far as the browser lets it. */
  async ready () {
    await Promise.all(this.#lanes.map(() => this.ask()))
  }

  edit (/** @type {number} */ number) {
    this.#queue.push(number)
    this.#next()
  }

  /** Milliseconds that a question and its answer take. */
  async ask () {
    const { target, doc, ledger, hear } = this.line
    const asked = performance.now()
    const answer = await ask(target.stream(doc, { offset: 'now' }), { patience: ledger.timeout })
    await bytesOf(answer)
    hear(answer)
    return performance.now() - asked
  }

  close () {
    this.#queue = []
  }

  #next () {
    const free = this.#lanes.find(({ busy }) => !busy)
    const number = free && this.#queue.shift()
    if (number !== undefined) this.#post(free, number).then(() => this.#next())
  }

  async #post (/** @type {{ client?: Lane, busy: boolean }} */ lane, /** @type {number} */ number) {
    const { target, doc, key, ledger, hear } = this.line
    const deadline = ledger.deadline(number)
    // It has waited too long.
    if (deadline === undefined) return
    lane.busy = true
    const client = lane.client ??= new Lane(`${key}.${this.#made++}`)
    ledger.sent(number, client.key)
    try {
      const body = frame([client.edit(number)])
      const answer = await ask(target.stream(doc), { method: 'POST', body, patience: deadline - performance.now() })
      ledger.acked(number)
      await bytesOf(answer)
      hear(answer)
    } catch (error) {
      ledger.failed(number, failureOf(error))
      // Its clocks may have a gap now.
      lane.client = undefined
    }
    lane.busy = false
  }
}

/** Follows a document by held requests, from where it was read up to. */
class Reader {
  #aborter = new AbortController()
  /** @type {Failure | undefined} */
  failure

  /** @param {Line} line @param {import('./edits.js').Copy} copy */
  constructor (line, copy) {
    this.line = line
    this.copy = copy
    this.isReady = () => {}
    this.isLost = (/** @type {Failure} */ _failure) => {}
    this.signal = this.#aborter.signal
    this.#ready = new Promise((resolve, reject) => {
      this.isReady = () => resolve(undefined)
      this.isLost = reject
    })
    this.#ready.catch(() => {}) // whoever waits for it hears of it
    // What it is extended by is not there yet.
    queueMicrotask(() => this.#run())
  }

  #ready

  /** Resolves once it follows; rejects with the first failure, after which it goes on trying. */
  async ready () {
    await this.#ready
  }

  close () {
    this.isLost(new Failure('closed', 'closed'))
    this.#aborter.abort()
  }

  async #run () {
    while (!this.signal.aborted) {
      try {
        await this.follow()
      } catch (error) {
        if (this.signal.aborted) return
        this.isLost(failureOf(error))
        await pause(this.line.retry)
      }
    }
  }

  /** Follows until the server ends what it holds. */
  async follow () {}
}

export class StreamReader extends Reader {
  async follow () {
    const { target, doc, ledger, hear } = this.line
    const url = target.stream(doc, { offset: this.copy.offset, live: 'sse' })
    const aborter = new AbortController()
    const abort = () => aborter.abort(new DOMException('no event in time', 'TimeoutError'))
    const late = setTimeout(abort, ledger.timeout)
    const signal = AbortSignal.any([this.signal, aborter.signal])
    try {
      const answer = await answered(fetch(url, { cache: 'no-store', signal }))
      hear(answer)
      for await (const { event, data } of serverEvents(chunks(answer))) {
        clearTimeout(late)
        if (event === 'data') for (const update of unframe(decoded(data))) this.copy.apply(update)
        if (event !== 'control') continue
        this.copy.offset = String(JSON.parse(data).streamNextOffset)
        this.isReady()
      }
    } finally {
      clearTimeout(late)
    }
  }
}

export class PollReader extends Reader {
  async follow () {
    await this.#read({}, this.line.ledger.timeout)
    this.isReady()
    // Longer than a server holds it.
    for (;;) await this.#read({ live: 'long-poll' }, 90_000)
  }

  async #read (/** @type {Record<string, string>} */ query, /** @type {number} */ patience) {
    const { target, doc, hear } = this.line
    const answer = await ask(target.stream(doc, { offset: this.copy.offset, ...query }), { patience, signal: this.signal })
    const updates = unframe(await bytesOf(answer))
    const next = answer.headers.get('stream-next-offset')
    if (next === null) throw new Failure('protocol', 'an answer has no offset')
    this.copy.offset = next
    for (const update of updates) this.copy.apply(update)
    hear(answer)
  }
}

/** Of base64. lib0's own is Node's in a worker. @param {string} text */
const decoded = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0))

/** The whole of it. @param {Response} answer */
const bytesOf = async answer => new Uint8Array(await answer.arrayBuffer().catch(error => { throw failureOfNetwork(error) }))

/** It as it comes. @param {Response} answer */
async function * chunks ({ body }) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (body).getReader()
  for (;;) {
    const { done, value } = await reader.read().catch(error => { throw failureOfNetwork(error) })
    if (done) return
    yield value
  }
}
