// A proxy that treats its clients as a bad network does: it cuts connections, delays and so reorders requests and
// answers, delivers requests whose answers are lost, and splits what it passes on at any byte. Seeded.
import { createServer, request } from 'node:http'
import { createConnection } from 'node:net'
import { pauseFor } from './waiting.mjs'

/** Chances of what happens to a request; the rest passes. */
const FATES = [
  ['refused', 0.06], // the connection is cut, nothing is delivered
  ['unanswered', 0.08], // delivered, and the connection is cut as soon as the answer is there
  ['cut', 0.10], // the connection is cut somewhere in the answer
  ['late', 0.40] // delivered late, answered late
]
/** Milliseconds. */
const LATE = 120
/** Chance of a piece that is held up on its way, and for how many milliseconds at most. */
const [STALL, STALLED] = [0.2, 40]
/** Mean milliseconds until something long-lived is cut: a socket, an event stream, a long-poll. */
const LIFE = 1_200

/** Stands before `host`; it has the `url`, `ws` and `state` that clients want of a host. */
export class LossyProxy {
  static async up (host, seed) {
    const proxy = new this(host, seed)
    await new Promise((resolve, reject) => proxy.server.once('error', reject).listen(0, '127.0.0.1', resolve))
    proxy.url = `http://127.0.0.1:${proxy.server.address().port}`
    proxy.ws = proxy.url.replace(/^http/, 'ws') + '/ws'
    return proxy
  }

  constructor (host, seed) {
    this.host = host
    this.random = randomNumbers(seed)
    /** How often each thing happened. */
    this.counts = { requests: 0, sockets: 0, refused: 0, unanswered: 0, cut: 0, late: 0, overtaken: 0 }
    /** Bodies of POSTs that the host answered with success, whether or not the client heard of it: `{ path, body }`. */
    this.acknowledged = []
    this.calm = false
    this.sockets = new Set()
    this.server = createServer((from, to) => this.relay(from, to).catch(() => from.socket.destroy()))
    this.server.on('upgrade', (from, socket, head) => this.tunnel(from, socket, head))
    this.server.on('connection', socket => {
      this.sockets.add(socket)
      socket.on('error', () => {}).once('close', () => this.sockets.delete(socket))
    })
  }

  /** From now on everything passes; what is held stays as it is. */
  settle () { this.calm = true }

  async down () {
    this.settle()
    for (const socket of this.sockets) socket.destroy()
    await new Promise(resolve => this.server.close(resolve))
  }

  get state () {
    return `${this.host.state}; the proxy counts ${JSON.stringify(this.counts)}`
  }

  async relay (from, to) {
    const number = ++this.counts.requests
    const fate = this.fate()
    if (fate !== 'passed') this.counts[fate]++
    if (fate === 'refused') return from.socket.destroy()
    const chunks = []
    for await (const chunk of from) chunks.push(chunk)
    const body = Buffer.concat(chunks)
    if (fate === 'late') await this.pause(LATE)
    if (number < this.delivered) this.counts.overtaken++
    this.delivered = Math.max(this.delivered ?? 0, number)
    const { answer, gone } = await this.deliver(from, body)
    if (from.method === 'POST' && answer.statusCode < 300) this.acknowledged.push({ path: from.url, body: new Uint8Array(body) })
    if (fate === 'unanswered') return gone()
    if (fate === 'late') await this.pause(LATE)
    const live = from.url.includes('live=')
    const [bytes, life] = fate === 'cut' ? [this.below(live ? 600 : 60), LIFE / 4] : [Infinity, live ? LIFE : Infinity]
    const timer = this.cutAfter(life, gone)
    to.on('close', () => { clearTimeout(timer); answer.destroy() })
    to.writeHead(answer.statusCode, answer.statusMessage, passedOn(answer.rawHeaders))
    to.flushHeaders()
    await this.pass(answer, to, bytes, gone)
    clearTimeout(timer)
    if (!to.destroyed) to.end()
  }

  /** Resolves once the host's answer has begun. `gone` cuts both sides. */
  deliver (from, body) {
    return new Promise((resolve, reject) => {
      const { hostname, port } = new URL(this.host.url)
      const headers = passedOn(from.rawHeaders)
      const sent = request({ hostname, port, method: from.method, path: from.url, headers, agent: false }, answer => {
        const gone = () => { from.socket.destroy(); answer.destroy() }
        answer.on('error', gone)
        resolve({ answer, gone })
      })
      sent.on('error', reject).end(body)
    })
  }

  /** A WebSocket: bytes both ways, until it is cut. */
  tunnel (from, socket, head) {
    this.counts.sockets++
    if (this.fate() === 'refused') return socket.destroy()
    const { hostname, port } = new URL(this.host.url)
    const upstream = createConnection({ host: hostname, port, noDelay: true })
    socket.setNoDelay(true)
    const gone = () => { socket.destroy(); upstream.destroy() }
    const timer = this.cutAfter(LIFE, gone)
    for (const end of [socket, upstream]) end.on('error', gone).once('close', () => { clearTimeout(timer); gone() })
    const fields = Object.entries(from.headers).map(([name, value]) => `${name}: ${value}`)
    upstream.write([`GET ${from.url} HTTP/1.1`, ...fields, '', ''].join('\r\n'))
    if (head.length > 0) upstream.write(head)
    this.pass(socket, upstream, Infinity, gone).catch(gone)
    this.pass(upstream, socket, Infinity, gone).catch(gone)
  }

  /** Passes on what comes, in pieces, some of them late; cuts after so many bytes. */
  async pass (source, sink, bytes, gone) {
    for await (const chunk of source) {
      for (const piece of this.pieces(chunk)) {
        if (!this.calm && this.random() < STALL) await this.pause(STALLED)
        if (sink.destroyed) return
        sink.write(piece.subarray(0, bytes))
        bytes -= piece.length
        if (bytes < 0 && !this.calm) return gone()
      }
    }
  }

  pieces (chunk) {
    if (this.calm || chunk.length < 2 || this.random() < 0.5) return [chunk]
    const at = 1 + this.below(chunk.length - 1)
    return [chunk.subarray(0, at), chunk.subarray(at)]
  }

  fate () {
    let number = this.random()
    if (this.calm) return 'passed'
    for (const [fate, chance] of FATES) {
      number -= chance
      if (number < 0) return fate
    }
    return 'passed'
  }

  cutAfter (mean, gone) {
    if (mean === Infinity) return
    const ms = -mean * Math.log(1 - this.random())
    return setTimeout(() => {
      if (this.calm) return
      this.counts.cut++
      gone()
    }, ms)
  }

  pause (most) { return pauseFor(this.random() * most) }

  below (bound) { return Math.floor(this.random() * bound) }
}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function randomNumbers (seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Headers but those of one connection; each side has its own. */
function passedOn (rawHeaders) {
  const headers = {}
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at].toLowerCase()
    if (!['connection', 'keep-alive', 'transfer-encoding'].includes(name)) headers[name] = rawHeaders[at + 1]
  }
  return headers
}
