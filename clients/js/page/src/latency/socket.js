// Writing and reading by WebSocket. The writer sends edits one behind the other without waiting, each followed by y-sweet's
// message 102, which comes back once all that was sent before is stored.

import { createDecoder, hasContent, readVarString, readVarUint, readVarUint8Array } from 'lib0/decoding'
import { createEncoder, toUint8Array, writeVarUint, writeVarUint8Array } from 'lib0/encoding'
import { Lane } from './edits.js'
import { Failure, failureOfClose, failureOfStatus } from './failure.js'
import { pause } from './schedule.js'

/** @typedef {import('./session.js').Line} Line */

const SYNC = 0
const AUTH = 2
const ECHO = 102
const EMPTY_UPDATE = Uint8Array.of(0, 0)
/** The payload of a message 102 that follows no edit. Edits have numbers above it. */
const QUESTION = 0

/** A socket that is synced, as a client's is before it edits. */
class Joined {
  /** @type {(reason: Failure) => void} */
  onLost = () => {}
  onEcho = (/** @type {number} */ _number) => {}
  onUpdate = (/** @type {Uint8Array} */ _update) => {}
  #failure

  /** @param {Line} line @param {Uint8Array} stateVector of what is known */
  constructor (line, stateVector) {
    const began = performance.now()
    const socket = this.socket = new WebSocket(line.target.socket(line.doc))
    socket.binaryType = 'arraybuffer'
    let opened = false
    const late = setTimeout(() => this.#lose(new Failure('timeout', 'no WebSocket is synced in time')), line.ledger.timeout)
    /** Resolves once all that the server has is here. */
    this.synced = new Promise((resolve, reject) => {
      this.isSynced = () => { clearTimeout(late); resolve(this) }
      this.isLost = (/** @type {Failure} */ failure) => { clearTimeout(late); reject(failure) }
    })
    this.synced.catch(() => {}) // whoever waits for it hears of it
    socket.onopen = () => {
      opened = true
      line.measured('connect', performance.now() - began)
      this.send(SYNC, stateVector, 0)
    }
    socket.onmessage = event => this.#receive(new Uint8Array(event.data))
    socket.onclose = event => this.#lose(failureOfClose(event, opened))
  }

  /** @type {Failure | undefined} */
  get failure () {
    return this.#failure
  }

  send (/** @type {number} */ type, /** @type {Uint8Array} */ bytes, /** @type {number} */ step = -1) {
    if (this.socket.readyState !== WebSocket.OPEN) return
    const encoder = createEncoder()
    writeVarUint(encoder, type)
    if (step >= 0) writeVarUint(encoder, step)
    writeVarUint8Array(encoder, bytes)
    this.socket.send(/** @type {Uint8Array<ArrayBuffer>} */ (toUint8Array(encoder)))
  }

  close () {
    this.#failure ??= new Failure('closed', 'closed')
    this.isLost?.(this.#failure)
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null
    this.socket.close()
  }

  #receive (/** @type {Uint8Array} */ frame) {
    const decoder = createDecoder(frame)
    while (hasContent(decoder)) {
      const type = readVarUint(decoder)
      if (type === SYNC) {
        const step = readVarUint(decoder)
        const bytes = readVarUint8Array(decoder)
        if (step === 0) {
          this.send(SYNC, EMPTY_UPDATE, 1)
        } else {
          this.onUpdate(bytes)
          if (step === 1) this.isSynced?.()
        }
      } else if (type === ECHO) {
        this.onEcho(readVarUint(createDecoder(readVarUint8Array(decoder))))
      } else if (type === AUTH) {
        readVarUint(decoder)
        this.#lose(failureOfStatus(403, readVarString(decoder)))
      } else {
        return // presence
      }
    }
  }

  #lose (/** @type {Failure} */ failure) {
    if (this.#failure) return
    this.#failure = failure
    this.close()
    this.onLost(failure)
  }
}

export class SocketWriter {
  #lanes = 0
  /** @type {{ joined: Joined, lane: Lane } | undefined} */
  #open
  /** @type {{ at: number, failure: Failure } | undefined} */
  #lost
  /** @type {{ resolve: (ms: number) => void, reject: (failure: Failure) => void, asked: number } | undefined} */
  #question

  /** @param {Line} line */
  constructor (line) {
    this.line = line
  }

  async ready () {
    await this.#connected().joined.synced
  }

  edit (/** @type {number} */ number) {
    const { ledger, retry } = this.line
    if (!this.#open && this.#lost && performance.now() - this.#lost.at < retry) return ledger.failed(number, this.#lost.failure)
    const { joined, lane } = this.#connected()
    const send = () => {
      // It may have waited too long for the connection.
      if (ledger.deadline(number) === undefined) return
      ledger.sent(number, lane.key)
      joined.send(SYNC, lane.edit(number), 2)
      joined.send(ECHO, varUint(number))
    }
    if (joined.socket.readyState === WebSocket.OPEN) send()
    else joined.synced.then(send, failure => ledger.failed(number, failure))
  }

  /** Milliseconds that a question and its answer take. @returns {Promise<number>} */
  ask () {
    const { joined } = this.#connected()
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => this.#answered(new Failure('timeout', 'no answer in time')), this.line.ledger.timeout)
      const ended = (/** @type {() => void} */ end) => { clearTimeout(late); end() }
      this.#question = {
        asked: performance.now(),
        resolve: ms => ended(() => resolve(ms)),
        reject: failure => ended(() => reject(failure))
      }
      joined.send(ECHO, varUint(QUESTION))
    })
  }

  close () {
    this.#open?.joined.close()
    this.#open = undefined
  }

  /** The connection, begun if there is none, with a lane of its own. */
  #connected () {
    if (this.#open) return this.#open
    const { line } = this
    const joined = new Joined(line, Uint8Array.of(0))
    const lane = new Lane(`${line.key}.${this.#lanes++}`)
    joined.onEcho = number => {
      if (number === QUESTION) this.#answered()
      else line.ledger.acked(number)
    }
    joined.onLost = failure => {
      this.#open = undefined
      this.#lost = { at: performance.now(), failure }
      line.ledger.broken(lane.key, failure)
      this.#answered(failure)
    }
    this.#open = { joined, lane }
    return this.#open
  }

  #answered (/** @type {Failure | undefined} */ failure = undefined) {
    const question = this.#question
    this.#question = undefined
    if (failure) question?.reject(failure)
    else question?.resolve(performance.now() - question.asked)
  }
}

export class SocketReader {
  #closed = false
  /** @type {Joined | undefined} */
  #joined

  /** @param {Line} line @param {import('./edits.js').Copy} copy */
  constructor (line, copy) {
    this.line = line
    this.copy = copy
    this.#follow()
  }

  async ready () {
    await this.#joined?.synced
  }

  close () {
    this.#closed = true
    this.#joined?.close()
  }

  #follow () {
    const joined = this.#joined = new Joined(this.line, this.copy.stateVector)
    joined.onUpdate = update => this.copy.apply(update)
    joined.onLost = async () => {
      await pause(this.line.retry)
      if (!this.#closed) this.#follow()
    }
  }
}

const varUint = (/** @type {number} */ number) => {
  const encoder = createEncoder()
  writeVarUint(encoder, number)
  return toUint8Array(encoder)
}
