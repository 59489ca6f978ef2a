// Clients for the tests: a document with a provider on it, which remembers what it was told.

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import * as Y from 'yjs'
import { YonderProvider } from '../dist/index.js'
import { Server } from './server.mjs'

/** Everything that takes long, in a fraction of it. */
export const QUICK = {
  handshake: 250,
  answer: 1_000,
  firstEvent: 250,
  silence: 5_000,
  ping: 5_000,
  pong: 200,
  quickPong: 200,
  denial: 20,
  held: 50,
  steady: 5_000,
  retry: [10, 80],
  refused: [60_000, 60_000],
  climb: [60_000, 60_000],
  presenceGap: 5,
  handover: 20
}

/** A server that ends with the test. */
export const serve = async t => {
  const server = await Server.up()
  t.after(() => server.cut(true))
  return server
}

/** Opens a document. Waits until it is synced, unless `wait` is false. */
export const open = async (t, server, { wait = true, doc = new Y.Doc(), name = 'notes', timing, state, ...options } = {}) => {
  const provider = new YonderProvider(server.url, name, doc, {
    WebSocketPolyfill: WebSocket,
    connect: false,
    ...options,
    timing: { ...QUICK, ...timing }
  })
  const events = []
  for (const event of ['status', 'synced', 'saved', 'transport', 'refused', 'connection-close', 'connection-error']) {
    provider.on(event, value => events.push([event, value?.status ?? value]))
  }
  t.after(() => {
    provider.destroy()
    doc.destroy()
  })
  if (state) provider.awareness.setLocalState(state)
  const client = {
    provider,
    doc,
    events,
    text: doc.getText('content'),
    others: () => [...provider.awareness.getStates()].filter(([id]) => id !== doc.clientID).map(([, others]) => others.name),
    /** The values of an event, in order. */
    told: event => events.filter(([name]) => name === event).map(([, value]) => value)
  }
  if (options.connect !== false) provider.connect()
  if (wait && options.connect !== false) await until(() => provider.synced, () => `synced; so far ${JSON.stringify(events)}`)
  return client
}

export const until = async (condition, what, ms = 5_000) => {
  const end = Date.now() + ms
  for (;;) {
    const value = await condition()
    if (value) return value
    if (Date.now() > end) assert.fail(`not within ${ms} ms: ${typeof what === 'function' ? what() : what ?? condition}`)
    await sleep(5)
  }
}

export const saved = ({ provider, events }) => until(() => provider.saved, () => `saved; so far ${JSON.stringify(events)}`)

export const shows = ({ text, events }, expected) =>
  until(() => text.toString() === expected, () => `shows ${JSON.stringify(expected)}, is ${JSON.stringify(text.toString())}; ${JSON.stringify(events)}`)

export { sleep }
