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
