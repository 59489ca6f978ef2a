// A host of tests/interop on workerd, of which a test can end objects.
import { fileURLToPath } from 'node:url'
import { atEnd } from '../interop/ending.mjs'
import { freePort, Host } from '../interop/host.mjs'
import { ask } from '../interop/request.mjs'

const SERVE = fileURLToPath(new URL('serve.mjs', import.meta.url))

export class Workerd extends Host {
  /**
   * Starts one, until the end of test `t`. `options`: as of `yonder serve`; `worker`: miniflare's, for the Worker;
   * `probe`: whether the Worker runs in probe.js.
   */
  static async up (t, { worker = {}, probe = false, options = [] } = {}) {
    const control = await freePort()
    const words = ['--port', '{port}', '--data', '{data}', '--control', control, '--settings', quoted(JSON.stringify({ worker, probe }))]
    const host = await super.up({ template: [quoted(process.execPath), quoted(SERVE), ...words].join(' '), options })
    host.control = { url: `http://127.0.0.1:${control}` }
    if (t) atEnd(t, () => host.down())
    return host
  }

  /** What serve.mjs can be asked. */
  async call (name, args = {}) {
    const { json: { value, error } } = await ask(this.control, 'POST', '/' + name, { body: args, ms: 60_000 })
    if (error) throw new Error(`${name}: ${error}`)
    return value
  }

  /**
   * Ends the object of a document once it has nothing in hand and no timer waits; its sockets stay with `hibernate`, and
   * do not with `close`. Whether it ran.
   */
  evict (doc, webSockets = 'hibernate') {
    return this.call('evict', { doc, webSockets }).then(() => true, error => {
      if (error.message.includes('it is not currently running')) return false
      throw error
    })
  }

  async probe (what, doc, of) {
    const answer = await ask(this, 'POST', `/.probe/${what}`, { body: { doc, of } })
    if (answer.status >= 300) throw new Error(`${what}: ${answer.status} ${answer.text}`)
    return answer
  }

  /** Ends it now, whatever it has in hand; only with `probe`. */
  abort (doc) { return this.probe('abort', doc) }

  /** Rows of its database; only with `probe`. */
  async sql (doc, ...of) { return (await this.probe('sql', doc, of)).json }
}

const quoted = text => `'${text.replaceAll("'", "'\\''")}'`
