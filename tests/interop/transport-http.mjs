// The protocol over plain `fetch`, with yonder's one held read for both the document and the presence of others: what
// a client is that loses nothing. Its edits wait in a queue until a 2xx takes them.
import { Awareness, applyAwarenessUpdate, encodeAwarenessUpdate } from 'y-protocols/awareness'
import * as Y from 'yjs'
import { at, framed, unframed } from './streams.mjs'
import { Transport } from './transport.mjs'
import { pauseFor } from './waiting.mjs'

const RETRY = 200
const SERVER = 'server'
/** What a host answers, or a proxy in front of it, that is there again in a moment. */
const AWAY = [502, 503]

export class HttpClient extends Transport {
  constructor (host, name, options) {
    super(host, name, options)
    const { token, awareness = new Awareness(this.doc), liveMode } = options
    this.awareness = awareness
    this.live = liveMode
    this.headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    this.address = host.url + at(name)
    this.synced = false
    this.queue = []
    this.sending = 0
    this.doc.on('update', (update, origin) => { if (origin !== SERVER) { this.queue.push(update); this.#send() } })
    this.awareness.on('update', ({ added, updated, removed }, origin) => {
      if (origin === SERVER || ![...added, ...updated, ...removed].includes(this.id)) return
      this.moved = true
      this.#show()
    })
  }

  get connected () { return this.synced }
  get stored () { return this.queue.length === 0 && this.sending === 0 }

  connect () {
    this.life = new AbortController()
    this.moved = true
    this.#run(this.life.signal)
  }

  offline () {
    this.life?.abort()
    this.life = undefined
    this.synced = false
  }

  online () { this.connect() }

  /** What it is reading and writing is given up; it goes on by itself. */
  cut () {
    this.offline()
    this.connect()
  }

  /** Says that its presence ends; nobody waits long for that to be heard. */
  async leave () {
    this.awareness.setLocalState(null)
    this.awareness.destroy()
    await Promise.race([this.showing, pauseFor(1000)])
    this.offline()
  }

  async #run (signal) {
    let offset
    let presence = 'now'
    let failed = false
    while (!signal.aborted) {
      try {
        if (offset === undefined) {
          offset = await this.#begin()
          this.synced = true
          this.#send()
          this.#show()
        }
        const answer = await this.#ask('GET', { offset, live: this.live, presence })
        if (failed) { // a server that was away has forgotten who is here
          failed = false
          this.moved = true
          this.#show()
        }
        if (this.live === 'sse') {
          for await (const { event, data } of eventsOf(answer.body)) {
            if (event === 'data') this.#apply(unframed(bytesOf(data)))
            if (event === 'presence') this.#applyPresence(unframed(bytesOf(data)))
            if (event === 'control') ({ streamNextOffset: offset, presenceOffset: presence } = JSON.parse(data))
          }
        } else {
          const body = new Uint8Array(await answer.arrayBuffer())
          const split = body.length - Number(answer.headers.get('stream-presence-length') ?? 0)
          this.#apply(unframed(body.subarray(0, split)))
          this.#applyPresence(unframed(body.subarray(split)))
          offset = answer.headers.get('stream-next-offset')
          presence = answer.headers.get('stream-presence-offset')
        }
      } catch (error) {
        if (signal.aborted) return
        if (error instanceof Refusal) {
          this.closes.push({ code: error.status, reason: error.message })
          if ([401, 403, 404].includes(error.status)) { this.synced = false; return }
        } else if (!isNetwork(error)) {
          this.faults.push(error.stack)
        }
        failed = true
        await pauseFor(RETRY)
      }
    }
  }

  /** Creates the document, or finds it, and reads what there is. Resolves with the offset from where to go on. */
  async #begin () {
    await this.#ask('PUT')
    let answer = await this.#ask('GET', { offset: 'snapshot' }) // follows the redirect
    if (new URL(answer.url).searchParams.get('offset').endsWith('_snapshot')) {
      this.#apply([new Uint8Array(await answer.arrayBuffer())])
      answer = await this.#ask('GET', { offset: answer.headers.get('stream-next-offset') }) // what came after it
    }
    this.#apply(unframed(new Uint8Array(await answer.arrayBuffer())))
    return answer.headers.get('stream-next-offset')
  }

  /** Sends what waits, one request at a time, until it is taken. */
  async #send () {
    if (this.sending > 0) return
    while (this.queue.length > 0 && this.life && this.synced) {
      const batch = this.queue.splice(0, 500)
      this.sending = batch.length
      try {
        await this.#ask('POST', {}, framed(...batch))
      } catch (error) {
        if (!(error instanceof Refusal) || AWAY.includes(error.status)) {
          this.queue.unshift(...batch)
          await pauseFor(RETRY)
        } else {
          this.closes.push({ code: error.status, reason: error.message })
        }
      } finally {
        this.sending = 0
      }
    }
  }

  /** Sends the newest presence until it is taken; what was shown meanwhile is skipped. */
  async #show () {
    if (this.showing || !this.life || !this.synced) return
    this.showing = (async () => {
      while (this.moved && this.life) {
        this.moved = false
        try {
          await this.#ask('POST', { awareness: 'default' }, framed(encodeAwarenessUpdate(this.awareness, [this.id])))
        } catch (error) {
          if (error instanceof Refusal && !AWAY.includes(error.status)) this.closes.push({ code: error.status, reason: error.message })
          else this.moved = true
          await pauseFor(RETRY)
        }
      }
    })()
    await this.showing
    this.showing = undefined
  }

  async #ask (method, query = {}, body = undefined) {
    const { signal } = this.life
    const answer = await fetch(this.address + '?' + new URLSearchParams(query), { method, headers: this.headers, body, signal })
    if (!answer.ok) throw new Refusal(answer.status, await answer.text())
    return answer
  }

  #apply (updates) {
    this.watched(() => { for (const update of updates) Y.applyUpdate(this.doc, update, SERVER) })
  }

  #applyPresence (updates) {
    this.watched(() => { for (const update of updates) applyAwarenessUpdate(this.awareness, update, SERVER) })
  }
}

class Refusal extends Error {
  constructor (status, text) {
    super(text)
    this.status = status
  }
}

/** `fetch` names none of its failures; what undici throws has a cause. */
const isNetwork = error => error.cause !== undefined || error.name === 'TypeError' || error.name === 'AbortError'

const bytesOf = data => new Uint8Array(Buffer.from(data, 'base64'))

/** The events of a body, as they come. */
async function * eventsOf (body) {
  let text = ''
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    text += chunk
    const blocks = text.split('\n\n')
    text = blocks.pop()
    for (const block of blocks) {
      const of = name => block.split('\n').filter(line => line.startsWith(name + ':')).map(line => line.slice(name.length + 1).trimStart()).join('\n')
      if (of('event')) yield { event: of('event'), data: of('data') }
    }
  }
}
