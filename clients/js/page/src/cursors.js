// Where everyone is in the text. Our own selection goes into the awareness state in the form that y-codemirror.next
// uses, so its clients and ours see each other; theirs are drawn with their names.

import { Annotation } from '@codemirror/state'
import { Decoration, EditorView, ViewPlugin, WidgetType } from '@codemirror/view'
import * as Y from 'yjs'
import { inkOn, personOf } from './person.js'

/** @typedef {import('y-protocols/awareness').Awareness} Awareness */

/** @param {Y.Text} text @param {Awareness} awareness */
export const remoteCursors = (text, awareness) => ViewPlugin.define(
  view => new Cursors(view, text, awareness),
  { decorations: cursors => cursors.decorations }
)

/**
 * The offset of a client's cursor in the text, or null where it has none.
 *
 * @param {Y.Text} text
 * @param {any} state
 * @returns {{ anchor: number, head: number } | null}
 */
export const selectionOf = (text, state) => {
  try {
    const [anchor, head] = [state.cursor.anchor, state.cursor.head].map(json =>
      Y.createAbsolutePositionFromRelativePosition(Y.createRelativePositionFromJSON(json), /** @type {Y.Doc} */ (text.doc)))
    if (anchor?.type !== text || head?.type !== text) return null
    return { anchor: anchor.index, head: head.index }
  } catch {
    // Another client's words: no cursor at all, or one that is not in this form.
    return null
  }
}

const awarenessChanged = Annotation.define()

class Cursors {
  /** @param {EditorView} view @param {Y.Text} text @param {Awareness} awareness */
  constructor (view, text, awareness) {
    this.view = view
    this.text = text
    this.awareness = awareness
    this.decorations = this.draw(view.state.doc.length)
    this.changed = (/** @type {Record<string, number[]>} */ { added, updated, removed }) => {
      const others = [...added, ...updated, ...removed].some(id => id !== awareness.clientID)
      if (others) view.dispatch({ annotations: awarenessChanged.of(true) })
    }
    awareness.on('change', this.changed)
  }

  destroy () {
    this.awareness.off('change', this.changed)
  }

  /** @param {import('@codemirror/view').ViewUpdate} update */
  update (update) {
    if (update.selectionSet || update.docChanged || update.focusChanged) this.tell(update.state.selection.main)
    const changed = update.transactions.some(transaction => transaction.annotation(awarenessChanged))
    if (changed || update.docChanged) this.decorations = this.draw(update.state.doc.length)
    if (changed || update.docChanged || update.geometryChanged) this.keepLabelsInside()
  }

  /** Puts our selection where the others see it. @param {import('@codemirror/state').SelectionRange} selection */
  tell ({ anchor, head }) {
    const state = this.awareness.getLocalState()
    if (state === null || !this.view.hasFocus) return
    const cursor = {
      anchor: Y.createRelativePositionFromTypeIndex(this.text, anchor),
      head: Y.createRelativePositionFromTypeIndex(this.text, head)
    }
    const same = state.cursor != null &&
      Y.compareRelativePositions(state.cursor.anchor, cursor.anchor) &&
      Y.compareRelativePositions(state.cursor.head, cursor.head)
    if (!same) this.awareness.setLocalStateField('cursor', cursor)
  }

  /** @param {number} length of the text that is shown */
  draw (length) {
    const ranges = []
    for (const [id, state] of this.awareness.getStates()) {
      const selection = id === this.awareness.clientID ? null : selectionOf(this.text, state)
      if (selection === null) continue
      const [anchor, head] = [selection.anchor, selection.head].map(offset => Math.min(offset, length))
      const person = personOf(state, id)
      if (anchor !== head) {
        ranges.push(Decoration.mark({ class: 'selection', attributes: { style: `--person: ${person.color}` } })
          .range(Math.min(anchor, head), Math.max(anchor, head)))
      }
      // The clock grows with every sign of life, but a caret is only drawn anew, with its name, when it moved.
      const at = JSON.stringify(state.cursor)
      ranges.push(Decoration.widget({ widget: new Caret(id, person, at), side: head > anchor ? -1 : 1 }).range(head))
    }
    return Decoration.set(ranges, true)
  }

  /** A name that would run over the right edge hangs to the left of its caret. */
  keepLabelsInside () {
    this.view.requestMeasure({
      key: this,
      read: view => {
        const right = view.scrollDOM.getBoundingClientRect().right - 8
        return [...view.contentDOM.querySelectorAll('.caret')].map(caret => ({
          caret,
          over: caret.getBoundingClientRect().left + caret.children[0].clientWidth > right
        }))
      },
      write: carets => {
        for (const { caret, over } of carets) caret.classList.toggle('caret-left', over)
      }
    })
  }
}

class Caret extends WidgetType {
  /** @param {number} id @param {import('./person.js').Person} person @param {string} at */
  constructor (id, person, at) {
    super()
    this.id = id
    this.person = person
    this.at = at
  }

  /** @param {Caret} other */
  eq (other) {
    return other.id === this.id && other.at === this.at &&
      other.person.name === this.person.name && other.person.color === this.person.color
  }

  toDOM () {
    const name = document.createElement('span')
    name.className = 'caret-name'
    name.textContent = this.person.name
    const caret = document.createElement('span')
    caret.className = 'caret'
    // Who is here stands in the header; in the text a screen reader should hear the text.
    caret.ariaHidden = 'true'
    caret.style.setProperty('--person', this.person.color)
    caret.style.setProperty('--ink', inkOn(this.person.color))
    caret.append(name)
    return caret
  }

  get estimatedHeight () {
    return -1
  }

  ignoreEvent () {
    return true
  }
}
