// One open document: the Yjs document, its connection, and what can be said about the two. It knows nothing of the page;
// main.js shows its state. Closing it leaves nothing behind.

import * as Y from 'yjs'
import { readAuthMessage } from 'y-protocols/auth'
import { WebsocketProvider } from 'y-websocket'
import { encodePath } from './address.js'

/**
 * What the page shows of a connection.
 *
 * - `connecting`: the server has not answered yet.
 * - `synced`: this window and the server have the same text.
 * - `offline`: the connection is lost, and is being tried again.
 * - `refused`: the server will not have us, for `reason`, and is not asked again.
 *
 * @typedef {{
 *   phase: 'connecting' | 'synced' | 'offline' | 'refused',
 *   readOnly: boolean,
 *   reason: string,
 *   unsent: boolean
 * }} State `reason` is the server's word; `unsent` tells that there is text here which no server has seen
 */

/** @typedef {{ client: number, clock: number, text: string }} Written `clock` is 0 where nothing was */

const MESSAGE_AUTH = 2

export class Session {
  /** @type {State} */
  state

  /** @type {(() => void)[]} */
  #undo = []

  /**
   * @param {import('./address.js').Address} address
   * @param {import('./person.js').Person} person
   * @param {{ onState: (state: State) => void, readOnly?: string }} options `readOnly` is the reason that an earlier
   *   session of this document was given for not being allowed to write
   */
  constructor ({ name, token }, person, { onState, readOnly = '' }) {
    this.name = name
    this.onState = onState
    this.state = { phase: 'connecting', readOnly: readOnly !== '', reason: readOnly, unsent: false }
    this.doc = new Y.Doc()
    this.text = this.doc.getText('content')
    this.undoManager = new Y.UndoManager(this.text)
    this.provider = new WebsocketProvider(
      `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`,
      encodePath(name),
      this.doc,
      {
        connect: false,
        params: token ? { token } : {},
        // Windows of one browser would also talk to each other directly. Here all goes through the server, so that
        // what one window shows of another is what the server has, and nobody writes past a refusal.
        disableBc: true
      }
    )
    this.awareness = this.provider.awareness
    this.introduce(person)
    this.#listen()
    this.provider.connect()
  }

  /** Tells the others who we are. @param {import('./person.js').Person} person */
  introduce ({ name, color }) {
    this.awareness.setLocalStateField('user', { name, color, colorLight: `${color}33` })
  }

  /** What was written in this window, to be looked for in a later session. @returns {Written} */
  written () {
    const { clientID, store } = this.doc
    return { client: clientID, clock: Y.getState(store, clientID), text: this.text.toString() }
  }

  /** Whether all of it arrived here, by way of the server. @param {Written} written */
  has ({ client, clock }) {
    return Y.getState(this.doc.store, client) >= clock
  }

  close () {
    for (const undo of this.#undo) undo()
    this.#leave()
    this.provider.destroy()
    this.undoManager.destroy()
    this.awareness.destroy()
    this.doc.destroy()
  }

  #listen () {
    const { provider, doc } = this
    provider.messageHandlers[MESSAGE_AUTH] = (_encoder, decoder) =>
      readAuthMessage(decoder, doc, (_doc, reason) => this.#denied(reason))
    // A refusal before the text came is final; one beside the text only forbids writing.
    const mayRetry = provider.shouldReconnect
    provider.shouldReconnect = (event, self) => mayRetry(event, self) && this.state.phase !== 'refused'
    provider.on('sync', synced => synced && this.#set({ phase: 'synced', unsent: false }))
    provider.on('closed', ({ code, reason }) => this.#set({ phase: 'refused', reason: reason || this.state.reason || meaning(code) }))
    provider.on('connection-close', event => {
      if (this.state.phase === 'refused') return
      const tryLater = event !== null && event.code >= 4500 && event.code < 4600 ? event.reason : ''
      this.#set({ phase: 'offline', reason: this.state.readOnly ? this.state.reason : tryLater })
    })
    doc.on('update', (_update, origin) => {
      if (origin !== provider && this.state.phase !== 'synced' && !this.state.unsent) this.#set({ unsent: true })
    })

    this.#on(window, 'online', () => this.#retryNow())
    this.#on(document, 'visibilitychange', () => document.hidden || this.#retryNow())
    // A page in the back-forward cache is not gone for good, but to the others it is.
    this.#on(window, 'pagehide', () => {
      this.#leave()
      provider.disconnect()
    })
    this.#on(window, 'pageshow', event => {
      if (!(/** @type {PageTransitionEvent} */ (event).persisted) || this.state.phase === 'refused') return
      this.awareness.setLocalState(this.#lastSeen)
      provider.connect()
    })
    this.#on(window, 'beforeunload', event => this.state.unsent && event.preventDefault())
  }

  /** @param {string} reason */
  #denied (reason) {
    if (this.state.phase === 'synced') this.#set({ readOnly: true, reason })
    // Where the text follows after all, `sync` turns this into a document that can be read.
    else this.#set({ phase: 'refused', readOnly: true, reason })
  }

  /** The waiting time between two attempts grows; a sign that the network is back, or the reader, ends it. */
  #retryNow () {
    if (this.provider.shouldConnect && !this.provider.wsconnected) this.provider.connect()
  }

  /** @type {Record<string, any> | null} */
  #lastSeen = null

  #leave () {
    this.#lastSeen = this.awareness.getLocalState() ?? this.#lastSeen
    this.awareness.setLocalState(null)
  }

  /** @param {Partial<State>} change */
  #set (change) {
    this.state = { ...this.state, ...change }
    this.onState(this.state)
  }

  /** @param {EventTarget} target @param {string} type @param {(event: Event) => void} listener */
  #on (target, type, listener) {
    target.addEventListener(type, listener)
    this.#undo.push(() => target.removeEventListener(type, listener))
  }
}

/** What a close code says where the server gave no reason; 44xx mirrors HTTP's 4xx. @param {number} code */
const meaning = code => ({
  4400: 'The server does not understand this document’s name.',
  4401: 'This document needs a link with a valid token.',
  4403: 'This link does not open this document.',
  4404: 'There is no such document.',
  4410: 'This document was deleted.'
})[code] ?? `The server closed the connection (code ${code}).`
