// One open document: the Yjs document, its connection, and what can be said about the two. It knows nothing of the page;
// main.js shows its state. Closing it leaves nothing behind.

import * as Y from 'yjs'
import { YonderProvider } from 'yonder-provider'

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
 *   saved: boolean,
 *   transport: import('yonder-provider').TransportName | null
 * }} State `reason` is the server's word; `saved` tells that the server has stored all that is here
 */

/** @typedef {{ client: number, clock: number, text: string }} Written `clock` is 0 where nothing was */

export class Session {
  /** @type {State} */
  state

  /** @type {(() => void)[]} */
  #undo = []

  /**
   * @param {import('./address.js').Address} address
   * @param {import('./person.js').Person} person
   * @param {{
   *   onState: (state: State) => void,
   *   transports: import('yonder-provider').TransportName[],
   *   readOnly?: string
   * }} options `readOnly` is the reason that an earlier session of this document was given for not being allowed to write
   */
  constructor ({ name, token }, person, { onState, transports, readOnly = '' }) {
    this.name = name
    this.onState = onState
    this.state = { phase: 'connecting', readOnly: readOnly !== '', reason: readOnly, saved: true, transport: null }
    this.doc = new Y.Doc()
    this.text = this.doc.getText('content')
    this.undoManager = new Y.UndoManager(this.text)
    this.provider = new YonderProvider(location.origin, name, this.doc, { connect: false, token, transports })
    this.awareness = this.provider.awareness
    this.introduce(person)
    this.#listen()
    this.provider.connect()
  }

  /** Changes how the server may be reached, while it goes on. @param {import('yonder-provider').TransportName[]} transports */
  use (transports) {
    this.provider.transports = transports
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
    this.provider.destroy()
    this.undoManager.destroy()
    this.doc.destroy()
  }

  #listen () {
    const { provider } = this
    provider.on('synced', synced => synced && this.#set({ phase: 'synced' }))
    provider.on('saved', saved => this.#set({ saved }))
    provider.on('transport', transport => this.#set({ transport }))
    provider.on('refused', ({ scope, code, reason }) => this.#set(scope === 'edits'
      ? { readOnly: true, reason }
      : { phase: 'refused', reason: reason || meaning(code) }))
    provider.on('connection-close', event => {
      const tryLater = event !== null && TRY_LATER.test(String(event.code)) ? event.reason : ''
      if (this.state.phase !== 'refused') this.#set({ reason: this.state.readOnly ? this.state.reason : tryLater })
    })
    provider.on('status', ({ status }) => {
      // At the start one transport after another may be tried; that is still the first attempt.
      const lost = status === 'disconnected' || (status === 'connecting' && this.state.phase === 'synced')
      if (lost && this.state.phase !== 'refused') this.#set({ phase: 'offline', transport: null })
    })

    this.#on(window, 'beforeunload', event => this.state.saved || this.state.readOnly || event.preventDefault())
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

/** Close codes of a server that has no room now; 44xx and 45xx mirror HTTP's. */
const TRY_LATER = /^(1013|4429|45..)$/

/** What a close code says where the server gave no reason; 44xx mirrors HTTP's 4xx. @param {number} code */
const meaning = code => ({
  4400: 'The server does not understand this document’s name.',
  4401: 'This document needs a link with a valid token.',
  4403: 'This link does not open this document.',
  4404: 'There is no such document.',
  4410: 'This document was deleted.'
})[code] ?? `The server closed the connection (code ${code}).`
