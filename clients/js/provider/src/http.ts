// The Durable Streams Yjs protocol, with yonder's addition: presence comes on the document's own held request.

import { createSnapshot, decodeStateVector, decodeUpdate, encodeStateAsUpdate, encodeStateVectorFromUpdate, mergeUpdates, snapshotContainsUpdate } from 'yjs'
import { Backoff, pause } from './backoff.js'
import type { Connection, Listener } from './connection.js'
import { receive, receivePresence, type Context } from './context.js'
import { unframe } from './frames.js'
import { nextOffset, type Hold, type Part } from './parts.js'
import { poll } from './poll.js'
import { failureOf, RequestError, Requests } from './requests.js'
import { stream } from './sse.js'
import { Announcer, PRESENCE, Upload } from './upload.js'

/** The offset before everything. */
const START = '-1'

const CLOSED = new Error('closed')
const CHECK = new Error('the network may have changed')
const SET_BACK = new Error('the log was set back')

export class HttpConnection implements Connection {
  readonly #requests: Requests
  readonly #upload: Upload
  readonly #announcer: Announcer
  readonly #hold: Hold
  readonly #aborter = new AbortController()
  /** Of the held request alone. */
  #held = new AbortController()
  #offset = START
  #presenceOffset = 'now'
  #cursor = ''
  #synced = false
  #begun = false
  /** Presence has a held request of its own: this server does not send it beside the document. */
  #apart = false

  constructor (readonly name: 'sse' | 'long-poll', private readonly context: Context, private readonly listener: Listener) {
    const { signal } = this.#aborter
    this.#hold = name === 'sse' ? stream : poll
    this.#requests = new Requests(context)
    this.#upload = new Upload(context, this.#requests, listener, signal, error => this.#lose(error))
    this.#announcer = new Announcer(context, this.#requests, signal)
    void this.#run()
  }

  async begin (): Promise<void> {
    this.#begun = true
    this.push()
    await this.#announcer.announce()
  }

