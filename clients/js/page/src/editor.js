// The text: CodeMirror bound to a Y.Text, with Markdown made visible but never hidden. Its looks are in style.css.

import { defaultKeymap } from '@codemirror/commands'
import { deleteMarkupBackward, insertNewlineContinueMarkup, markdownLanguage } from '@codemirror/lang-markdown'
import { syntaxHighlighting } from '@codemirror/language'
import { Compartment, EditorState } from '@codemirror/state'
import { EditorView, keymap, placeholder } from '@codemirror/view'
import { tagHighlighter, tags } from '@lezer/highlight'
import { yCollab, yUndoManagerKeymap } from 'y-codemirror.next'
import { remoteCursors, selectionOf } from './cursors.js'

/** @param {HTMLElement} parent @param {import('./session.js').Session} session */
export const openEditor = (parent, { name, text, awareness, undoManager }) => {
  const mode = new Compartment()
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: text.toString(),
      extensions: [
        // A text's offsets must be the editor's. Without this, CodeMirror would count another client's "\r\n" as one.
        EditorState.lineSeparator.of('\n'),
        EditorView.clipboardInputFilter.of(pasted => pasted.replace(/\r\n?/g, '\n')),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({
          'aria-label': `Text of ${name}`,
          autocapitalize: 'sentences',
          autocorrect: 'on',
          spellcheck: 'true'
        }),
        keymap.of([
          ...yUndoManagerKeymap,
          { key: 'Enter', run: insertNewlineContinueMarkup },
          { key: 'Backspace', run: deleteMarkupBackward },
          ...defaultKeymap
        ]),
        markdownLanguage,
        syntaxHighlighting(markdownClasses),
        mode.of(modeOf(false, '')),
        // yCollab's own cursors trust other clients' colours in CSS and keep an old name after a change of name.
        yCollab(text, null, { undoManager }),
        remoteCursors(text, awareness)
      ]
    })
  })
  let shown = ''
  return {
    view,

    /** @param {boolean} readOnly @param {string} hint what an empty document says */
    setMode (readOnly, hint) {
      // A state may change while the editor is at work, and the editor may then not be told; its mode stays the same.
      if (shown === `${readOnly} ${hint}`) return
      shown = `${readOnly} ${hint}`
      view.dispatch({ effects: mode.reconfigure(modeOf(readOnly, hint)) })
    },

    /** Scrolls to where a client writes. @param {number} clientId */
    reveal (clientId) {
      const selection = selectionOf(text, awareness.getStates().get(clientId))
      if (selection === null) return
      view.dispatch({ effects: EditorView.scrollIntoView(Math.min(selection.head, view.state.doc.length), { y: 'center' }) })
    }
  }
}

const modeOf = (/** @type {boolean} */ readOnly, /** @type {string} */ hint) => [
  EditorState.readOnly.of(readOnly),
  // On a phone, a text that cannot be changed should not call up the keyboard.
  readOnly ? EditorView.contentAttributes.of({ inputmode: 'none' }) : [],
  placeholder(hint)
]

const markdownClasses = tagHighlighter([
  { tag: tags.heading1, class: 'md-h1' },
  { tag: tags.heading2, class: 'md-h2' },
  { tag: [tags.heading3, tags.heading4, tags.heading5, tags.heading6], class: 'md-h3' },
  { tag: tags.strong, class: 'md-strong' },
  { tag: tags.emphasis, class: 'md-emphasis' },
  { tag: tags.strikethrough, class: 'md-struck' },
  { tag: tags.monospace, class: 'md-code' },
  { tag: tags.quote, class: 'md-quote' },
  { tag: [tags.link, tags.url], class: 'md-link' },
  { tag: [tags.processingInstruction, tags.contentSeparator, tags.labelName, tags.atom], class: 'md-mark' }
])
