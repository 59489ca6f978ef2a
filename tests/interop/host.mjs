// A host under test: a command that serves yonder, about which the scenarios know a URL and nothing else.
//
//   YONDER_UP       command template; {port} and {data} are replaced: `yonder serve --listen 127.0.0.1:{port} --data {data}`.
//                   It must print `ready URL` on a line of its own once it serves.
//   YONDER_UP_AUTH  the same with token keys: {keys} is replaced by them, `KID:SECRET`, one a line.
//                   Unset: YONDER_UP with `--auth-key KID:SECRET` appended for each key.
//   YONDER_SKIP     comma-separated names of `CAPABILITIES` that this host openly lacks; their scenarios show as skipped.
//                   Whatever is not declared here runs, and fails if it is missing.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until, within } from './waiting.mjs'

export const CAPABILITIES = {
  auth: 'tokens are checked when keys are given',
  expiry: 'a connection ends when its token expires',
  kill: 'the process can be killed and started again on its data',
  metrics: 'GET /metrics answers in Prometheus text',
  restart: 'the process ends on SIGINT with 0 and can be started again on its data',
  'slow-reader': 'a reader that stops reading is closed',
  ack: 'message 102 is echoed',
  streams: 'documents are served over HTTP at /v1/yjs',
  sweet: "y-sweet's HTTP API is served",
  http2: 'HTTP/2 with prior knowledge is spoken',
  options: 'the command takes the options of `yonder serve` at its end',
  page: 'GET / is a page to try it with',
  flush: 'what was received is stored when the process ends on SIGINT, also if nobody was told so',
  'hang-up': 'the connection of a socket that the server has closed is ended by the server, also if the client never sent anything',
  leaving: 'a held request whose client has left is noticed at once, not only when something is written to it',
  listing: 'the list of documents knows their sizes at once',
  light: 'it starts in a moment: a dozen at once are no load',
  'document-limit': '--max-documents bounds how many documents are open',
  'full-disk': 'a write beyond `ulimit -f` is an error of the store, and not the end of the process',
  damage: 'documents lie in files of the data folder itself',
  'raw-paths': 'paths reach it as they came: of kilobytes, and with percent-encodings that are none',
  'dot-segments': "'.' and '..' in a path reach it, and are not resolved before",
  'large-frames': 'WebSocket frames of a megabyte come and go',
  'start-check': 'it does not start with settings that are wrong',
  'slow-heads': 'who does not send all of a request is closed after a while',
  'one-creator': 'of those who make a document at the same time one is told that it did',
  'foreign-places': 'an offset that the document never had is known to be none',
  sockets: 'WebSockets are held, by the host or by a proxy in front of it',
  'one-owner': 'one process owns a document, knows at once what happens to it, and forgets who is present when it ends',
  direct: 'clients reach it without a proxy, which answers some of hundreds of requests at once with 502, and some that come while it starts never',
  'unread-bodies': 'a body that is too long is refused before it has come',
  'held-limit': 'one process holds the reads of a document, and bounds how many',
  'long-streams': 'an event stream goes on for longer than 30 s unless told otherwise',
  'each-update': 'who follows a document is told each update by itself and once, and not of a snapshot that holds it',
  'one-offset': 'all who have the same have the same offset, whether they read or wrote it'
}

const declared = (process.env.YONDER_SKIP ?? '').split(',').map(name => name.trim()).filter(Boolean)
for (const name of declared) {
  if (!(name in CAPABILITIES)) throw new Error(`YONDER_SKIP names ${name}; known: ${Object.keys(CAPABILITIES).join(', ')}`)
}

/** Does the host openly lack this? For scenarios that are to wait longer for it there; whoever needs it says `needs`. */
export function lacks (name) {
  if (!(name in CAPABILITIES)) throw new Error(`no such capability: ${name}`)
  return declared.includes(name)
}

/** Options for node:test: skipped, with the reason shown, only where YONDER_SKIP declares one of these capabilities. */
export function needs (...names) {
  const lacking = names.filter(lacks)
  return lacking.length === 0 ? {} : { skip: `declared in YONDER_SKIP: ${lacking.join(', ')}` }
}

/** Options that let held requests end early, so that a scenario of a few seconds sees clients go on after that. */
export const SHORT_DEADLINES = declared.includes('options') ? [] : ['--sse-seconds', '5', '--long-poll-seconds', '2']