  push (): void {
    if (this.#begun) void this.#upload.run()
  }

  announce (): void {
    if (this.#begun) void this.#announcer.announce()
  }

  check (): void {
    if (this.#synced) this.#held.abort(CHECK)
  }

  leave (): void {
    if (!this.#begun) return
    this.#upload.last()
    this.#announcer.remove()
  }

  close (): void {
    this.#aborter.abort(CLOSED)
    this.#held.abort(CLOSED)
  }

  async #run (): Promise<void> {
    const { signal } = this.#aborter
    try {
      const { log } = this.context
      if (!log.exists) {
        await this.#requests.send('PUT', {}, { signal })
        log.exists = true
      }
      await this.#catchUp()
      // That long-poll works is shown by any answer; whether a stream does, by its first event.
      if (this.name === 'long-poll') this.#isSynced()
      await this.#follow()
    } catch (error) {
      this.#lose(error)
    }
  }

  /** Reads all that is after the offset that we know, and finds out what the server lacks if we know none. */
  async #catchUp (): Promise<void> {
    const { context } = this
    const { log } = context
    let from = log.offset ?? START
    let updates: Uint8Array[] = []
    for (let at = from; ;) {
      const answer = await this.#read(at, from !== START)
      const next = answer ? nextOffset(answer) : ''
      const isEnd = next === at || answer?.header('stream-up-to-date') === 'true'
      // Offsets only grow: a log that ends before what we know of it was set back, and our offset means nothing to it.
      const wasSetBack = next < at || (isEnd && next < (log.acknowledged ?? START))
      if (from !== START && (!answer || wasSetBack)) {
        from = at = START
        updates = []
        continue
      }
      updates = answer ? updates.concat(unframe(answer.body)) : updates
      at = this.#offset = next
      if (isEnd) break
    }
    if (from === START) {
      const all = updates.length > 1 ? mergeUpdates(updates) : updates[0]
      receive(context, all ? [all] : [])
      context.outbox.cover(lackingIn(all, context))
    } else {
      receive(context, updates)
    }
    log.offset = log.acknowledged = this.#offset
  }

  /** Nothing if the offset is an old one, and none of this log's. */
  async #read (offset: string, isOld: boolean) {
    try {
      return await this.#requests.send('GET', { offset }, { signal: this.#aborter.signal })
    } catch (error) {
      const unknown = error instanceof RequestError && [400, 410].includes(error.status)
      if (unknown && isOld) return undefined
      throw error
    }
  }

  /** Holds one request after another for what comes. */
  async #follow (): Promise<void> {
    const { timing } = this.context
    const { signal } = this.#aborter
    const backoff = new Backoff(timing.retry)
    let [broken, empty] = [0, 0]
    while (!signal.aborted) {
      const since = Date.now()
      this.#held = new AbortController()
      try {
        const brought = await this.#holdOnce()
        broken = 0
        const lived = Date.now() - since >= timing.held
        empty = lived || brought ? 0 : empty + 1
        if (this.name === 'sse' && empty > 3) throw new Error('event streams end as soon as they begin')
        // Something on the way answers for the server, which would have waited.
        if (empty > 0) await pause(backoff.next(), signal)
        else backoff.reset()
      } catch (error) {
        if (signal.aborted) return
        if (error !== CHECK && error !== SET_BACK) {
          // What lived for a while was ended by something on the way, as proxies do.
          broken = Date.now() - since >= timing.held ? 0 : broken + 1
          const passing = error instanceof RequestError && error.passing && !error.busy && !error.hung
          if (!this.#synced || !passing || broken > 2) throw error
          await pause(timing.retry[0] * Math.random(), signal)
        }
        // Whether the line is good shows in a request that is not held.
        await this.#catchUp()
        this.push()
      }
    }
  }

  /** Whether it brought anything. */
  async #holdOnce (): Promise<boolean> {
    const query = {
      offset: this.#offset,
      ...(this.#apart ? {} : { presence: this.#presenceOffset }),
      ...(this.#cursor ? { cursor: this.#cursor } : {})
    }
    let brought = false
    let complete = false
    for await (const part of this.#hold(this.#requests, query, this.context.timing, this.#held.signal)) {
      brought ||= part.updates.length + part.presence.length > 0
      complete ||= part.offset !== undefined
      this.#take(part)
    }
    if (!complete) throw new RequestError('the event stream ended before its first event')
    return brought
  }

  #take ({ updates, presence, offset, presenceOffset, cursor }: Part): void {
    receive(this.context, updates)
    receivePresence(this.context, presence)
    if (offset === undefined) return
    if (offset < this.#offset) {
      delete this.context.log.offset
      throw SET_BACK
    }
    this.context.log.offset = this.#offset = offset
    if (presenceOffset) this.#presenceOffset = presenceOffset
    else if (!this.#apart) void this.#followPresence()
    this.#cursor = cursor ?? ''
    this.#isSynced()
  }

  /** Holds a request for presence alone. It may fail: presence is no reason to end the connection. */
  async #followPresence (): Promise<void> {
    this.#apart = true
    const { timing } = this.context
    const { signal } = this.#aborter
    const backoff = new Backoff(timing.retry)
    let offset = 'now'
    while (!signal.aborted) {
      try {
        const query = { ...PRESENCE, offset }
        for await (const part of this.#hold(this.#requests, query, timing, signal)) {
          receivePresence(this.context, part.updates)
          offset = part.offset ?? offset
          backoff.reset()
        }
        // Streams end; but not at once.
        await pause(timing.presenceGap, signal)
      } catch {
        offset = 'now'
        await pause(backoff.next(), signal)
      }
    }
  }

  #isSynced (): void {
    if (this.#synced || this.#aborter.signal.aborted) return
    this.#synced = true
    this.listener.synced()
  }

  #lose (error: unknown): void {
    if (this.#aborter.signal.aborted) return
    const failure = failureOf(error)
    this.close()
    // What has worked and falls silent is a dead line, rather than a transport that is blocked.
    this.listener.lost(this.#synced ? { ...failure, hung: false } : failure)
  }
}

/** What a server that has these updates, or nothing, lacks of our document: insertions or deletions. */
const lackingIn = (stored: Uint8Array | undefined, { doc }: Context): Uint8Array | undefined => {
  const held = stored
    ? createSnapshot(decodeUpdate(stored).ds, decodeStateVector(encodeStateVectorFromUpdate(stored)))
    : createSnapshot({ clients: new Map() }, new Map())
  const lacking = encodeStateAsUpdate(doc, stored && encodeStateVectorFromUpdate(stored))
  // Equal state vectors do not mean equal documents: deletions do not show in them.
  return snapshotContainsUpdate(held, lacking) ? undefined : lacking
}
