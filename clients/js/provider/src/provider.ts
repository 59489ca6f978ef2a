// The provider: what an application sees. Which transport carries a document is the ladder's affair.

import { ObservableV2 } from 'lib0/observable'
import { Awareness, removeAwarenessStates } from 'y-protocols/awareness'
import type { Doc } from 'yjs'
import { TRANSPORTS, type Connection, type Failure, type TransportName } from './connection.js'
import type { Context } from './context.js'
import { HttpConnection } from './http.js'
import { Ladder } from './ladder.js'
import { remember, remembered } from './memory.js'
import { Outbox } from './outbox.js'
import { watchPage } from './page.js'
import { TIMING, type Timing } from './timing.js'
import { Token, type TokenSource } from './token.js'
import { WebSocketConnection } from './websocket.js'

export type Status = 'connected' | 'disconnected' | 'connecting'

/** Why a connection ended. `code` is a WebSocket close code, and an HTTP status plus 4000 with the other transports. */
export interface Closed { code: number, reason: string, transport: TransportName }

/**
 * What the server refuses: the `document` (it is asked again after a minute or more, or by `connect`; not by itself if
 * it was deleted), or only our `edits` in a document that we may read.
 */
export interface Refused { scope: 'document' | 'edits', code: number, reason: string }

export interface Events {
  status: (event: { status: Status }) => void
  /** Whether the document holds all that the server has. `sync` is the same. */
  synced: (synced: boolean) => void
  sync: (synced: boolean) => void
  /** Whether the server has stored all that the document holds. */
  saved: (saved: boolean) => void
  /** The transport in use has changed. */
  transport: (name: TransportName) => void
  refused: (event: Refused) => void
  'connection-close': (event: Closed | null, provider: YonderProvider) => void
  'connection-error': (error: Error, provider: YonderProvider) => void
}

export interface Options {
  /** Presence; a new one if none is given. */
  awareness?: Awareness
  /** A token, or a function that gets one. A function is asked again when the server refused what it gave. */
  token?: TokenSource
  /** What may be used, the best first. A list of one forces it. */
  transports?: readonly TransportName[]
  /** The service of the document. WebSockets serve `default` only. */
  service?: string
  /** Whether to connect at once; yes if not given. */
  connect?: boolean
  /** For runtimes without a WebSocket, such as Node.js 20. */
  WebSocketPolyfill?: unknown
  fetch?: typeof fetch
  /** @internal Shorter waits, for tests. */
  timing?: Partial<Timing>
}

export class YonderProvider extends ObservableV2<Events> {
  readonly doc: Doc
  readonly awareness: Awareness
  readonly #ladder: Ladder
  readonly #outbox: Outbox
  readonly #context: Context
  readonly #service: string
  readonly #undo: (() => void)[] = []
  #allowed: readonly TransportName[]
  /** The connection that was replaced, until our presence has moved. */
  #before: Connection | undefined
  #status: Status = 'disconnected'
  #synced = false
  #saved = true
  #transport: TransportName | null = null