const running = new Set()
const folders = new Set()
process.on('exit', () => {
  for (const host of running) host.signal('SIGKILL')
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

export class Host {
  /**
   * Starts a host on a free port and an empty data folder. `keys`: `KID:SECRET` or `SECRET` each; `options`: words
   * appended to the command (capability `options`); `limit`: words put before it, such as a shell's `ulimit`.
   */
  static async up ({ keys = [], options = [], limit = '', template } = {}) {
    const host = new this()
    Object.assign(host, { template, keys, options, limit })
    host.port = await freePort()
    host.data = mkdtempSync(join(tmpdir(), 'yonder-interop-'))
    folders.add(host.data)
    await host.start()
    return host
  }

  /** Starts it (again) on the same port and data; `keys`, `options` and `limit` may differ from last time. */
  async start ({ keys = this.keys, options = this.options, limit = this.limit } = {}) {
    Object.assign(this, { keys, options, limit })
    this.output = ''
    this.announced = undefined
    if (this.isAway) {
      this.isAway = false
      this.child.kill('SIGUSR2')
      await until(() => this.announced, () => `the host is back; so far:\n${this.output}`, 60_000)
      return
    }
    const child = spawn('sh', ['-c', `${limit} exec ${this.command()}`], { detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    this.child = child
    running.add(this)
    this.exit = new Promise(resolve => child.once('exit', (code, signal) => {
      running.delete(this)
      resolve({ code, signal })
    }))
    const closed = new Promise(resolve => child.once('close', resolve))
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', chunk => {
        this.output += chunk
        // Before it is cut off: a proxy may say a lot at once.
        this.announced ??= /^ready (http:\/\/\S+)$/m.exec(this.output)?.[1]
        this.output = this.output.slice(-20_000)
      })
    }
    this.url = await until(async () => {
      if (!running.has(this)) {
        // Its last words may come after its end; and processes that it left may hold the pipes for ever.
        await Promise.race([closed, new Promise(resolve => setTimeout(resolve, 1_000))])
        throw new Error(`the host ended before it was ready:\n${this.output}`)
      }
      return this.serving()
    }, () => `the host prints its ready line; so far:\n${this.output}`, 60_000)
    this.ws = this.url.replace(/^http/, 'ws') + '/ws'
  }

  /** The URL once it serves, else nothing. */
  serving () {
    return this.announced
  }

  /** SIGINT to its process group; it must end with 0. */
  async stop () {
    this.signal('SIGINT')
    const { code, signal } = await within(this.exit, () => `the host ends on SIGINT; it said:\n${this.output}`)
    if (code !== 0) throw new Error(`the host ended with ${code ?? signal} on SIGINT:\n${this.output}`)
  }

  /** SIGKILL to its process group: a power cut as far as the process can tell. */
  async kill () {
    this.signal('SIGKILL')
    await within(this.exit, 'the host is gone after SIGKILL')
  }

  /**
   * It ends until `start()`, by `stop` or by `kill`, and its clients live on. A proxy in front of it goes on as well:
   * what one that is just starting takes from them may never be answered. Behind that it is always killed.
   */
  async away (end) {
    if (!lacks('direct')) return this[end]()
    this.child.kill('SIGUSR2')
    await until(() => /^away$/m.test(this.output), () => `the host ends; so far:\n${this.output}`)
    this.isAway = true
  }

  /** For the end of a file: stops it if it runs, and removes its data. */
  async down () {
    try {
      if (running.has(this)) await this.stop()
    } finally {
      if (running.has(this)) await this.kill()
      rmSync(this.data, { recursive: true, force: true })
      folders.delete(this.data)
    }
  }

  /** True once GET /ready answers 200. */
  ready () {
    return fetch(this.url + '/ready').then(answer => answer.status === 200, () => false)
  }

  /** Fails with the host's last words unless the process still runs and answers. */
  async assertHealthy () {
    if (!running.has(this)) throw new Error(this.state)
    await until(() => this.ready(), () => `/ready answers 200; ${this.state}`)
  }

  /** For messages: whether it runs, and its last words if not. */
  get state () {
    return running.has(this) ? 'the host runs' : `the host is gone:\n${this.output}`
  }

  /** Path of a document on a socket, each segment percent-encoded. */
  path (doc) {
    return '/ws/' + encoded(doc)
  }

  signal (signal) {
    // A program that it started may have put its own into groups of their own (Pushpin does): they end with it, but not when
    // it is killed. They are in front of the others, and would say that these are gone.
    if (signal === 'SIGKILL') for (const pid of outside(this.child.pid)) send(pid, signal)
    send(-this.child.pid, signal)
  }

  command () {
    let template = this.template ?? process.env.YONDER_UP
    if (!template) throw new Error('YONDER_UP must hold the command that starts the host; see host.mjs')
    if (this.keys.length > 0) {
      template = process.env.YONDER_UP_AUTH ?? template + this.keys.map(key => ` --auth-key ${quoted(key)}`).join('')
    }
    template += this.options.map(word => ' ' + quoted(word)).join('')
    return template.replaceAll('{port}', this.port).replaceAll('{data}', quoted(this.data))
      .replaceAll('{keys}', quoted(this.keys.join('\n')))
  }
}

function send (pid, signal) {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (error.code !== 'ESRCH') throw error
  }
}

/** The processes of a session that are not in its leader's group, where the system tells. */
function outside (leader) {
  const pids = existsSync('/proc/self/stat') ? readdirSync('/proc').filter(name => /^[0-9]+$/.test(name)) : []
  return pids.map(Number).filter(pid => {
    try {
      // The name, in parentheses, may be anything.
      const [, , group, session] = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ')
      return Number(session) === leader && Number(group) !== leader
    } catch {
      return false // it has ended meanwhile
    }
  })
}

/** A document's name as a path: slashes stay, everything else is percent-encoded. */
export const encoded = doc => doc.split('/').map(encodeURIComponent).join('/')

const quoted = text => `'${text.replaceAll("'", "'\\''")}'`

export function freePort () {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}
