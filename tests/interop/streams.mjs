// The Durable Streams Yjs protocol at the level of bytes: addresses, lib0 frames, and what a reader makes of them.
import assert from 'node:assert/strict'
import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import * as Y from 'yjs'
import { encoded, lacks } from './host.mjs'
import { awarenessEntries, awarenessUpdate } from './raw.mjs'
import { ask, hold, listen } from './request.mjs'
import { pauseFor } from './waiting.mjs'

/** The address of a document. */
export const at = (doc, service = 'default') => `/v1/yjs/${encodeURIComponent(service)}/docs/${encoded(doc)}`

/** Creates a document if it is not there. Resolves with its address. */
export async function create (host, doc, { service, token } = {}) {
  const path = at(doc, service)
  const { status, text } = await ask(host, 'PUT', path, { token })
  assert.ok(status === 201 || status === 200, `PUT ${path}: ${status} ${text}`)
  return path
}

/** Stores updates; fails unless they are acknowledged. Resolves with the answer. */
export async function post (host, path, updates, options = {}) {
  const send = () => ask(host, 'POST', path, { body: framed(...updates), ...options })
  let answer = await send()
  for (let n = 0; n < 20 && answer.status === 502 && lacks('direct'); n++) {
    await pauseFor(50)
    answer = await send()
  }
  assert.ok(answer.status === 204 || answer.status === 200, `POST ${path}: ${answer.status} ${answer.text}`)
  return answer
}

/** One catch-up read: `{ frames, next, ...answer }`. */
export async function read (host, path, offset = '-1', options = {}) {
  const answer = await ask(host, 'GET', path, { ...options, query: { offset, ...options.query } })
  assert.equal(answer.status, 200, `GET ${path}?offset=${offset}: ${answer.text}`)
  return Object.assign(answer, { frames: unframed(answer.bytes), next: answer.headers['stream-next-offset'] })
}

/** The document as a reader that knows nothing gets it. */
export async function readDocument (host, path, options) {
  return applied((await read(host, path, '-1', options)).frames)
}

/** A held read by long-poll: a `Held`. */
export const poll = (t, host, path, offset, { query, ...options } = {}) =>
  hold(t, host, path, { ...options, query: { offset, live: 'long-poll', ...query } })

/** A live read by Server-Sent Events: an `Events`. */
export const stream = (t, host, path, offset, { query, ...options } = {}) =>
  listen(t, host, path, { ...options, query: { offset, live: 'sse', ...query } })

/** Resolves with the answer of a held read that must bring something. */
export async function delivered (held) {
  const answer = await held.ended
  assert.equal(answer.status, 200, answer.text)
  return Object.assign(answer, { frames: unframed(answer.bytes), next: answer.headers['stream-next-offset'] })
}

/** All frames that a stream's `name` events have brought, in order. */
export const eventFrames = (events, name = 'data') =>
  events.of(name).flatMap(data => unframed(new Uint8Array(Buffer.from(data, 'base64'))))

/** Presence as a stream delivers it: entries `[clientId, clock, state]` of all frames. */
export const entriesOf = frames => frames.flatMap(awarenessEntries)

/** The last state of each client in frames of presence, removed ones left out: `Map` of id to state. */
export function present (frames) {
  const states = new Map()
  for (const [id, , state] of entriesOf(frames)) state === null ? states.delete(id) : states.set(id, state)
  return states
}

/** Posts presence of `[clientId, clock, state]` entries; fails unless it is taken. */
export async function show (host, path, entries, { name = 'default', ...options } = {}) {
  const answer = await ask(host, 'POST', path, { ...options, query: { awareness: name }, body: framed(awarenessUpdate(entries)) })
  assert.equal(answer.status, 204, answer.text)
  return answer
}

/** A JSON refusal: `error.code` is `code` and `error.message` says something. */
export function refused (answer, status, code) {
  assert.equal(answer.status, status, answer.text)
  assert.match(answer.headers['content-type'] ?? '', /^application\/json/)
  assert.equal(answer.json.error.code, code, answer.text)
  assert.match(answer.json.error.message, /\w/)
}

/** lib0 frames: each a varUint length and its bytes. */
export function framed (...parts) {
  const encoder = encoding.createEncoder()
  for (const part of parts) encoding.writeVarUint8Array(encoder, part)
  return encoding.toUint8Array(encoder)
}

export function unframed (bytes) {
  const decoder = decoding.createDecoder(bytes)
  const parts = []
  while (decoding.hasContent(decoder)) parts.push(decoding.readVarUint8Array(decoder))
  return parts
}

/** A document of all these updates. */
export function applied (updates, doc = new Y.Doc()) {
  for (const update of updates) Y.applyUpdate(doc, update)
  return doc
}

/** A local document whose updates are collected in `updates`, to be sent by hand. */
export function writer (clientId) {
  const doc = new Y.Doc()
  if (clientId !== undefined) doc.clientID = clientId
  const updates = []
  doc.on('update', update => updates.push(update))
  return {
    doc,
    updates,
    /** Appends `items` to the array `list` and gives the one update that says so. */
    push: (...items) => { doc.getArray('list').push(items); return updates.at(-1) }
  }
}

/** The array `list` of a document. */
export const list = doc => doc.getArray('list').toArray()

/** What of `update` is missing in `updates`: `CLIENT:CLOCK` of each insertion that none of them holds, visible or not. */
export function missing (update, updates) {
  const held = new Set(updates.flatMap(insertions))
  return insertions(update).filter(insertion => !held.has(insertion))
}

/** What an update inserts, whether it can be applied yet or not: `CLIENT:CLOCK` of each insertion. */
export function insertions (update) {
  return Y.decodeUpdate(update).structs.filter(struct => !(struct instanceof Y.Skip))
    .flatMap(({ id: { client, clock }, length }) => Array.from({ length }, (_, n) => `${client}:${clock + n}`))
}
