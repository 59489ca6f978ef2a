// A client at the level of bytes, on `ws` and lib0: for what a well-behaved provider would never send or never notice.
import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import { WebSocket } from 'ws'
import { atEnd } from './ending.mjs'
import { lacks } from './host.mjs'
import { until, within } from './waiting.mjs'

export const SYNC = 0
export const AWARENESS = 1
export const AUTH = 2
export const QUERY_AWARENESS = 3
export const ACK = 102

const EMPTY_UPDATE = Uint8Array.of(0, 0)
const EMPTY_STATE_VECTOR = Uint8Array.of(0)

/** Opens a socket on `path` (sent as it is, never normalised) of `host`; terminated at the end of test `t`. */
export async function dial (t, host, path, { query = {}, ...options } = {}) {
  const search = new URLSearchParams(query).toString()
  const raw = new Raw(host.url.replace(/^http/, 'ws'), path + (search && '?' + search), options)
  if (t) atEnd(t, () => raw.socket.terminate())
  await within(raw.opened, `a socket on ${path} opens`)
  return raw
}

/** Before a stop: where that does not store what the host has taken of a document (`flush`), an answered question has. */
export async function stored (host, doc, options) {
  // Over HTTP nobody has anything before it is stored.
  if (!lacks('flush') || lacks('sockets')) return
  const raw = await dial(undefined, host, host.path(doc), options)
  try {
    await raw.roundTrip()
  } finally {
    raw.socket.terminate()
  }
}

export class Raw {
  constructor (base, path, options = {}) {
    const socket = new WebSocket(base, {
      perMessageDeflate: false,
      ...options,
      finishRequest: request => { request.path = path; request.end() }
    })
    socket.binaryType = 'nodebuffer'
    this.socket = socket
    /** Everything received, decoded: `{ type, ... }`; see `decoded`. */
    this.messages = []
    /** Frames that a real client would misread: y-websocket reads only the first message of a frame. */
    this.faults = []
    this.acked = 0
    this.asked = 0
    this.opened = new Promise((resolve, reject) => { socket.once('open', resolve); socket.once('error', reject) })
    this.closed = new Promise(resolve => socket.once('close', (code, reason) => {
      this.close = { code, reason: reason.toString() }
      resolve(this.close)
    }))
    socket.on('error', error => { this.error = error })
    // Where the server does not end the connection, `ws` would wait for that before it tells of the close.
    if (lacks('hang-up')) socket.once('open', () => socket._receiver.once('conclude', () => setImmediate(() => socket._socket?.destroySoon())))
    socket.on('message', (data, binary) => this.receive(data, binary))
  }

  receive (data, binary) {
    if (!binary) return this.faults.push(`text frame: ${data}`)
    const decoder = decoding.createDecoder(new Uint8Array(data))
    const message = decoded(decoder)
    if (decoding.hasContent(decoder)) this.faults.push(`more than one message in a frame: ${data.toString('hex')}`)
    if (message.type === ACK && message.payload.length > 0) this.acked = Math.max(this.acked, decoding.readVarUint(decoding.createDecoder(message.payload)))
    this.messages.push(message)
  }

  send (bytes) {
    this.socket.send(bytes)
  }

  step1 (stateVector = EMPTY_STATE_VECTOR) { this.send(frame(SYNC, 0, stateVector)) }
  step2 (update = EMPTY_UPDATE) { this.send(frame(SYNC, 1, update)) }
  update (update) { this.send(frame(SYNC, 2, update)) }
  awareness (...entries) { this.send(awarenessFrame(entries)) }

  /** Asks for an acknowledgement of everything sent so far; gives its number, which `acked` reaches when it comes. */
  ask () {
    this.asked += 1
    const payload = encoding.createEncoder()
    encoding.writeVarUint(payload, this.asked)
    this.send(frame(ACK, encoding.toUint8Array(payload)))
    return this.asked
  }

  /** Resolves once all that was sent so far is acknowledged. */
  async stored (ms) {
    const number = this.ask()
    await until(() => this.acked >= number || this.close, () => `102 number ${number} is echoed (last: ${this.acked})`, ms)
    if (this.acked < number) throw new Error(`closed before 102 was echoed: ${JSON.stringify(this.close)}`)
  }

  /** Resolves with the first message that `matches`, also one that came already. */
  got (matches, what, ms) {
    return until(() => this.messages.find(matches), () => `${what}; got ${JSON.stringify(this.messages.slice(-5))}, close ${JSON.stringify(this.close)}`, ms)
  }

  /** A round trip: an answered step 1, so that everything sent before has been looked at. */
  async roundTrip (ms) {
    const before = this.count(isStep2)
    this.step1()
    await until(() => this.count(isStep2) > before || this.close, 'step 1 is answered with step 2', ms)
    if (this.close) throw new Error(`closed: ${JSON.stringify(this.close)}`)
    return this.messages.findLast(isStep2).update
  }

  count (matches) { return this.messages.filter(matches).length }

  /** Resolves with `{ code, reason }`. */
  untilClosed (what = 'the server closes the socket', ms) { return within(this.closed, what, ms) }
}

export const isStep1 = message => message.type === SYNC && message.step === 0
export const isStep2 = message => message.type === SYNC && message.step === 1
export const isUpdate = message => message.type === SYNC && message.step === 2
export const isAuth = message => message.type === AUTH

/** A frame of varints (numbers) and length-prefixed byte arrays. */
export function frame (...parts) {
  const encoder = encoding.createEncoder()
  for (const part of parts) {
    if (typeof part === 'number') encoding.writeVarUint(encoder, part)
    else encoding.writeVarUint8Array(encoder, part)
  }
  return encoding.toUint8Array(encoder)
}

/** Entries are `[clientId, clock, state]`; a state is any JSON value, `null` for a removal. */
export function awarenessUpdate (entries) {
  const encoder = encoding.createEncoder()
  encoding.writeVarUint(encoder, entries.length)
  for (const [id, clock, state] of entries) {
    encoding.writeVarUint(encoder, id)
    encoding.writeVarUint(encoder, clock)
    encoding.writeVarString(encoder, JSON.stringify(state))
  }
  return encoding.toUint8Array(encoder)
}

/** The same as a frame of the socket. */
export const awarenessFrame = entries => frame(AWARENESS, awarenessUpdate(entries))

function decoded (decoder) {
  const type = decoding.readVarUint(decoder)
  if (type === SYNC) {
    const step = decoding.readVarUint(decoder)
    return { type, step, [step === 0 ? 'stateVector' : 'update']: decoding.readVarUint8Array(decoder) }
  }
  if (type === AWARENESS) return { type, entries: awarenessEntries(decoding.readVarUint8Array(decoder)) }
  if (type === AUTH) return { type, kind: decoding.readVarUint(decoder), reason: decoding.readVarString(decoder) }
  if (type === ACK) return { type, payload: decoding.readVarUint8Array(decoder) }
  return { type }
}

/** The entries of an awareness update. */
export function awarenessEntries (bytes) {
  const decoder = decoding.createDecoder(bytes)
  return Array.from({ length: decoding.readVarUint(decoder) }, () =>
    [decoding.readVarUint(decoder), decoding.readVarUint(decoder), JSON.parse(decoding.readVarString(decoder))])
}
