// One writer and one reader of one document, by one transport, at one host. Between turns nothing of it is on the wire.

import { Copy } from './edits.js'
import { Failure, failureOf } from './failure.js'
import { ask, Lanes, PollReader, StreamReader } from './http.js'
import { Ledger } from './ledger.js'
import { phasesOf } from './phases.js'
import { at, pause } from './schedule.js'
import { SocketReader, SocketWriter } from './socket.js'
import { Recorder } from './summary.js'

/** @typedef {'ws' | 'sse' | 'long-poll'} Transport */

/**
 * What a writer and a reader know of where they are.
 *
 * @typedef {{
 *   target: import('./target.js').Target, doc: string, key: string, ledger: Ledger, lanes: number, retry: number,
 *   measured: (metric: Metric, ms: number) => void, hear: (answer: Response) => void
 * }} Line `key` begins the names of its lanes; `retry`: milliseconds before another attempt
 */

/** @typedef {'lookup' | 'tcp' | 'tls' | 'connect' | 'ttfb' | 'rtt'} Metric */

/** How long a turn of one session is, in milliseconds, before it is another's. */
export const TURN = 1000
/** How long nobody records: whatever is slow only the first time has been then. */
export const WARM_UP = 1000
/** Over HTTP/1.1 a browser has six connections to a host: one is held by the reader, one is for questions. */
const LANES = 4
/** Over HTTP/2 and HTTP/3 requests share one connection. */
const SHARED_LANES = 16
/** Questions on a connection that stands, in one turn: at most so many, in about so many milliseconds. */
const QUESTIONS = { most: 10, time: 500 }

export class Session {
  /** @type {Record<Metric, Recorder>} */
  metrics = {
    lookup: new Recorder(), tcp: new Recorder(), tls: new Recorder(), connect: new Recorder(), ttfb: new Recorder(), rtt: new Recorder()
  }

  /** Edits that were due and are recorded. */
  due = 0
  /** What went wrong last, and since when nothing went right. @type {{ since: number, failure: Failure } | undefined} */
  trouble
  /** Whether its document was not there before. */
  made = false
  #number = 0
  #turns = 0

  /**
   * @param {Transport} transport
   * @param {{ target: import('./target.js').Target, doc: string, key: string, hear: (answer: Response) => void }} where
   * @param {{ rate: number, edits: number, timeout: number, epoch: number, lag: Recorder }} pace
   */
  constructor (transport, where, pace) {
    this.transport = transport
    this.pace = pace
    this.ledger = new Ledger(pace.timeout, pace.epoch)
    this.copy = new Copy((lane, number) => this.ledger.arrived(lane, number))
    /** @type {Line} */
    this.line = { ...where, ledger: this.ledger, lanes: LANES, retry: 200, measured: (metric, ms) => this.#took(metric, ms) }
    this.writer = transport === 'ws' ? new SocketWriter(this.line) : new Lanes(this.line)
  }

  /** What the browser tells of a request of this document's. @param {PerformanceResourceTiming} entry */
  told (entry) {
    if (/^h[23]/.test(entry.nextHopProtocol) && this.transport !== 'ws') this.line.lanes = SHARED_LANES
    const phases = this.transport === 'ws' ? undefined : phasesOf(entry, this.line.target)
    for (const [metric, ms] of Object.entries(phases ?? {})) this.#took(/** @type {Metric} */ (metric), ms)
  }

  /** Makes the document, and edits that nobody records. */
  async open (/** @type {AbortSignal} */ stop) {
    const { target, doc, hear } = this.line
    const answer = await ask(target.stream(doc), { method: 'PUT', patience: this.pace.timeout })
    hear(answer)
    this.made = answer.status === 201
    // By now it is known how many may be at once.
    await pause(10)
    if (this.writer instanceof Lanes) this.writer = new Lanes(this.line)
    await this.#connected(async () => {
      await this.#edits(WARM_UP, Math.round(this.pace.rate * WARM_UP / 1000), false, stop)
    })
  }

  get isDone () {
    return this.due >= this.pace.edits
  }

  /** One turn: edits at their times, then questions on a connection that stands. */
  async turn (/** @type {AbortSignal} */ stop) {
    const began = performance.now()
    const before = this.ledger.arrival.count
    let failure = await this.#connected(async () => {
      await this.#edits(TURN, this.pace.edits - this.due, true, stop)
      await this.#questions()
    }).then(() => undefined, failureOf)
    if (failure) {
      // Nobody is connected, and edits are due all the same.
      await this.#edits(TURN, this.pace.edits - this.due, true, stop)
      this.writer.close()
    }
    failure ??= new Failure('timeout', 'edits do not arrive')
    if (this.ledger.arrival.count > before) this.trouble = undefined
    else this.trouble ??= { since: began, failure }
    this.#turns += 1
  }

  /** Deletes the document, if it may. Resolves with whether it is gone. */
  async tidy () {
    const { target, doc } = this.line
    if (!this.made) return true
    return ask(target.stream(doc), { method: 'DELETE', patience: this.pace.timeout }).then(() => true, () => false)
  }

  get problem () {
    if (!this.trouble) return null
    const { since, failure: { kind, message } } = this.trouble
    return { kind, message: `nothing arrived since ${((since - this.pace.epoch) / 1000).toFixed(1)} s: ${message}` }
  }

  /** Does it while both sides are connected. */
  async #connected (/** @type {() => Promise<void>} */ work) {
    const Following = { ws: SocketReader, sse: StreamReader, 'long-poll': PollReader }[this.transport]
    const reader = new Following(this.line, this.copy)
    try {
      await Promise.all([reader.ready(), this.writer.ready()])
      await work()
    } finally {
      reader.close()
      this.writer.close()
    }
  }

  /** Edits at their times for this long, and for as long as something of it is open: while a server stalls, edits go on being due. */
  async #edits (/** @type {number} */ length, /** @type {number} */ most, /** @type {boolean} */ recorded, /** @type {AbortSignal} */ stop) {
    const { rate, lag } = this.pace
    const start = performance.now() + 10
    const end = start + length
    const aBlock = Math.max(1, Math.round(rate * TURN / 1000))
    for (let count = 0; count < most; count++) {
      const due = start + count * 1000 / rate
      await at(due)
      if (stop.aborted) break
      this.ledger.expire()
      if (due >= end && this.ledger.isSettledBefore(end)) break
      this.#number += 1
      if (recorded) lag.recordAlone(0, performance.now() - due)
      this.ledger.due(this.#number, due, recorded ? Math.floor(this.due++ / aBlock) : undefined)
      this.writer.edit(this.#number)
    }
    for (; !this.ledger.isSettledBefore(Infinity) && !stop.aborted; await pause(4)) this.ledger.expire()
  }

  async #questions () {
    const began = performance.now()
    for (let count = 0; count < QUESTIONS.most && performance.now() - began < QUESTIONS.time; count++) {
      try {
        this.metrics.rtt.record(this.#turns, (began - this.pace.epoch) / 1000, await this.writer.ask())
      } catch (error) {
        this.metrics.rtt.fail(failureOf(error).kind)
        return
      }
    }
  }

  #took (/** @type {Metric} */ metric, /** @type {number} */ ms) {
    this.metrics[metric].recordAlone((performance.now() - this.pace.epoch) / 1000, ms)
  }
}
