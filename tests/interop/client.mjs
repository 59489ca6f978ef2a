// Real clients: y-websocket's provider on yjs, as a browser tab runs it, with `ws` for its socket.
import assert from 'node:assert/strict'
import { WebSocket } from 'ws'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'
import { atEnd } from './ending.mjs'
import { encoded } from './host.mjs'
import { until } from './waiting.mjs'

process.setMaxListeners(0) // each provider listens for the end of the process

/**
 * Opens `doc` on `host` and resolves once it is synced (or at once with `wait: false`). Left at the end of test `t`.
 * `state` is set as the local presence; `ydoc` and `awareness` may be handed over from an earlier client.
 */
export async function join (t, host, doc, { wait = true, state, ...options } = {}) {
  const client = new Client(host, doc, options)
  atEnd(t, () => {
    client.leave()
    assert.deepEqual(client.faults, [], 'the server relayed something that a real client cannot read')
  })
  if (state !== undefined) client.awareness.setLocalState(state)
  if (wait) await client.untilSynced()
  return client
}

export class Client {
  constructor (host, doc, { token, ydoc = new Y.Doc(), awareness, connect = true } = {}) {
    this.name = doc
    this.host = host
    this.doc = ydoc
    this.faults = []
    this.provider = new WebsocketProvider(host.ws, encoded(doc), ydoc, {
      WebSocketPolyfill: WebSocket,
      disableBc: true, // tabs of one process would otherwise talk past the server
      maxBackoffTime: 400,
      params: token === undefined ? {} : { token },
      connect: false,
      ...(awareness ? { awareness } : {})
    })
    this.awareness = this.provider.awareness
    this.closes = []
    this.provider.on('connection-close', event => { if (event) this.closes.push({ code: event.code, reason: event.reason }) })
    this.provider.messageHandlers = this.provider.messageHandlers.map(handler => (...args) => {
      const { error: report } = console
      console.error = (...words) => { this.faults.push(words.map(word => word?.stack ?? word).join(' ')) } // y-protocols logs what yjs throws
      try {
        handler(...args)
      } catch (error) {
        this.faults.push(error.stack)
      } finally {
        console.error = report
      }
    })
    if (connect) this.provider.connect()
  }

  untilSynced (ms) {
    return until(() => this.provider.synced, () => `a client of ${this.name} is synced; closes: ${JSON.stringify(this.closes.slice(-3))}; ${this.host.state}`, ms)
  }

  /** Presence of the others: `Map` of client id to state, without this client. */
  others () {
    const states = new Map(this.awareness.getStates())
    states.delete(this.doc.clientID)
    return states
  }

  /** Goes offline as a user without network does: the document stays open. */
  offline () {
    this.provider.disconnect()
  }

  online () {
    this.provider.connect()
  }

  /** The socket, if there is one, is cut without a close frame; the provider comes back by itself. */
  cut () {
    this.provider.ws?.terminate()
  }

  leave () {
    this.provider.destroy()
    this.awareness.destroy() // its timer would outlive it
  }
}

/** True when all documents hold the same insertions and deletions. */
export function same (clients) {
  const [first, ...rest] = clients.map(client => Y.snapshot(client.doc))
  return rest.every(snapshot => Y.equalSnapshots(first, snapshot))
}

/** Resolves once all clients hold the same document. */
export function converge (clients, ms = 20_000) {
  return until(() => same(clients), () => `${clients.length} clients of ${clients[0].name} converge; state vectors ` +
    clients.map(client => JSON.stringify([...Y.decodeStateVector(Y.encodeStateVector(client.doc))])).join(' | '), ms)
}