  /**
   * @param url the server, such as `https://docs.example.org`
   * @param docName any name; slashes are kept, everything else is encoded
   */
  constructor (url: string, docName: string, doc: Doc, options: Options = {}) {
    super()
    const { awareness, service = 'default', WebSocketPolyfill = globalThis.WebSocket } = options
    const timing = { ...TIMING, ...options.timing }
    const { origin, documentUrl, socketUrl } = addresses(url, service, docName)
    this.#service = service
    this.#allowed = allowed(options.transports ?? TRANSPORTS, service)
    this.doc = doc
    this.awareness = awareness ?? new Awareness(doc)
    this.#outbox = new Outbox(() => this.#setSaved())
    const token = new Token(options.token)
    this.#context = {
      doc,
      awareness: this.awareness,
      origin: this,
      outbox: this.#outbox,
      token,
      timing,
      socketUrl,
      documentUrl,
      WebSocket: WebSocketPolyfill as typeof WebSocket | undefined,
      // As a method of something else, a browser's fetch refuses to be called.
      fetch: options.fetch ?? ((input, init) => fetch(input, init)),
      log: { exists: false }
    }
    this.#ladder = new Ladder(this.#allowed, timing, {
      open: (name, listener) => name === 'websocket'
        ? new WebSocketConnection(this.#context, listener)
        : new HttpConnection(name, this.#context, listener),
      connecting: () => this.#setStatus('connecting'),
      connected: (connection, before) => this.#connected(connection, before),
      lost: (connection, failure, waiting) => this.#lost(connection, failure, waiting),
      refused: ({ code, reason }) => this.emit('refused', [{ scope: 'document', code, reason }]),
      denied: (reason, code) => this.#denied(reason, code),
      trouble: (reason, cause) => this.#error(reason, cause),
      renew: async () => {
        const renewed = await token.renew()
        if (renewed) this.#outbox.denied = false
        return renewed
      },
      recall: () => remembered(origin, timing.memory),
      remember: name => remember(origin, name)
    })
    this.#listen(awareness === undefined)
    // Even an empty document has an update of two bytes, a state vector of one.
    if (doc.store.clients.size > 0) this.#outbox.addUnknown()
    if (options.connect !== false) this.connect()
  }

  /** Whether the document holds all that the server has, and goes on receiving. */
  get synced (): boolean {
    return this.#synced
  }

  /** Whether the server has stored all that the document holds: the page may go. */
  get saved (): boolean {
    return this.#saved
  }

  /** How many edits the server has not yet stored, as far as we know. */
  get unsaved (): number {
    return this.#outbox.unsaved
  }

  get status (): Status {
    return this.#status
  }

  /** What carries the document now; null while nothing does. */
  get transport (): TransportName | null {
    return this.#transport
  }

  /** What may carry it. To be set at any time: what is in use goes on until something that is wanted is synced. */
  get transports (): readonly TransportName[] {
    return this.#allowed
  }

  set transports (transports: readonly TransportName[]) {
    this.#allowed = allowed(transports, this.#service)
    this.#ladder.use(this.#allowed)
  }

  get connected (): boolean {
    return this.#status === 'connected'
  }

  /** y-websocket's name for `connected`. */
  get wsconnected (): boolean {
    return this.connected
  }

  /** Connected, or trying to be. */
  get shouldConnect (): boolean {
    return this.#ladder.wanted
  }

  /** Connects. Where an attempt is being waited for, it is made at once. */
  connect (): void {
    this.#outbox.denied = false
    this.#ladder.connect()
  }

  /** Says goodbye, and stays away until `connect`. Edits are kept, and sent then. */
  disconnect (): void {
    this.#leave()
    this.#ladder.disconnect()
  }

  override destroy (): void {
    this.disconnect()
    for (const undo of this.#undo.splice(0)) undo()
    super.destroy()
  }

  #listen (ownsAwareness: boolean): void {
    const { doc, awareness } = this
    const edited = (update: Uint8Array, origin: unknown) => {
      if (origin === this) return
      this.#outbox.add(update)
      this.#ladder.main?.push()
    }
    // The states of others are theirs to send; but where others say that we are gone, we say that we are not.
    const presence = ({ added, updated, removed }: Record<'added' | 'updated' | 'removed', number[]>) => {
      if ([...added, ...updated, ...removed].includes(awareness.clientID)) this.#ladder.main?.announce()
    }
    const destroy = () => this.destroy()
    doc.on('update', edited)
    doc.on('destroy', destroy)
    awareness.on('update', presence)
    const unwatch = watchPage({
      networkChanged: () => this.#ladder.networkChanged(),
      shown: () => {
        this.#ladder.hurry()
        this.#ladder.main?.check()
      },
      hidden: () => this.#leave(),
      restored: () => this.#ladder.wanted && this.#ladder.connect()
    })
    this.#undo.push(
      unwatch,
      () => doc.off('update', edited),
      () => doc.off('destroy', destroy),
      () => awareness.off('update', presence),
      // Its timer would outlive us.
      () => ownsAwareness && awareness.destroy()
    )
  }

  #connected (connection: Connection, before: Connection | undefined): void {
    // With a higher clock our presence is the new connection's, and stays when the old one ends.
    this.#renewPresence()
    const begun = connection.begin()
    if (before) this.#replace(before, begun)
    this.#setStatus('connected')
    this.#setSynced(true)
    if (this.#transport !== connection.name) {
      this.#transport = connection.name
      this.emit('transport', [connection.name])
    }
  }

  /** The old connection is kept until the new one is known to others, lest they see us go and come. */
  #replace (before: Connection, begun: Promise<void>): void {
    this.#before?.close()
    this.#before = before
    const { handover } = this.#context.timing
    const end = () => before.close()
    // A WebSocket does not tell when the server has read what was sent.
    void begun.then(() => setTimeout(end, handover))
    setTimeout(end, 10 * handover)
  }

  #leave (): void {
    const { main } = this.#ladder
    main?.leave()
    this.#ladder.suspend()
    if (main) this.#ended({ code: 1000, reason: 'disconnected', transport: main.name })
    this.#setStatus('disconnected')
  }

  #lost ({ name }: Connection, { code, reason, cause }: Failure, waiting: boolean): void {
    if (!this.#synced) this.#error(`${name}: ${reason}`, cause)
    this.#ended({ code, reason, transport: name })
    this.#setStatus(waiting ? 'disconnected' : 'connecting')
  }

  #ended (event: Closed): void {
    this.#before?.close()
    this.#before = undefined
    this.emit('connection-close', [event, this])
    this.#transport = null
    this.#setSynced(false)
    // Who else is there is not known any more. Their clocks are forgotten as well: y-protocols would otherwise take the
    // same states, when they come again, for old ones.
    const { awareness } = this
    const others = [...awareness.getStates().keys()].filter(client => client !== awareness.clientID)
    removeAwarenessStates(awareness, others, this)
    for (const client of others) awareness.meta.delete(client)
  }

  #denied (reason: string, code: number): void {
    if (this.#outbox.denied) return
    this.#outbox.denied = true
    this.emit('refused', [{ scope: 'edits', code, reason }])
  }

  #error (reason: string, cause?: unknown): void {
    this.emit('connection-error', [new Error(reason, { cause }), this])
  }

  #renewPresence (): void {
    const { awareness } = this
    if (awareness.getLocalState() !== null) awareness.setLocalState(awareness.getLocalState())
  }

  #setStatus (status: Status): void {
    if (this.#status === status) return
    this.#status = status
    this.emit('status', [{ status }])
  }

  #setSynced (synced: boolean): void {
    if (this.#synced === synced) return
    this.#synced = synced
    this.emit('synced', [synced])
    this.emit('sync', [synced])
  }

  #setSaved (): void {
    const saved = this.#outbox.unsaved === 0
    if (this.#saved === saved) return
    this.#saved = saved
    this.emit('saved', [saved])
  }
}

/** Where a document is. Throws a `TypeError` where no URL can name it. */
const addresses = (url: string, service: string, docName: string) => {
  const segments = docName.split('/')
  // A URL drops dot segments: another document would be opened quietly.
  if (segments.some(segment => segment === '.' || segment === '..')) {
    throw new TypeError('a document’s name cannot have "." or ".." between its slashes')
  }
  const path = segments.map(encodeURIComponent).join('/')
  const base = new URL(url.replace(/^ws/, 'http'))
  const home = base.origin + base.pathname.replace(/\/+$/, '')
  return {
    origin: base.origin,
    documentUrl: `${home}/v1/yjs/${encodeURIComponent(service)}/docs/${path}`,
    socketUrl: `${home.replace(/^http/, 'ws')}/ws/${path}`
  }
}

const allowed = (transports: readonly TransportName[], service: string): readonly TransportName[] => {
  const usable = transports.filter(name => TRANSPORTS.includes(name) && (name !== 'websocket' || service === 'default'))
  if (usable.length === 0) throw new TypeError(`none of these transports can be used: ${transports.join(', ')}`)
  return usable
}
