// A network between a client and a host that can fail: a TCP relay with a port of its own. A `Line` is used in a
// host's place; every client of it is hit at once, whatever it speaks.
import { connect, createServer } from 'node:net'
import { atEnd } from './ending.mjs'

export class Line {
  /** A line to `host`, closed at the end of test `t`. */
  static async to (t, host) {
    const line = new this()
    line.host = host
    line.links = new Set()
    line.server = createServer(near => line.#link(near))
    await new Promise((resolve, reject) => line.server.once('error', reject).listen(0, '127.0.0.1', resolve))
    line.port = line.server.address().port
    line.url = `http://127.0.0.1:${line.port}`
    line.ws = `ws://127.0.0.1:${line.port}/ws`
    atEnd(t, () => new Promise(resolve => { line.server.close(resolve); line.cut() }))
    return line
  }

  /** Every connection is reset, in the middle of whatever it carried; new ones are taken. */
  cut () {
    for (const { near, far } of this.links) {
      near.resetAndDestroy()
      far.resetAndDestroy()
    }
    this.links.clear()
  }

  /** Cut, and nobody gets through until `mend`. */
  break () {
    this.broken = true
    this.cut()
  }

  /** Nothing gets through any more and nobody is told: a train in a tunnel. */
  freeze () {
    this.frozen = true
    for (const { near, far } of this.links) {
      near.unpipe(far)
      far.unpipe(near)
    }
  }

  mend () {
    this.broken = false
    this.frozen = false
    this.cut() // what froze stays dead
  }

  path (doc) { return this.host.path(doc) }
  get state () { return this.host.state }

  #link (near) {
    if (this.broken) return near.resetAndDestroy()
    const { hostname, port } = new URL(this.host.url)
    const far = connect(port, hostname)
    const link = { near, far }
    this.links.add(link)
    for (const [end, other] of [[near, far], [far, near]]) {
      end.setNoDelay(true)
      end.on('error', () => {})
      end.on('close', () => {
        if (!this.frozen) other.destroy() // else the other end hears nothing, until it is cut
        if (other.destroyed) this.links.delete(link)
      })
      if (!this.frozen) end.pipe(other)
    }
  }
}
