// What a transport is to the rest of the provider.

export type TransportName = 'websocket' | 'sse' | 'long-poll'

/** All of them, the best first. */
export const TRANSPORTS: readonly TransportName[] = ['websocket', 'sse', 'long-poll']

/** Why a connection ended, or never came to be. */
export interface Failure {
  /** For people. */
  reason: string
  /** A WebSocket's close code; an HTTP status as the close code that mirrors it (403 is 4403). 0 if there was none. */
  code: number
  /**
   * The server will not have us, and asking again soon is no use: the token is not good, the document is gone, or
   * anything else it said.
   */
  refused?: 'token' | 'gone' | 'other'
  /** Nothing came for too long. Trying the same again would take as long. */
  hung?: boolean
  /** The server is there, but cannot serve us now. */
  busy?: boolean
  /** Milliseconds that the server asked us to wait. */
  retryAfter?: number
  cause?: unknown
}

/** Who hears of a connection. Nothing is called from within a constructor, nor after `close`. */
export interface Listener {
  /** The document holds all that the server has, and goes on receiving. Once. */
  synced: () => void
  /** It has ended. Once. */
  lost: (failure: Failure) => void
  /** The server does not take our edits. */
  denied: (reason: string, code: number) => void
  /** Something went wrong that is being tried again. */
  trouble: (reason: string, cause?: unknown) => void
}

/** One connection, from its first attempt to its end: a WebSocket, or one HTTP request after another. */
export interface Connection {
  readonly name: TransportName
  /** From now on this is the one that sends edits and presence. Resolves once the presence is sent. */
  begin: () => Promise<void>
  /** There are new edits. */
  push: () => void
  /** Our presence has changed. */
  announce: () => void
  /** The network may have changed: find out soon whether this still lives. */
  check: () => void
  /** The page may be about to go: send what must not be lost, and say goodbye. */
  leave: () => void
  /** Ends it. Whoever wants a goodbye calls `leave` first. */
  close: () => void
}
