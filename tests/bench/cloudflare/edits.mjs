// Edits as an editor sends them: an update for every key.
import * as Y from 'yjs'

const LETTERS = 'etaoin shrdlu '

/** Updates of one character each, one behind the other; the n-th has clock n, so that a reader knows which it received. */
export function typed (count) {
  return edited(new Y.Doc(), count, (text, n) => text.insert(n, LETTERS[n % LETTERS.length]))
}

/**
 * `{ doc, updates }`: a document and the edits that made it, the same ones each time: someone who types some words, takes
 * letters back, and goes on somewhere else.
 */
export function worked (count) {
  const doc = new Y.Doc()
  doc.clientID = 4711
  const random = randoms(4711)
  let at = 0
  const updates = edited(doc, count, (text, n) => {
    const dice = random()
    if (dice < 0.02) at = Math.floor(random() * text.length)
    if (dice > 0.9 && at > 0) text.delete(--at, 1)
    else text.insert(at++, LETTERS[n % LETTERS.length])
  })
  return { doc, updates }
}

/** Types a mark at the end of the document; gives the update. */
export function marked (doc, mark) {
  const [update] = edited(doc, 1, text => text.insert(text.length, mark))
  return update
}

function edited (doc, count, edit) {
  const updates = []
  const keep = update => updates.push(update)
  doc.on('update', keep)
  const text = doc.getText('text')
  for (let n = 0; n < count; n++) edit(text, n)
  doc.off('update', keep)
  return updates
}

/** Numbers from 0 to 1 (mulberry32). */
function randoms (seed) {
  return () => {
    seed = (seed + 0x6D2B79F5) | 0
    let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
