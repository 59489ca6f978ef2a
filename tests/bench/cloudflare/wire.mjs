// y-protocols as bytes, for clients that do no more than what is measured.
import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'

export const SYNC = 0
export const AWARENESS = 1
export const QUERY_AWARENESS = 3
export const ACK = 102

export const NOTHING = Uint8Array.of(0) // a state vector
export const NO_UPDATE = Uint8Array.of(0, 0)

/** A frame of varints (numbers) and length-prefixed byte arrays. */
export function frame (...parts) {
  const encoder = encoding.createEncoder()
  for (const part of parts) {
    if (typeof part === 'number') encoding.writeVarUint(encoder, part)
    else encoding.writeVarUint8Array(encoder, part)
  }
  return encoding.toUint8Array(encoder)
}

/** A frame that tells the state of one client. */
export function presence (client, clock, state) {
  const encoder = encoding.createEncoder()
  encoding.writeVarUint(encoder, 1)
  encoding.writeVarUint(encoder, client)
  encoding.writeVarUint(encoder, clock)
  encoding.writeVarString(encoder, JSON.stringify(state))
  return frame(AWARENESS, encoding.toUint8Array(encoder))
}

/** A frame's `{ type, step, payload }`: of a sync message the step and its bytes. */
export function message (bytes) {
  const decoder = decoding.createDecoder(bytes)
  const type = decoding.readVarUint(decoder)
  if (type !== SYNC) return { type }
  return { type, step: decoding.readVarUint(decoder), payload: decoding.readVarUint8Array(decoder) }
}
