// A client of bytes that does what the protocol asks of one and no more: it says nothing of itself, so that a test decides
// what is sent between two evictions. (Who has said where he is repeats that each 15 seconds.)
import { dial } from '../interop/raw.mjs'
import { until } from '../interop/waiting.mjs'
import { Y } from './packages.mjs'

const RENEWAL = 15_000

export class Peer {
  /** Connects; says nothing yet. */
  static async connect (t, host, docName, id) {
    const peer = Object.assign(new this(), { host, docName, id, doc: new Y.Doc(), seen: new Map(), handled: 0, clock: 0 })
    peer.doc.clientID = id
    peer.raw = await dial(t, host, host.path(docName))
    peer.raw.socket.on('message', () => peer.#handle())
    peer.#handle()
    peer.doc.on('update', (update, origin) => { if (origin !== 'server') peer.raw.update(update) })
    return peer
  }

  #handle () {
    for (const { type, step, stateVector, update, entries } of this.raw.messages.slice(this.handled)) {
      this.handled += 1
      if (stateVector && this.answers) this.answer(stateVector)
      if (stateVector) this.asked = stateVector
      if (update) Y.applyUpdate(this.doc, update, 'server')
      if (type === 0 && step === 1) this.synced = true
      for (const [id, , state] of entries ?? []) state === null ? this.seen.delete(id) : this.seen.set(id, state)
    }
  }

  /** Step 1: asks for what it has not. */
  ask () { this.raw.step1(Y.encodeStateVector(this.doc)) }

  /** Step 2, to what the server asked last; from now on it answers by itself. */
  answer (stateVector = this.asked) {
    this.answers = true
    this.raw.step2(Y.encodeStateAsUpdate(this.doc, stateVector))
  }

  write (text) { this.doc.getArray('list').push([text]) }

  /** Says where it is, and again as often as every client does. */
  show (state) {
    const tell = () => this.raw.awareness([this.id, this.clock += 1, state])
    clearInterval(this.telling)
    this.telling = setInterval(tell, RENEWAL)
    this.raw.socket.once('close', () => clearInterval(this.telling))
    tell()
  }

  get list () { return this.doc.getArray('list').toArray() }

  /** Resolves once all that was sent is acknowledged. */
  stored () { return this.raw.stored() }

  /** Fails unless its socket is the one it began with, and nothing was wrong on it. */
  unharmed () {
    if (this.raw.close) throw new Error(`${this.id} was closed: ${JSON.stringify(this.raw.close)}`)
    if (this.raw.faults.length > 0) throw new Error(this.raw.faults.join('\n'))
  }

  async leave () {
    this.raw.socket.close()
    await this.raw.closed
  }
}

/** Resolves once all of these have all of `texts`, once each, in the same order. */
export function agree (peers, texts) {
  const wanted = JSON.stringify([...texts].sort())
  return until(() => peers.every(({ list }) => JSON.stringify([...list].sort()) === wanted && JSON.stringify(list) === JSON.stringify(peers[0].list)),
    () => `all have ${wanted}; ${peers.map(({ id, list, raw }) => `${id}: ${JSON.stringify(list)} ${JSON.stringify(raw.close)}`).join(' | ')}; ${peers[0].host.state}`, 20_000)
}
