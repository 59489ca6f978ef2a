// Why something failed: a word that is counted, and a sentence. The words are those of `yonder latency`.

export class Failure extends Error {
  /** @param {string} kind @param {string} message without credentials */
  constructor (kind, message) {
    super(message)
    this.kind = kind
  }

  get problem () {
    return { kind: this.kind, message: this.message }
  }
}

/** What an answer says that is no 2xx. @param {Response} answer */
export const failureOfAnswer = async answer => {
  const { status } = answer
  const text = await answer.text().catch(() => '')
  return failureOfStatus(status, messageIn(text))
}

/** @param {number} status @param {string} said what the server said, or "" */
export const failureOfStatus = (status, said) =>
  new Failure(KINDS[status] ?? `http-${status}`, said === '' ? `it answered ${status}` : `${status}: ${said}`)

/** Whatever was thrown on the way. @param {unknown} error @returns {Failure} */
export const failureOf = error => {
  if (error instanceof Failure) return error
  return new Failure('protocol', error instanceof Error ? error.message : String(error))
}

/** What `fetch`, or the body of its answer, rejects with. @param {Error} error */
export const failureOfNetwork = ({ name }) => name === 'TimeoutError'
  ? new Failure('timeout', 'nothing came in time')
  : new Failure('closed', 'the connection failed; browsers do not say why')

/** What a close of a WebSocket says; 44xx mirrors HTTP's 4xx. @param {CloseEvent} event @param {boolean} opened */
export const failureOfClose = ({ code, reason }, opened) => {
  if (code >= 4400 && code < 4600) return failureOfStatus(code - 4000, reason)
  if (!opened) return new Failure('no-websockets', 'no WebSocket opens; browsers do not say why')
  return new Failure('closed', `the WebSocket was closed (code ${code}${reason && `: ${reason}`})`)
}

/** Whether nothing of what was to be sent can have been taken. @param {Failure} failure */
export const wasRefused = ({ kind }) => /^(unauthorized|forbidden|no-websockets|http-4..)$/.test(kind)

/** Of an error of yonder's, as far as anybody reads it. @param {string} text */
export const messageIn = text => {
  try {
    return String(JSON.parse(text).error.message).slice(0, 400)
  } catch {
    return ''
  }
}

/** @type {Record<number, string>} */
const KINDS = { 401: 'unauthorized', 403: 'forbidden' }
