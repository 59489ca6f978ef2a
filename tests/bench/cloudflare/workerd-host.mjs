// A process of its own for one workerd: Miniflare, as wrangler brings it, with one worker and a socket straight into it.
// Told what to do over the channel of child_process.fork: `{ id, call, args }` in, `{ id, value }` or `{ id, error }` out.
import { readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'

const TYPES = { js: 'ESModule', mjs: 'ESModule', wasm: 'CompiledWasm', bin: 'Data', txt: 'Text', html: 'Text' }
const LOADED = /^loaded: / // what yonder logs when it loads a document
const worker = 'worker'
let miniflare
let loaded = 0

const calls = {
  /** Starts it; gives the URL of the worker. */
  async start ({ tools, config, out, entry, data }) {
    const wrangler = createRequire(join(resolve(tools), 'package.json')).resolve('wrangler/package.json')
    const { unstable_getMiniflareWorkerOptions: read } = createRequire(wrangler)('wrangler')
    const { Miniflare, convertV4MiniflareOptions, Log, LogLevel } = createRequire(wrangler)('miniflare')
    const { modulesRules, rootPath, ...options } = read(config).workerOptions
    const modules = readdirSync(out).map(file => ({ path: join(out, file), type: TYPES[file.split('.').at(-1)] })).filter(({ type }) => type)
    modules.sort((a, b) => Number(b.path.endsWith(`/${entry}`)) - Number(a.path.endsWith(`/${entry}`))) // the first is the entry
    miniflare = new Miniflare({
      ...convertV4MiniflareOptions({
        ...options,
        name: worker,
        modules,
        modulesRoot: out,
        unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
        host: '127.0.0.1',
        port: 0,
        log: new Log(LogLevel.ERROR)
      }),
      handleStructuredLogs: ({ message }) => { if (LOADED.test(message)) loaded += 1 },
      resourcePersistencePath: data
    })
    await miniflare.ready
    return String(await miniflare.unsafeGetDirectURL(worker))
  },

  /** Ends an object's instance; its sockets hibernate. */
  async hibernate ({ className, name }) {
    await miniflare.unsafeEvictDurableObject(worker, className, { name, webSockets: 'hibernate' })
  },

  /** How often a document was loaded, as the worker's log has it. */
  loaded () { return loaded },

  async stop () {
    await miniflare?.dispose()
  }
}

process.on('message', async ({ id, call, args }) => {
  try {
    process.send({ id, value: await calls[call](args) })
  } catch (error) {
    process.send({ id, error: error.stack ?? String(error) })
  }
  if (call === 'stop') process.disconnect()
})
process.on('disconnect', () => process.exit())
