// Long-poll: each request is held until there is something, or for about 25 s.

import { unframe } from './frames.js'
import { nextOffset, type Hold, type Part } from './parts.js'

export const poll: Hold = async function * (requests, query, timing, signal) {
  const answer = await requests.send('GET', { ...query, live: 'long-poll' }, { signal, patience: timing.silence })
  // Presence, where it was asked for beside the document, is the end of the body.
  const documentLength = answer.body.length - Number(answer.header('stream-presence-length') || 0)
  const part: Part = {
    updates: unframe(answer.body.subarray(0, documentLength)),
    presence: unframe(answer.body.subarray(documentLength)),
    offset: nextOffset(answer)
  }
  const presenceOffset = answer.header('stream-presence-offset')
  const cursor = answer.header('stream-cursor')
  if (presenceOffset) part.presenceOffset = presenceOffset
  if (cursor) part.cursor = cursor
  yield part
}
