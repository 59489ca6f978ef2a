// A document on one worker, made edit by edit, with two clients that have all of it: one that writes, one that reads.
import * as Y from 'yjs'
import { Client, pause } from './client.mjs'
import { marked, worked } from './edits.mjs'
import { frame, presence, SYNC } from './wire.mjs'

export const DOC = 'document'
const MARGIN = 600 // milliseconds until what is due is stored, besides the worker's own delay
const WRITER = 4712 // of the awareness

export class Room {
  /** Sends the edits one by one, to an object that stays awake. */
  static async filled (workerd, edits) {
    const room = new this()
    const { doc, updates } = worked(edits)
    Object.assign(room, { workerd, doc, marks: 0, key: workerd.server.key })
    const writer = await Client.join(workerd.socket(DOC))
    for (const update of updates) {
      writer.send(frame(SYNC, 2, update))
      if (writer.socket.bufferedAmount > 100_000) await pause(5)
    }
    await room.enter() // joining is answered behind the last edit
    await room.hears(room.edit())
    await writer.leave()
    return room
  }

  /** Both clients join. */
  async enter () {
    this.writer = await Client.join(this.workerd.socket(DOC), this.doc)
    await this.enterReader()
  }

  async enterReader () {
    this.reader = await Client.join(this.workerd.socket(DOC), this.doc)
  }

  /** Ends the object's instance; both clients stay connected, and do not notice. */
  async hibernate () {
    await this.workerd.hibernate(DOC)
    if (this.writer.close) throw new Error(`${this.workerd.server.name}: a socket did not outlive its object`)
  }

  /** Seconds until a newcomer has the whole document. */
  async join () {
    const began = performance.now()
    const client = await Client.join(this.workerd.socket(DOC))
    const { update, time } = await client.synced
    const copy = new Y.Doc()
    Y.applyUpdate(copy, update)
    const [theirs, ours] = [copy, this.doc].map(doc => doc.getText('text').toString())
    if (theirs !== ours) throw new Error(`${this.workerd.server.name} gave ${theirs.length} characters of ${ours.length}`)
    await client.leave()
    return (time - began) / 1e3
  }

  /** Makes an edit; gives `{ bytes, update, mark }`: its frame, the update in it, and the text in that. */
  edit () {
    const mark = this.mark()
    const update = marked(this.doc, mark)
    return { bytes: frame(SYNC, 2, update), update, mark }
  }

  /** Moves the writer's cursor. */
  cursor () {
    const mark = this.mark()
    return { bytes: presence(WRITER, this.marks, { mark }), mark }
  }

  mark () { return `<${(this.marks += 1)}>` }

  /** Sends it; gives the seconds until the reader has it. */
  async hears ({ bytes, mark }) {
    const heard = this.reader.hears(mark)
    const began = performance.now()
    this.writer.send(bytes)
    const time = await heard
    if (time === null) throw new Error(`${this.workerd.server.name}: a frame did not arrive (${this.writer.close}, ${this.reader.close})`)
    return (time - began) / 1e3
  }
}

/** Resolves once all of these have stored what they were sent. */
export function stored (rooms) {
  return pause(Math.max(...rooms.map(({ workerd }) => workerd.server.saveMs)) + MARGIN)
}
