// Runs the built Worker in workerd on this machine, as wrangler.toml describes it: for `cargo xtask up cloudflare`.
// describe.mjs read that with wrangler, and wrangler's miniflare runs workerd. (`wrangler dev` puts a second Worker in front,
// watches files, and takes seconds to start.)
//
//   node up.mjs --port PORT --data DIR [--var NAME=VALUE]...
//
// Prints `ready URL` on stdout once GET /ready answers 200; what the Worker logs goes to stderr. SIGINT, SIGTERM and
// SIGHUP end workerd, then this, with 0.
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: { port: { type: 'string' }, data: { type: 'string' }, var: { type: 'string', multiple: true, default: [] } }
})
const data = resolve(values.data)
const bindings = Object.fromEntries(values.var.map(text => {
  const at = text.indexOf('=')
  if (at < 1) throw new Error(`--var ${text}: NAME=VALUE is wanted`)
  return [text.slice(0, at), text.slice(at + 1)]
}))

// After kill -9 nobody removes temporary files: they are removed here, the next time.
const scratch = join(data, 'tmp')
rmSync(scratch, { recursive: true, force: true })
mkdirSync(scratch, { recursive: true })
process.env.TMPDIR = scratch

const { convertV4MiniflareOptions, Log, LogLevel, Miniflare } = await import('miniflare')

const build = name => fileURLToPath(new URL(`build/${name}`, import.meta.url))
const described = JSON.parse(readFileSync(build('miniflare.json'), 'utf8'))
const miniflare = new Miniflare(convertV4MiniflareOptions({
  ...described,
  name: 'yonder',
  modules: [{ type: 'ESModule', path: build('index.js') }, { type: 'CompiledWasm', path: build('index_bg.wasm') }],
  bindings: { ...described.bindings, ...bindings },
  // Past miniflare's own Worker, which shows errors prettily and changes headers.
  unsafeDirectSockets: [{ host: '127.0.0.1', port: Number(values.port) }],
  host: '127.0.0.1',
  port: 0,
  resourcePersistencePath: data,
  cf: false,
  telemetry: { enabled: false },
  logRequests: false,
  log: new Log(LogLevel.WARN),
  handleStructuredLogs: ({ message }) => console.error(message),
  // A server that crashed is not to look as if it ran on.
  unsafeHandleRuntimeRestart: () => end(1)
}))

let ending = false
async function end (code) {
  if (ending) return
  ending = true
  // workerd is slow to end where the processor is shared.
  setTimeout(() => process.exit(1), 25_000).unref()
  // What never started does not end well.
  await miniflare.dispose().catch(() => {})
  process.exit(code)
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  // miniflare's own ends at once, with another code.
  process.removeAllListeners(signal)
  process.on(signal, () => end(0))
}

try {
  await miniflare.ready
  const url = (await miniflare.unsafeGetDirectURL()).origin
  const answer = await fetch(url + '/ready')
  if (answer.status !== 200) throw new Error(`GET /ready: ${answer.status} ${await answer.text()}`)
  process.stdout.write(`ready ${url}\n`)
} catch (error) {
  console.error(`the Worker does not start: ${error.message}`)
  await end(1)
}
