// The component in the test host, without a proxy in front of it.
//
//   YONDER_SPIN   command that runs the component, to which the host's words are appended: `yonder-spin-host COMPONENT`
//   REDIS_SERVER  the `redis-server` that a store can be kept in
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atEnd } from '../../interop/ending.mjs'
import { freePort, Host } from '../../interop/host.mjs'
import { ask } from '../../interop/request.mjs'
import { until } from '../../interop/waiting.mjs'

/** How the host gives requests to instances. */
export const INSTANCES = {
  'instances of 16 requests at a time': [],
  'instances of 2 requests at a time': ['--max-instance-concurrent-reuse-count', '2'],
  'an instance for each request': ['--max-instance-reuse-count', '1']
}

/** The words that set the component's variables, `{ NAME: VALUE }`. */
export const variables = values => Object.entries(values).map(([name, value]) => `--variable=yonder_${name}=${value}`)

export class Spin extends Host {
  /**
   * Starts it, until the end of test `t`, which must leave no violation. `redis`: where documents are kept instead of
   * SQLite; `vars`: the component's variables; `words`: the host's; `up`: a command as in YONDER_SPIN.
   */
  static async up (t, { redis, vars = {}, words = [], up } = {}) {
    const host = await super.up({ template: template(redis, up), options: [...variables(vars), ...words].map(String) })
    atEnd(t, async () => {
      const violations = host.violations
      await host.down()
      assert.deepEqual(violations, [])
    })
    return host
  }

  /** What the component did that fails or harms elsewhere, in all runs on these data. */
  get violations () {
    return existsSync(join(this.data, 'violations')) ? readFileSync(join(this.data, 'violations'), 'utf8').split('\n').filter(Boolean) : []
  }

  /** The URL once it serves, else nothing. */
  serving () {
    // What it says first is not kept.
    this.admin = { url: /^admin (\S+)$/m.exec(this.output)?.[1] }
    return super.serving()
  }

  /** The host's figures, since it was started: see its README. */
  async metrics () {
    return (await ask(this.admin, 'GET', '/.host/metrics')).json
  }

  /** What `act` adds to the host's figures; its own answer is `given`. */
  async costs (act) {
    const before = await this.metrics()
    const given = await act()
    const after = await this.metrics()
    return { ...Object.fromEntries(Object.entries(after).map(([name, value]) => [name, value - before[name]])), given }
  }

  /** Resolves once no request is under way and no instance lives: the next one knows nothing. */
  untilGone (ms) {
    return until(async () => { const { running, alive } = await this.metrics(); return running + alive === 0 }, 'no instance lives', ms)
  }

  /** Bytes of memory that the process has. */
  get memory () {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.child.pid}/status`, 'utf8'))[1]) * 1024
  }
}

/** Operations on the store, of figures. */
export const operations = ({ gets, sets, deletes, exists, increments, list_keys: lists }) => gets + sets + deletes + exists + increments + lists

/** The command as tests/interop takes it. */
export function template (redis, up = process.env.YONDER_SPIN) {
  if (!up) throw new Error('YONDER_SPIN must hold the command that runs the component; see spin.mjs')
  const store = redis ? `--redis ${redis.url}` : '--sqlite {data}/store.db'
  // Open, unless a later word says otherwise.
  return `${up} --listen 127.0.0.1:{port} --admin 127.0.0.1:0 --violations {data}/violations ${store} --variable=yonder_insecure_open=loopback`
}

export class Redis {
  /** A Redis that keeps nothing on a disk, until the end of test `t`. */
  static async up (t) {
    const redis = new this()
    redis.port = await freePort()
    redis.url = `redis://127.0.0.1:${redis.port}/0`
    const folder = mkdtempSync(join(tmpdir(), 'yonder-redis-'))
    const words = ['--port', redis.port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder]
    const child = spawn(process.env.REDIS_SERVER ?? 'redis-server', words, { stdio: 'ignore' })
    const gone = new Promise(resolve => child.once('exit', resolve).once('error', error => { redis.error = error; resolve() }))
    process.once('exit', () => child.kill('SIGKILL'))
    atEnd(t, async () => { child.kill('SIGKILL'); await gone; rmSync(folder, { recursive: true, force: true }) })
    await until(() => { if (redis.error) throw redis.error; return redis.ask('PING').then(answer => answer === '+PONG', () => false) }, 'Redis answers')
    return redis
  }

  /** The line that a command of one line is answered with. */
  ask (line) {
    return new Promise((resolve, reject) => {
      const socket = connect(this.port, '127.0.0.1', () => socket.write(line + '\r\n'))
      socket.once('data', bytes => { socket.destroy(); resolve(bytes.toString().split('\r\n')[0]) })
      socket.once('error', reject).once('close', () => reject(new Error('Redis hung up')))
    })
  }

  /** How many keys there are. */
  async size () {
    return Number((await this.ask('DBSIZE')).slice(1))
  }
}
