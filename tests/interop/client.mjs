// The clients of the scenarios, by the name of their transport, and what holds between them.
import assert from 'node:assert/strict'
import * as Y from 'yjs'
import { atEnd } from './ending.mjs'
import { lacks } from './host.mjs'
import { HttpClient } from './transport-http.mjs'
import { StreamsClient } from './transport-streams.mjs'
import { SweetClient } from './transport-sweet.mjs'
import { WebsocketClient } from './transport-websocket.mjs'
import { until } from './waiting.mjs'

process.setMaxListeners(0) // each y-websocket provider listens for the end of the process

/**
 * Every client with every transport. `needs`: capability of the host. `keepsEdits`: what is written while the
 * connection is lost is sent later. `acknowledges`: the client hears that its edits are stored.
 */
export const TRANSPORTS = {
  'y-websocket': { Client: WebsocketClient, needs: ['sockets'], keepsEdits: true, acknowledges: false },
  'y-sweet': { Client: SweetClient, needs: ['sockets', 'sweet', 'ack'], keepsEdits: true, acknowledges: true },
  'YjsProvider SSE': { Client: StreamsClient, needs: ['streams'], liveMode: 'sse', keepsEdits: false, acknowledges: true },
  'YjsProvider long-poll': { Client: StreamsClient, needs: ['streams'], liveMode: 'long-poll', keepsEdits: false, acknowledges: true },
  'HTTP SSE': { Client: HttpClient, needs: ['streams'], liveMode: 'sse', keepsEdits: true, acknowledges: true },
  'HTTP long-poll': { Client: HttpClient, needs: ['streams'], liveMode: 'long-poll', keepsEdits: true, acknowledges: true }
}

/** Names of the transports for which `fits` holds. */
export const transports = (fits = () => true) => Object.keys(TRANSPORTS).filter(name => fits(TRANSPORTS[name]))

/** Names of those that the host takes. */
export const taken = () => transports(({ needs }) => !needs.some(lacks))

/**
 * Opens `doc` on `host` by `transport` and resolves once it is synced (or at once with `wait: false`). Left at the end
 * of test `t`. `state` is set as the local presence; `ydoc` and `awareness` may be handed over from an earlier client.
 */
export async function join (t, host, doc, { transport = lacks('sockets') ? 'HTTP long-poll' : 'y-websocket', wait = true, connect = true, state, ...options } = {}) {
  const { Client, liveMode } = TRANSPORTS[transport]
  const client = new Client(host, doc, { liveMode, ...options })
  client.transport = transport
  atEnd(t, async () => {
    await client.leave()
    assert.deepEqual(client.faults, [], 'the server relayed something that a real client cannot read')
  })
  if (state !== undefined) client.awareness.setLocalState(state)
  if (connect) client.connect()
  if (wait && connect) await client.untilSynced()
  return client
}

/** True when all documents hold the same insertions and deletions. */
export function same (clients) {
  const [first, ...rest] = clients.map(client => Y.snapshot(client.doc))
  return rest.every(snapshot => Y.equalSnapshots(first, snapshot))
}

/** Resolves once all clients hold the same document. */
export function converge (clients, ms) {
  return until(() => same(clients), () => `${clients.length} clients of ${clients[0].name} converge; state vectors ` +
    clients.map(client => JSON.stringify([...Y.decodeStateVector(Y.encodeStateVector(client.doc))])).join(' | ') +
    `; ${clients.map(client => client.report).join(' | ')}`, ms)
}

/** Resolves once `watcher` has `state` of `client`. */
export function sees (watcher, client, state, ms) {
  return until(() => JSON.stringify(watcher.awareness.getStates().get(client.id)) === JSON.stringify(state),
    () => `${watcher.id} sees ${JSON.stringify(state)} of ${client.id}; it has ${JSON.stringify([...watcher.awareness.getStates()])}; ` +
      `${watcher.report}; ${client.report}`, ms)
}

/** Resolves once `watcher` has no presence of `client` any more. */
export function misses (watcher, client, ms) {
  return until(() => !watcher.others().has(client.id), () => `${watcher.id} no longer sees ${client.id}`, ms)
}
