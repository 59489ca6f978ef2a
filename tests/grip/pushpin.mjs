// Pushpin before a host of tests/grip, or before any host on a port, each in processes of their own.
//
//   YONDER_PUSHPIN    the command that starts Pushpin, which takes the options of `cargo xtask up pushpin`
//   YONDER_GRIP_HOST  the command that starts the host: tests/grip/src
import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../interop/host.mjs'
import { until, within } from '../interop/waiting.mjs'

// What set-up installs for the scenarios of tests/interop.
const { WebSocket } = createRequire(new URL('../interop/', import.meta.url))('ws')

export const KEY = 'a key of the tests'
export const ISSUER = 'yonder-tests'

const running = new Set()
process.on('exit', () => { for (const child of running) child.kill('SIGKILL') })

/** A program that runs until `down`, and what it said. */
class Program {
  /** `command` is one of the shell's. */
  constructor (name, command, args) {
    this.name = name
    this.lines = []
    this.child = spawn('sh', ['-c', `exec ${command} "$@"`, name, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    running.add(this.child)
    let rest = ''
    const hear = chunk => {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop()
      this.lines.push(...lines)
    }
    this.child.stdout.on('data', hear)
    this.child.stderr.on('data', hear)
    this.ended = new Promise(resolve => this.child.once('close', resolve))
    this.ended.then(() => running.delete(this.child))
  }

  /** Resolves once it listens on `port`. */
  async serves (port) {
    await until(async () => {
      if (!running.has(this.child)) throw new Error(this.report)
      return await listening(port)
    }, () => `${this.name} listens on ${port}; ${this.report}`)
  }

  async down () {
    this.child.kill('SIGINT')
    await within(this.ended, () => `${this.name} ends on SIGINT; ${this.report}`)
    if (this.folder) rmSync(this.folder, { recursive: true, force: true })
  }

  get report () { return `${this.name} said: ${this.lines.slice(-20).join('\n') || 'nothing'}` }
}

/** Pushpin before the host on port `backend`, with its own control port. */
export async function pushpin (backend, control) {
  const port = await freePort()
  const command = process.env.YONDER_PUSHPIN ?? 'cargo run --quiet -p xtask -- up pushpin'
  const proxy = new Program('Pushpin', command, ['--port', port, '--control', control, '--backend', backend, '--key', KEY, '--issuer', ISSUER])
  await proxy.serves(port)
  await proxy.serves(control)
  proxy.folder = join(tmpdir(), `yonder-pushpin-${port}`)
  proxy.url = `http://127.0.0.1:${port}`
  proxy.ws = `ws://127.0.0.1:${port}`
  // Its parts find each other a moment later; what comes before that may wait for ever.
  await until(() => fetch(proxy.url, { signal: AbortSignal.timeout(1_000) }).then(({ status }) => status !== 502, () => false), 'the proxy asks its host')
  return proxy
}

/** The host of tests/grip behind a Pushpin of its own. */
export async function up (t) {
  const [backend, control] = [await freePort(), await freePort()]
  const command = process.env.YONDER_GRIP_HOST ?? 'target/debug/yonder-grip'
  const url = `http://127.0.0.1:${control}/?verify-iss=${ISSUER}&verify-key=${encodeURIComponent(KEY)}`
  const host = new Program('the host', command, [backend, url])
  t.after(() => host.down())
  await host.serves(backend)
  const proxy = await pushpin(backend, control)
  t.after(() => proxy.down())
  return { host, proxy, backend: `http://127.0.0.1:${backend}`, control: `http://127.0.0.1:${control}` }
}

/** A socket that keeps what it hears. */
export class Socket {
  static async open (t, url) {
    const socket = new this(new WebSocket(url, { perMessageDeflate: false }))
    t.after(() => socket.ws.terminate())
    await within(socket.opened, `a socket on ${url} opens`)
    return socket
  }

  constructor (ws) {
    this.ws = ws
    this.heard = []
    this.opened = new Promise((resolve, reject) => {
      ws.once('open', resolve)
      ws.once('error', reject)
    })
    this.closed = new Promise(resolve => ws.once('close', (code, reason) => resolve({ code, reason: reason.toString() })))
    ws.on('message', (data, isBinary) => this.heard.push({ data, isBinary }))
    ws.on('pong', data => this.heard.push({ pong: data.toString() }))
    ws.on('error', () => {})
  }

  say (text) { this.ws.send(Buffer.from(text)) }

  /** Resolves with the next message. */
  async next (what = 'a message') {
    await until(() => this.heard.length > 0 || this.ws.readyState > 1, what)
    if (this.heard.length === 0) throw new Error(`closed before ${what}: ${JSON.stringify(await this.closed)}`)
    return this.heard.shift()
  }
}

function listening (port) {
  return new Promise(resolve => {
    const socket = createConnection(port, '127.0.0.1')
    socket.once('connect', () => { socket.destroy(); resolve(true) })
    socket.once('error', () => resolve(false))
  })
}
