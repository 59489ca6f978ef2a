// HTTP requests to one document: the token, waiting no longer than sense, and what an error means.

import type { Failure } from './connection.js'
import type { Context } from './context.js'

export class RequestError extends Error {
  override readonly name = 'RequestError'

  /**
   * @param status of the answer, 0 if there was none
   * @param code of the protocol's JSON error, "" if it was none: then something on the way answered, not the server
   * @param retryAfter in milliseconds
   * @param hung nothing came for too long
   */
  constructor (
    message: string,
    readonly status = 0,
    readonly code = '',
    readonly retryAfter = 0,
    readonly hung = false,
    options?: ErrorOptions
  ) {
    super(message, options)
  }

  /** Whether the same request may succeed soon. */
  get passing (): boolean {
    return this.status === 0 || this.status === 408 || this.busy || this.status >= 500
  }

  get busy (): boolean {
    return this.status === 429 || this.status === 503
  }
}

/** What an error of a request means for the connection. */
export const failureOf = (error: unknown): Failure => {
  const reason = error instanceof Error ? error.message : String(error)
  if (!(error instanceof RequestError)) return { reason, code: 0, cause: error }
  const { status, code, hung, busy, retryAfter } = error
  const failure: Failure = { reason, code: status === 0 ? 0 : 4000 + status, hung, busy, retryAfter, cause: error }
  if (code === 'DOCUMENT_NOT_FOUND') return { ...failure, refused: 'gone' }
  if (code !== '' && status === 401) return { ...failure, refused: 'token' }
  // A firewall's 403 is no word of the server, and another transport may get past it.
  return code !== '' && (status === 400 || status === 403) ? { ...failure, refused: 'other' } : failure
}

export interface RequestOptions {
  body?: Uint8Array
  signal?: AbortSignal
  /** Milliseconds until the answer must begin. */
  patience?: number
  /** Let it outlive the page. Browsers allow that for 64 KB in all. */
  keepalive?: boolean
}

export class Requests {
  constructor (private readonly context: Context) {}

  /** Sends a request. Throws a `RequestError` unless the answer is a 2xx; its body is then still to be read. */
  async open (method: string, query: Record<string, string> = {}, options: RequestOptions = {}): Promise<Answer> {
    const { context } = this
    const token = await context.token.get()
    const aborter = new AbortController()
    const { signal, body, patience = context.timing.answer, keepalive } = options
    const abort = () => aborter.abort(signal?.reason)
    if (signal?.aborted) abort()
    signal?.addEventListener('abort', abort)
    const timer = setTimeout(() => aborter.abort(new RequestError('the server does not answer', 0, '', 0, true)), patience)
    const parameters = new URLSearchParams(query).toString()
    const init: RequestInit = {
      method,
      // Nothing here is for a cache of the browser.
      cache: 'no-store',
      headers: {
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...(body ? { 'content-type': 'application/octet-stream' } : {})
      },
      signal: aborter.signal
    }
    if (body) init.body = body as Uint8Array<ArrayBuffer>
    if (keepalive) init.keepalive = true
    let answer
    try {
      const url = context.documentUrl + (parameters && `?${parameters}`)
      const { fetch } = context
      answer = new Answer(await fetch(url, init), aborter, () => signal?.removeEventListener('abort', abort))
    } catch (error) {
      signal?.removeEventListener('abort', abort)
      throw whyAborted(aborter) ?? new RequestError(messageOf(error), 0, '', 0, false, { cause: error })
    } finally {
      clearTimeout(timer)
    }
    if (!answer.ok) throw await answer.error(context.timing.answer)
    return answer
  }

  /** The same, and the whole body. */
  async send (method: string, query?: Record<string, string>, options?: RequestOptions): Promise<Answer & { body: Uint8Array }> {
    const answer = await this.open(method, query, options)
    return Object.assign(answer, { body: await answer.bytes(this.context.timing.answer) })
  }
}

/** An answer whose head is there. Its body must be read, or the answer aborted. */
export class Answer {
  constructor (
    private readonly response: Response,
    private readonly aborter: AbortController,
    private readonly ended: () => void
  ) {}

  get ok (): boolean {
    return this.response.ok
  }

  /** "" where there is none. */
  header (name: string): string {
    return this.response.headers.get(name) ?? ''
  }

  abort (reason: unknown): void {
    this.aborter.abort(reason)
  }

  /** The body as it comes in; an error if nothing comes for `silence` milliseconds. */
  async * chunks (silence: number): AsyncGenerator<Uint8Array> {
    const reader = this.response.body?.getReader()
    let timer: ReturnType<typeof setTimeout> | undefined
    try {
      for (;;) {
        timer = setTimeout(() => this.abort(new RequestError('the answer stopped coming', 0, '', 0, true)), silence)
        if (!reader) {
          // Without streams there is the whole at the end.
          yield new Uint8Array(await this.response.arrayBuffer())
          return
        }
        const { done, value } = await reader.read()
        clearTimeout(timer)
        if (done) return
        yield value
      }
    } catch (error) {
      throw whyAborted(this.aborter) ?? new RequestError(messageOf(error), 0, '', 0, false, { cause: error })
    } finally {
      clearTimeout(timer)
      this.ended()
      reader?.cancel().catch(() => {})
    }
  }

  async bytes (silence: number): Promise<Uint8Array> {
    const chunks = []
    for await (const chunk of this.chunks(silence)) chunks.push(chunk)
    if (chunks.length === 1) return chunks[0] as Uint8Array
    const all = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.length, 0))
    let at = 0
    for (const chunk of chunks) {
      all.set(chunk, at)
      at += chunk.length
    }
    return all
  }

  async error (silence: number): Promise<RequestError> {
    const { status } = this.response
    let [code, message] = ['', `the server answered with status ${status}`]
    try {
      const { error } = JSON.parse(new TextDecoder().decode(await this.bytes(silence)))
      if (typeof error.code === 'string') [code, message] = [error.code, String(error.message ?? message)]
    } catch {
      // No JSON: it is not the server that speaks here.
    }
    return new RequestError(message, status, code, milliseconds(this.header('retry-after')))
  }
}

/** Of `Retry-After`: seconds or a date; 0 for anything else. */
const milliseconds = (retryAfter: string): number => {
  const wait = /^\d+$/.test(retryAfter) ? Number(retryAfter) * 1000 : Date.parse(retryAfter) - Date.now()
  return wait > 0 ? wait : 0
}

const whyAborted = ({ signal }: AbortController): unknown => signal.aborted ? signal.reason : undefined

const messageOf = (error: unknown): string => error instanceof Error ? error.message : String(error)
