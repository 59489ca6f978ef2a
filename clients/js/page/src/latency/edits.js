// Edits as Yjs updates: each sets its lane's entry of one map to its number, so that a document of many edits stays small,
// and whoever has an edit has all earlier ones of its lane.

import * as Y from 'yjs'

const MAP = 'latency'

/** One client that edits: its clocks arrive in order, or it is given up. */
export class Lane {
  #doc = new Y.Doc()

  /** @param {string} key this lane's alone, in all runs */
  constructor (key) {
    this.key = key
  }

  /** The update that says that an edit was made. @param {number} number @returns {Uint8Array} */
  edit (number) {
    /** @type {Uint8Array[]} */
    const updates = []
    this.#doc.once('update', update => updates.push(update))
    this.#doc.getMap(MAP).set(this.key, number)
    return updates[0]
  }
}

/** A reader's copy of the document, and the place up to which it was read. */
export class Copy {
  #doc = new Y.Doc()
  /** For HTTP: what the next read asks for. */
  offset = '-1'

  /** @param {(lane: string, number: number) => void} arrived */
  constructor (arrived) {
    const map = this.#doc.getMap(MAP)
    map.observe(({ keysChanged }) => {
      for (const key of keysChanged) arrived(/** @type {string} */ (key), Number(map.get(/** @type {string} */ (key))))
    })
  }

  apply (/** @type {Uint8Array} */ update) {
    Y.applyUpdate(this.#doc, update)
  }

  get stateVector () {
    return Y.encodeStateVector(this.#doc)
  }
}
