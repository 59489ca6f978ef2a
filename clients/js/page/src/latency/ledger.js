// Edits from when they are due until they are acknowledged and have arrived, or are given up.

import { Failure, wasRefused } from './failure.js'
import { Recorder } from './summary.js'

/** @typedef {{ due: number, block?: number, lane?: string, waits: { ack: boolean, arrival: boolean } }} Open */

export class Ledger {
  ack = new Recorder()
  arrival = new Recorder()
  /** By number, in the order in which they were due. @type {Map<number, Open>} */
  #open = new Map()

  /** @param {number} timeout milliseconds @param {number} epoch when the run began */
  constructor (timeout, epoch) {
    this.timeout = timeout
    this.epoch = epoch
  }

  /** An edit is due; it is recorded where a block is named. `due` is a time of `performance.now()`. */
  due (/** @type {number} */ number, /** @type {number} */ due, /** @type {number | undefined} */ block) {
    this.#open.set(number, { due, block, waits: { ack: true, arrival: true } })
  }

  /** By when it has to be over; nothing if it is. */
  deadline (/** @type {number} */ number) {
    const edit = this.#open.get(number)
    return edit && edit.due + this.timeout
  }

  /** It is on its way, in this lane. */
  sent (/** @type {number} */ number, /** @type {string} */ lane) {
    const edit = this.#open.get(number)
    if (edit) edit.lane = lane
  }

  acked (/** @type {number} */ number) {
    const edit = this.#open.get(number)
    if (edit) this.#took(number, edit, 'ack', performance.now())
  }

  /** A reader has all edits of a lane up to this one. */
  arrived (/** @type {string} */ lane, /** @type {number} */ upTo) {
    const now = performance.now()
    for (const [number, edit] of this.#open) {
      if (number > upTo) break
      if (edit.lane === lane) this.#took(number, edit, 'arrival', now)
    }
  }

  /** It was not acknowledged. It may arrive all the same, unless it was refused. */
  failed (/** @type {number} */ number, /** @type {Failure} */ failure) {
    const edit = this.#open.get(number)
    if (!edit) return
    this.#fails(number, edit, 'ack', failure.kind)
    if (wasRefused(failure)) this.#fails(number, edit, 'arrival', failure.kind)
  }

  /** Nothing more is acknowledged of what was sent in a lane. */
  broken (/** @type {string} */ lane, /** @type {Failure} */ failure) {
    for (const [number, edit] of [...this.#open]) {
      if (edit.lane === lane) this.failed(number, failure)
    }
  }

  /** Gives up what has waited for too long. */
  expire () {
    const since = performance.now() - this.timeout
    for (const [number, edit] of [...this.#open]) {
      if (edit.due > since) break
      this.#fails(number, edit, 'ack', 'timeout')
      this.#fails(number, edit, 'arrival', 'timeout')
    }
  }

  /** Whether all that was due before this time is over. */
  isSettledBefore (/** @type {number} */ time) {
    const [first] = this.#open.values()
    return first === undefined || first.due >= time
  }

  #took (/** @type {number} */ number, /** @type {Open} */ edit, /** @type {'ack' | 'arrival'} */ what, /** @type {number} */ now) {
    if (!edit.waits[what]) return
    if (edit.block !== undefined) this[what].record(edit.block, (edit.due - this.epoch) / 1000, now - edit.due)
    this.#over(number, edit, what)
  }

  #fails (/** @type {number} */ number, /** @type {Open} */ edit, /** @type {'ack' | 'arrival'} */ what, /** @type {string} */ kind) {
    if (!edit.waits[what]) return
    if (edit.block !== undefined) this[what].fail(kind)
    this.#over(number, edit, what)
  }

  #over (/** @type {number} */ number, /** @type {Open} */ edit, /** @type {'ack' | 'arrival'} */ what) {
    edit.waits[what] = false
    if (!edit.waits.ack && !edit.waits.arrival) this.#open.delete(number)
  }
}
