// Edits that the server has not yet stored, for whichever transport is there to send them.

import { mergeUpdates } from 'yjs'

interface Entry {
  version: number
  update: Uint8Array
}

/** Updates above this many are merged into one before they are sent: each is an entry in the server's log. */
const MERGED_ABOVE = 8

export class Outbox {
  /** How many edits there were: each has a number, and these are the ones not acknowledged, in order. */
  #entries: Entry[] = []
  #version = 0
  #stored = 0
  /** The server takes no edits from us. Whatever it echoes then acknowledges nothing. */
  denied = false

  /** @param changed called when `saved` or `unsaved` may be different */
  constructor (private readonly changed: () => void) {}

  /** The number of the last edit. */
  get version (): number {
    return this.#version
  }

  /** How many edits are not known to be stored. */
  get unsaved (): number {
    return this.#version - this.#stored
  }

  add (update: Uint8Array): void {
    this.#entries.push({ version: ++this.#version, update })
    this.changed()
  }

  /**
   * A document that was not empty when it came: what of it the server lacks is found out by the first connection, which
   * then calls `cover`, or has all of it acknowledged.
   */
  addUnknown (): void {
    this.#version++
    this.changed()
  }

  /** All that the server lacks by now is in this one update; nothing is lacking where there is none. */
  cover (update?: Uint8Array): void {
    if (update && this.unsaved === 0) this.#version++
    this.#entries = update ? [{ version: this.#version, update }] : []
    if (!update) this.#stored = this.#version
    this.changed()
  }

  /** The server has stored all edits up to this number. */
  acknowledge (version: number): void {
    if (this.denied || version <= this.#stored) return
    this.#stored = Math.min(version, this.#version)
    this.#entries = this.#entries.filter(entry => entry.version > this.#stored)
    this.changed()
  }

  /** The edits after this number. */
  since (version: number): Uint8Array[] {
    return this.#entries.filter(entry => entry.version > version).map(entry => entry.update)
  }

  /** The first edits that are not stored, up to so many bytes, but at least one; and the number of the last one. */
  batch (bytes: number): { updates: Uint8Array[], version: number, count: number } | undefined {
    let [end, size] = [0, 0]
    for (const { update } of this.#entries) {
      size += update.length
      if (end > 0 && size > bytes) break
      end++
    }
    const entries = this.#entries.slice(0, end)
    const last = entries.at(-1)
    if (!last) return undefined
    const updates = entries.map(entry => entry.update)
    return { updates: end > MERGED_ABOVE ? [mergeUpdates(updates)] : updates, version: last.version, count: end }
  }
}
