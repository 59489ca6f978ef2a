// HTTP/2: many requests on one connection. What is held here has the shape of request.mjs's `Held`.
import { connect } from 'node:http2'
import { atEnd } from './ending.mjs'
import { answerOf, Events } from './request.mjs'
import { within } from './waiting.mjs'

/** Opens a connection to `url`: with TLS, or without by prior knowledge. Closed at the end of test `t`. */
export async function dialH2 (t, url, options) {
  const connection = new Connection(url, options)
  atEnd(t, () => connection.session.destroy())
  await within(connection.settled, `an HTTP/2 connection to ${url} opens`)
  return connection
}

class Connection {
  constructor (url, options) {
    this.session = connect(url, options)
    this.session.setMaxListeners(0) // one for each stream
    this.settled = new Promise((resolve, reject) => {
      this.session.once('remoteSettings', resolve) // the server speaks HTTP/2
      this.session.once('error', reject)
      this.session.once('close', () => reject(new Error('the connection was closed')))
    })
    this.settled.catch(() => {})
    this.session.on('error', error => { this.error = error })
    this.session.on('goaway', code => { this.goaway = code })
  }

  /** A request whose answer may take its time. */
  hold (path, options) {
    return new HeldStream(this.session, path, options)
  }

  /** One request, answered: `{ status, headers, bytes, text, json }`. */
  async ask (method, path, options) {
    const held = this.hold(path, { ...options, method })
    await within(held.ended, `${method} ${path} is answered over HTTP/2`)
    return held.answer
  }

  /** A stream of Server-Sent Events, once its headers have come. */
  async listen (path, options) {
    const held = this.hold(path, options)
    await within(held.opened, `${path} is answered with headers over HTTP/2`)
    return new Events(held)
  }

  /** Resolves once a PING has come back: what the server was sent before, it has read. */
  ping () {
    return within(new Promise((resolve, reject) => this.session.ping(error => error ? reject(error) : resolve())), 'a PING is answered')
  }
}

class HeldStream {
  constructor (session, path, { method = 'GET', query, headers = {}, body } = {}) {
    const search = query === undefined ? '' : (path.includes('?') ? '&' : '?') + new URLSearchParams(query)
    this.chunks = []
    this.stream = session.request({ ':method': method, ':path': path + search, ...headers }, { endStream: body === undefined })
    this.opened = new Promise((resolve, reject) => {
      this.stream.once('response', headers => {
        this.status = headers[':status']
        this.headers = headers
        resolve(this)
      })
      this.stream.once('error', reject)
      this.stream.once('close', () => reject(new Error(`stream closed with ${this.stream.rstCode}`)))
    })
    this.ended = new Promise((resolve, reject) => {
      this.stream.on('data', chunk => this.chunks.push(chunk))
      this.stream.once('end', () => { this.over = true; resolve(this.answer) })
      this.stream.once('error', error => { this.error = error; reject(error) })
      this.stream.once('close', () => reject(new Error(`stream closed with ${this.stream.rstCode}`)))
    })
    for (const promise of [this.opened, this.ended]) promise.catch(() => {}) // whoever waits for it hears of it
    if (body !== undefined) this.stream.end(body)
  }

  get answer () {
    return answerOf(this)
  }

  /** RST_STREAM: the connection goes on. */
  abort (code = 8 /* CANCEL */) {
    this.stream.close(code)
  }
}
