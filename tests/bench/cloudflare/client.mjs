// A client of one document on one socket. It has the state of a Y.Doc that may be shared with other clients, and answers
// step 1 with it as every provider does: a server that forgot the document gets it back from its clients.
import { WebSocket } from 'ws'
import * as Y from 'yjs'
import { frame, message, NOTHING, NO_UPDATE, SYNC } from './wire.mjs'

const PATIENCE = 240_000 // milliseconds: 10,000 edits may be in front on a busy machine

export class Client {
  /** Connects and asks for the document. `state`: what this client has, a Y.Doc, or nothing. */
  constructor (url, state) {
    this.socket = new WebSocket(url, { perMessageDeflate: false })
    this.state = state
    /** Called with `(bytes, time)` for each frame. */
    this.hear = () => {}
    this.opened = new Promise((resolve, reject) => this.socket.once('open', resolve).once('error', reject))
    this.gone = new Promise(resolve => this.socket.once('close', (code, reason) => {
      this.close = `${code} ${reason}`
      resolve()
    }))
    this.synced = new Promise(resolve => { this.isSynced = resolve })
    this.socket.on('open', () => this.send(frame(SYNC, 0, NOTHING)))
    this.socket.on('error', () => {}) // shows as a close
    this.socket.on('message', data => {
      const time = performance.now()
      this.hear(data, time)
      this.receive(data, time)
    })
  }

  receive (data, time) {
    const { type, step, payload } = message(data)
    if (type !== SYNC) return
    if (step === 0) this.send(frame(SYNC, 1, this.state ? Y.encodeStateAsUpdate(this.state, payload) : NO_UPDATE))
    if (step === 1) this.isSynced({ update: payload, time })
  }

  send (bytes) { this.socket.send(bytes) }

  /** Resolves with the time at which the first frame came that contains this text; `null` if the socket closes or none comes. */
  hears (text, ms = PATIENCE) {
    const heard = new Promise(resolve => {
      this.hear = (data, time) => { if (data.includes(text)) resolve(time) }
    })
    return within(Promise.race([heard, this.gone.then(() => null)]), ms)
  }

  leave () {
    this.socket.terminate()
    return this.gone
  }

  /** Connects; resolves once the server has answered step 1. */
  static async join (url, state) {
    const client = new this(url, state)
    const synced = await within(Promise.race([client.synced, client.gone.then(() => null), client.opened.then(() => client.synced)]))
    if (synced === null) throw new Error(`${url} does not sync (${client.close ?? 'no answer'})`)
    return client
  }
}

/** The promise's value, or `null` after so many milliseconds. */
export async function within (promise, ms = PATIENCE) {
  let timer
  try {
    return await Promise.race([promise, new Promise(resolve => { timer = setTimeout(resolve, ms, null) })])
  } finally {
    clearTimeout(timer)
  }
}

export const pause = ms => new Promise(resolve => setTimeout(resolve, ms))
