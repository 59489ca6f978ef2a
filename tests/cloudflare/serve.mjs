// The built Worker in workerd, as targets/cloudflare/up.mjs runs it, and a second port by which a test does what only the
// platform can do, and sees what only the platform sees.
//
//   WRANGLER=.. YONDER_WORKER=.. node serve.mjs --port PORT --data DIR --control PORT [--settings JSON] [--NAME VALUE]...
//
// `settings`: `worker`, miniflare's options for the Worker besides those of wrangler.toml; `probe`, whether it runs in
// probe.js. The other options are those of `yonder serve`. `POST /CALL` on the control port with its arguments as JSON is answered with JSON.
import { mkdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { json } from 'node:stream/consumers'

const { port, data, control, settings: text = '{}', ...options } = Object.fromEntries(
  process.argv.slice(2).join('\n').split(/^--/m).slice(1).map(text => text.split(/\n([^]*)/).slice(0, 2).map(part => part.trimEnd())))
// After kill -9 nobody removes temporary files but the test, which removes the data.
process.env.TMPDIR = join(data, 'tmp')
mkdirSync(process.env.TMPDIR, { recursive: true })

const build = name => join(resolve(process.env.YONDER_WORKER), name)
const require = createRequire(join(resolve(process.env.WRANGLER), 'miniflare/package.json'))
const settings = JSON.parse(text)
const { convertV4MiniflareOptions, Log, LogLevel, Miniflare } = require('miniflare')

const WORKER = 'yonder'
const PROBE = new URL('probe.js', import.meta.url)
// The first module is the Worker's.
const probe = settings.probe ? [{ type: 'ESModule', path: build('probe.js'), contents: readFileSync(PROBE, 'utf8') }] : []
const described = { ...JSON.parse(readFileSync(build('miniflare.json'), 'utf8')), ...settings.worker }
const variables = Object.entries(options).map(([name, value]) => ['YONDER_' + name.toUpperCase().replaceAll('-', '_'), value])
let loaded = 0

const miniflare = new Miniflare(convertV4MiniflareOptions({
  ...described,
  name: WORKER,
  modulesRoot: resolve(process.env.YONDER_WORKER),
  modules: [...probe, { type: 'ESModule', path: build('index.js') }, { type: 'CompiledWasm', path: build('index_bg.wasm') }],
  bindings: { YONDER_INSECURE_OPEN: 'loopback', ...described.bindings, ...Object.fromEntries(variables) },
  unsafeDirectSockets: [{ host: '127.0.0.1', port: Number(port) }],
  host: '127.0.0.1',
  port: 0,
  resourcePersistencePath: data,
  cf: false,
  telemetry: { enabled: false },
  logRequests: false,
  log: new Log(LogLevel.WARN),
  handleStructuredLogs: ({ message }) => {
    console.error(message)
    if (message.startsWith('loaded: ')) loaded += 1
  }
}))

const calls = {
  /** Ends an object's instance; `webSockets`: `hibernate` leaves its sockets open, `close` does not. */
  evict: ({ doc, webSockets }) => miniflare.unsafeEvictDurableObject(WORKER, 'Document', { name: doc, webSockets }),

  /** How often a document was loaded. */
  loaded: () => loaded,

  /** The keys in R2, with their sizes. */
  async blobs () {
    const bucket = await miniflare.getR2Bucket('BLOBS', WORKER)
    return (await bucket.list()).objects.map(({ key, size }) => ({ key, size }))
  },

  /** The keys in Workers KV. */
  async published () {
    const store = await miniflare.getKVNamespace('SNAPSHOTS', WORKER)
    return (await store.list()).keys.map(({ name }) => name)
  }
}

async function end () {
  // workerd is slow to end where the processor is shared.
  setTimeout(() => process.exit(1), 25_000).unref()
  await miniflare.dispose().catch(() => {})
  process.exit(0)
}
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.removeAllListeners(signal)
  process.on(signal, end)
}

await miniflare.ready
createServer(async (request, response) => {
  const answer = await Promise.resolve(json(request)).then(calls[request.url.slice(1)])
    .then(value => [200, { value }], error => [500, { error: error.stack ?? String(error) }])
  response.writeHead(answer[0], { 'content-type': 'application/json' }).end(JSON.stringify(answer[1]))
}).listen(Number(control), '127.0.0.1', async () => {
  console.log(`ready ${(await miniflare.unsafeGetDirectURL(WORKER)).origin}`)
})
