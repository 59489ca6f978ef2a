// What the scenarios ask of any client, whatever it speaks. The transports are listed in client.mjs.
import * as Y from 'yjs'
import { until } from './waiting.mjs'

/**
 * A client of one document. A transport adds `connect`, `cut` and `leave`, sets `synced`, and says what went wrong:
 * `faults` is what no server may do to a real client, `closes` is how its connections ended (`{ code, reason }`).
 */
export class Transport {
  constructor (host, name, { ydoc = new Y.Doc() }) {
    this.host = host
    this.name = name
    this.doc = ydoc
    this.faults = []
    this.closes = []
  }

  untilSynced (ms) {
    return until(() => this.synced, () => `a client of ${this.name} is synced; ${this.report}`, ms)
  }

  /** Resolves once the server has acknowledged all that was written here; only where the client hears of it. */
  untilStored (ms) {
    return until(() => this.stored, () => `what was written to ${this.name} is acknowledged; ${this.report}`, ms)
  }

  /** Presence of the others: `Map` of client id to state, without this client. */
  others () {
    const states = new Map(this.awareness.getStates())
    states.delete(this.doc.clientID)
    return states
  }

  get id () { return this.doc.clientID }

  get report () {
    return `closes: ${JSON.stringify(this.closes.slice(-3))}; faults: ${this.faults.slice(-3).join(' | ')}; ${this.host.state}`
  }

  /** Runs `handle`, and keeps what it throws or logs: y-protocols logs what yjs throws. */
  watched (handle) {
    const { error: report } = console
    console.error = (...words) => { this.faults.push(words.map(word => word?.stack ?? word).join(' ')) }
    try {
      return handle()
    } catch (error) {
      this.faults.push(error.stack)
    } finally {
      console.error = report
    }
  }
}
