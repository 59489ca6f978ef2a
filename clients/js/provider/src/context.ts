// What all connections of one provider share: the document, its presence, where the server is, and what is known of it.

import { applyAwarenessUpdate, encodeAwarenessUpdate, type Awareness } from 'y-protocols/awareness'
import { applyUpdate, transact, type Doc } from 'yjs'
import type { Outbox } from './outbox.js'
import type { Timing } from './timing.js'
import type { Token } from './token.js'

export interface Context {
  readonly doc: Doc
  readonly awareness: Awareness
  /** The origin of all changes that come from the server. */
  readonly origin: unknown
  readonly outbox: Outbox
  readonly token: Token
  readonly timing: Timing
  /** Without a token. */
  readonly socketUrl: string
  readonly documentUrl: string
  readonly WebSocket: typeof WebSocket | undefined
  readonly fetch: typeof fetch
  /** What is known of the server's log; kept from one connection to the next. */
  readonly log: {
    /** The document is there. If it is not found later, it was deleted, and must not be made again. */
    exists: boolean
    /** All up to this offset is in our document, and what the server lacked then is in the outbox. */
    offset?: string
    /** The server had all up to this offset when it acknowledged an edit. A log that ends before it was set back. */
    acknowledged?: string
  }
}

/**
 * Takes in updates of the server, as one transaction. What an observer of the application throws is its own affair, as
 * with y-websocket, and must not end the connection.
 */
export const receive = ({ doc, origin }: Context, updates: readonly Uint8Array[]): void => {
  if (updates.length === 0) return
  try {
    transact(doc, () => {
      for (const update of updates) applyUpdate(doc, update, origin)
    }, origin, false)
  } catch (error) {
    console.error('An update of the server could not be applied, or an observer threw:', error)
  }
}

export const receivePresence = ({ awareness, origin }: Context, updates: readonly Uint8Array[]): void => {
  for (const update of updates) {
    try {
      applyAwarenessUpdate(awareness, update, origin)
    } catch (error) {
      console.error('A presence update could not be applied, or an observer threw:', error)
    }
  }
}

/** Our own presence, or none if we hide; the states of others are theirs to send. */
export const ownPresence = ({ awareness }: Context, states = awareness.states): Uint8Array | undefined =>
  awareness.meta.has(awareness.clientID) ? encodeAwarenessUpdate(awareness, [awareness.clientID], states) : undefined

/** The same as if we had gone. */
export const ownRemoval = (context: Context): Uint8Array | undefined => ownPresence(context, new Map())
