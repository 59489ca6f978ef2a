// Every wait and bound, in one place. All are milliseconds unless their name says otherwise; tests shorten them.

export interface Timing {
  /** A WebSocket may take this long to open, and then as long again to say something. */
  handshake: number
  /** A request may take this long until its answer begins. */
  answer: number
  /** An event stream must bring its first event within this: a proxy that buffers holds it back. */
  firstEvent: number
  /** Nothing came on a held request for this long: it is dead. The server writes a comment every 15 s. */
  silence: number
  /** A WebSocket on which nothing came for this long is asked for a sign of life. */
  ping: number
  /** And given up after this long without one: 45 s in all, as in y-websocket. */
  pong: number
  /** The same when the network has just changed and the answer is wanted soon. */
  quickPong: number
  /** A denial that a close follows within this is of the document; otherwise of edits alone. */
  denial: number
  /** A held request that ends before this has not been held. */
  held: number
  /** A connection that lived this long has proved that its transport works here. */
  steady: number
  /** The first and the longest wait between attempts to connect, or to send edits again. */
  retry: [number, number]
  /** The same for a server that refuses. */
  refused: [number, number]
  /** The same for looking whether a better transport works by now. */
  climb: [number, number]
  /** Presence is sent over HTTP no more often than this. */
  presenceGap: number
  /** A connection that was replaced by a better one stays open for so long. */
  handover: number
  /** How long what worked is remembered. */
  memory: number
  /** Bytes of a request's body, where an update allows it: proxies stop at 1 MB by default. */
  bodyBytes: number
}

export const TIMING: Timing = {
  handshake: 5_000,
  answer: 15_000,
  firstEvent: 5_000,
  silence: 45_000,
  ping: 15_000,
  pong: 30_000,
  quickPong: 5_000,
  denial: 200,
  held: 1_000,
  steady: 10_000,
  retry: [200, 10_000],
  refused: [60_000, 600_000],
  climb: [30_000, 600_000],
  presenceGap: 100,
  handover: 500,
  memory: 7 * 24 * 3_600_000,
  bodyBytes: 900_000
}
