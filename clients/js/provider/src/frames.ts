// lib0 framing of the HTTP protocol: each part is preceded by its length as a varUint.

import { createDecoder, hasContent, readVarUint8Array } from 'lib0/decoding'
import { createEncoder, toUint8Array, writeVarUint8Array } from 'lib0/encoding'

export const frame = (parts: readonly Uint8Array[]): Uint8Array => {
  const encoder = createEncoder()
  for (const part of parts) writeVarUint8Array(encoder, part)
  return toUint8Array(encoder)
}

/** Throws where a length does not fit. */
export const unframe = (bytes: Uint8Array): Uint8Array[] => {
  const decoder = createDecoder(bytes)
  const parts = []
  while (hasContent(decoder)) parts.push(readVarUint8Array(decoder))
  return parts
}

/** lib0's own takes Node's `Buffer` wherever there is no window: in a worker of a browser as well, which has none. */
export const fromBase64 = (text: string): Uint8Array => {
  const letters = atob(text)
  const bytes = new Uint8Array(letters.length)
  for (let at = 0; at < bytes.length; at++) bytes[at] = letters.charCodeAt(at)
  return bytes
}
