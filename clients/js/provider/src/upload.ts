// Edits and presence on their way to the server by POST, each one request at a time.

import { Backoff, pause } from './backoff.js'
import { ownPresence, ownRemoval, type Context } from './context.js'
import type { Listener } from './connection.js'
import { frame } from './frames.js'
import { nextOffset } from './parts.js'
import { RequestError, type Requests } from './requests.js'

/** The presence stream that a document's WebSocket clients share. */
export const PRESENCE = { awareness: 'default' }

/** Bytes of edits that may still be sent while the page goes away: browsers allow 64 KB there. */
const LAST_BYTES = 48_000

/** Sends what is in the outbox, and what comes into it meanwhile, until it is empty. */
export class Upload {
  #running = false

  constructor (
    private readonly context: Context,
    private readonly requests: Requests,
    private readonly listener: Listener,
    private readonly signal: AbortSignal,
    private readonly lose: (error: unknown) => void
  ) {}

  async run (): Promise<void> {
    if (this.#running) return
    this.#running = true
    const { log, outbox, timing } = this.context
    const backoff = new Backoff(timing.retry)
    const tooLarge = new Backoff(timing.refused)
    let most = timing.bodyBytes
    try {
      while (!this.signal.aborted && !outbox.denied) {
        const batch = outbox.batch(most)
        if (!batch) return
        try {
          // A lost answer does no harm: the same update twice is the same document.
          const answer = await this.requests.send('POST', {}, { body: frame(batch.updates), signal: this.signal })
          log.acknowledged = nextOffset(answer)
          outbox.acknowledge(batch.version)
          backoff.reset()
        } catch (error) {
          if (this.signal.aborted) return
          if (!(error instanceof RequestError)) throw error
          if (error.status === 413 && batch.count > 1) {
            most /= 2
          } else if (error.status === 413) {
            // Too large for the way, or for the server. A WebSocket may still take it.
            this.listener.trouble(`an edit of ${batch.updates[0]?.length} bytes cannot be saved this way: ${error.message}`, error)
            await pause(tooLarge.next(), this.signal)
          } else if (error.status === 400 || error.status === 403) {
            return this.listener.denied(error.message, 4000 + error.status)
          } else if (error.passing) {
            this.listener.trouble(`edits are not saved yet: ${error.message}`, error)
            await pause(backoff.next(error.retryAfter), this.signal)
          } else {
            throw error
          }
        }
      }
    } catch (error) {
      this.lose(error)
    } finally {
      this.#running = false
    }
  }

  /** Sends what fits, in a request that outlives the page. */
  last (): void {
    const batch = this.context.outbox.denied ? undefined : this.context.outbox.batch(LAST_BYTES)
    if (!batch) return
    const body = frame(batch.updates)
    const sent = this.requests.send('POST', {}, { body, keepalive: body.length <= LAST_BYTES })
    sent.then(() => this.context.outbox.acknowledge(batch.version), () => {})
  }
}

/** Sends our presence. While one is on its way only the last state waits. */
export class Announcer {
  #again = false
  #running = false
  #done: Promise<void> = Promise.resolve()

  constructor (
    private readonly context: Context,
    private readonly requests: Requests,
    private readonly signal: AbortSignal
  ) {}

  /** Resolves once the server has it, or has been asked in vain. */
  announce (): Promise<void> {
    this.#again = true
    if (!this.#running) this.#done = this.#run()
    return this.#done
  }

  /** Says goodbye, in a request that outlives the page. */
  remove (): void {
    const removal = ownRemoval(this.context)
    if (removal) this.requests.send('POST', PRESENCE, { body: frame([removal]), keepalive: true }).catch(() => {})
  }

  async #run (): Promise<void> {
    this.#running = true
    const { timing } = this.context
    const backoff = new Backoff(timing.retry)
    try {
      while (this.#again && !this.signal.aborted) {
        this.#again = false
        let wait = timing.presenceGap
        try {
          const presence = ownPresence(this.context)
          if (!presence) return
          await this.requests.send('POST', PRESENCE, { body: frame([presence]), signal: this.signal })
        } catch (error) {
          // The server forgets us in 30 s, and we announce ourselves every 15 s: one that is lost is sent again.
          if (this.signal.aborted) return
          if (!(error instanceof RequestError)) console.error('Our presence cannot be sent:', error)
          else if (error.passing) this.#again = true
          wait = backoff.next(error instanceof RequestError ? error.retryAfter : 0)
        }
        await pause(wait, this.signal)
      }
    } finally {
      this.#running = false
    }
  }
}
