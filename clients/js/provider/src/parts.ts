// What comes on a held request, the same for both ways to hold one.

import type { Answer, Requests } from './requests.js'
import type { Timing } from './timing.js'

export interface Part {
  /** Of the document, or of presence where that was asked for. */
  updates: Uint8Array[]
  presence: Uint8Array[]
  /** Where to go on from. Absent while more of the same part is to come. */
  offset?: string
  /** The same for the presence beside a document. Absent with servers that have none there. */
  presenceOffset?: string
  /** To be echoed, for caches on the way. */
  cursor?: string
}

/** Makes one held request and gives what comes, until it ends. */
export type Hold = (requests: Requests, query: Record<string, string>, timing: Timing, signal: AbortSignal) => AsyncGenerator<Part>

/** An answer's `Stream-Next-Offset`. Throws where there is none: whoever answered does not speak the protocol. */
export const nextOffset = (answer: Answer): string => {
  const offset = answer.header('stream-next-offset')
  if (offset === '') throw new Error('what answers at this address is not a server for this protocol')
  return offset
}
