// @durable-streams/y-durable-streams' provider, by Server-Sent Events or by long-poll.
//
// It drops what is written while it is not connected and loses a batch whose request fails; it then disconnects, and an
// application has to call `connect` again and to show its presence again. That is done here, as an application would.
// So only what a request's 2xx acknowledged counts as written: `acknowledged` and `stored` are about that.
import { YjsProvider } from '@durable-streams/y-durable-streams'
import * as Y from 'yjs'
import { Awareness } from 'y-protocols/awareness'
import { encoded } from './host.mjs'
import { unframed } from './streams.mjs'
import { Transport } from './transport.mjs'
import { pauseFor } from './waiting.mjs'

const NAME = 'x-interop-client'
const clients = new Map()
let opened = 0

// The provider hides its requests; each is told apart by a header that is taken off again before it goes out.
const { fetch } = globalThis
globalThis.fetch = async (url, init) => {
  const { [NAME]: name, ...headers } = init?.headers ?? {}
  const client = clients.get(name)
  if (!client) return fetch(url, init)
  if (client.left) return new Response(null, { status: 410 }) // it would try to say goodbye for ever
  const posting = init.method === 'POST'
  client.posting += posting
  try {
    const answer = await fetch(url, { ...init, headers })
    client.answered(new URL(url), init, answer)
    return answer
  } finally {
    client.posting -= posting
  }
}
const { error: report } = console
console.error = (...words) => { if (!String(words[0]).startsWith('[YjsProvider]')) report(...words) } // known from `answered`

export class StreamsClient extends Transport {
  constructor (host, name, options) {
    super(host, name, options)
    const { token, awareness = new Awareness(this.doc), liveMode } = options
    this.awareness = awareness
    this.written = []
    this.acknowledged = [] // updates, in the order of the requests that were answered with 2xx
    this.refusals = [] // statuses of 4xx and 5xx
    this.posting = 0
    this.wanted = false
    opened += 1
    this.key = String(opened)
    clients.set(this.key, this)
    this.doc.on('update', (update, origin) => { if (origin !== 'server' && this.provider.connected) this.written.push(update) })
    this.provider = new YjsProvider({
      doc: this.doc,
      baseUrl: `${host.url}/v1/yjs/default`,
      docId: encoded(name),
      awareness,
      liveMode,
      connect: false,
      headers: { [NAME]: this.key, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }
    })
    const { applyUpdates, applyAwarenessUpdates } = this.provider
    this.provider.applyUpdates = data => this.watched(() => applyUpdates.call(this.provider, data))
    this.provider.applyAwarenessUpdates = data => this.watched(() => applyAwarenessUpdates.call(this.provider, data))
    this.provider.on('error', error => { this.lastError = error })
    this.provider.on('status', status => { if (status === 'disconnected' && this.wanted) this.#again() })
    this.awareness.on('update', () => {
      const state = this.awareness.getLocalState()
      if (state !== null || this.provider.connected) this.state = state
    })
  }

  connect () {
    this.wanted = true
    this.provider.connect()
  }

  /** `synced` of the provider is false while its own writes are on their way back. */
  get synced () { return this.provider.synced }
  get connected () { return this.provider.connected }
  get stored () { return this.written.length === this.acknowledged.length }

  offline () {
    this.wanted = false
    const { state } = this
    this.provider.disconnect()
    this.state = state
  }

  online () {
    this.#show()
    this.connect()
  }

  /** It flushes what it wrote and says goodbye; nobody waits long for that to be heard. */
  async leave () {
    this.wanted = false
    this.provider.destroy()
    this.awareness.destroy()
    const end = performance.now() + 1000
    do await pauseFor(10)
    while (this.posting > 0 && performance.now() < end)
    this.left = true
  }

  /** One of its requests was answered. */
  answered (url, { method = 'GET', body }, answer) {
    if (answer.status >= 400 && !this.left) {
      this.refusals.push(answer.status)
      this.closes.push({ code: answer.status, reason: `${method} ${url.search}` })
    }
    const writes = method === 'POST' && body !== undefined && !url.searchParams.has('awareness')
    if (writes && answer.ok) this.acknowledged.push(...unframed(body))
  }

  /** What was acknowledged, as a document. */
  get promised () {
    const doc = new Y.Doc()
    for (const update of this.acknowledged) Y.applyUpdate(doc, update)
    return doc
  }

  async #again () {
    const { state } = this
    await pauseFor(100)
    if (!this.wanted) return
    this.state = state
    this.#show()
    await this.provider.connect()
  }

  /** Disconnecting made the provider set the presence to null. */
  #show () {
    if (this.state && this.awareness.getLocalState() === null) this.awareness.setLocalState(this.state)
  }
}
