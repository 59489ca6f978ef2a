// Server-Sent Events by fetch: EventSource could send no token in a header, and says nothing of why it failed.

import { fromBase64, unframe } from './frames.js'
import type { Hold, Part } from './parts.js'
import { RequestError } from './requests.js'

export const stream: Hold = async function * (requests, query, timing, signal) {
  const answer = await requests.open('GET', { ...query, live: 'sse' }, { signal, patience: timing.firstEvent })
  const late = new RequestError('the event stream opened, but no event came: something on the way holds it back', 0, '', 0, true)
  // The server begins with an event, so that this tells apart a quiet document and a proxy that buffers.
  const timer = setTimeout(() => answer.abort(late), timing.firstEvent)
  try {
    for await (const { event, data } of serverEvents(answer.chunks(timing.silence))) {
      clearTimeout(timer)
      if (event === 'data') yield part({ updates: unframe(fromBase64(data)) })
      if (event === 'presence') yield part({ presence: unframe(fromBase64(data)) })
      if (event === 'control') yield control(data)
    }
  } finally {
    clearTimeout(timer)
  }
}

const part = (what: Partial<Part>): Part => ({ updates: [], presence: [], ...what })

const control = (json: string): Part => {
  const { streamNextOffset, presenceOffset, streamCursor } = JSON.parse(json)
  const what = part({ offset: String(streamNextOffset) })
  if (presenceOffset !== undefined) what.presenceOffset = String(presenceOffset)
  if (streamCursor !== undefined) what.cursor = String(streamCursor)
  return what
}

/** Reads an event stream as HTML has it, as far as this protocol goes: comments, ids and retry times are skipped. */
export async function * serverEvents (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<{ event: string, data: string }> {
  const decoder = new TextDecoder()
  let rest = ''
  let event = ''
  let data: string[] = []
  for await (const chunk of chunks) {
    const text = decoder.decode(chunk, { stream: true })
    // A long line comes in many chunks. It is looked through once, at its end.
    if (!/[\r\n]/.test(text) && !rest.endsWith('\r')) {
      rest += text
      continue
    }
    const lines = (rest + text).split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) yield { event: event || 'message', data: data.join('\n') }
        event = ''
        data = []
        continue
      }
      const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line) ?? []
      if (field === 'event') event = value ?? ''
      if (field === 'data') data.push(value ?? '')
    }
  }
}
