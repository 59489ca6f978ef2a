// yonder on Cloudflare Workers beside its peers: `node bench.mjs --tools DIR --yonder wrangler.toml [--main index.js]`, by a
// Node.js that wrangler takes (22.12 or later). Every figure is taken from all workers in the same run, in rounds in which
// they take turns, so that what disturbs the machine disturbs all of them; the ratios are what to compare between runs.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { bundle } from './bundle.mjs'
import * as memory from './memory.mjs'
import { machine } from './process.mjs'
import * as relay from './relay.mjs'
import { Report } from './report.mjs'
import { servers } from './servers.mjs'
import * as size from './size.mjs'
import * as wake from './wake.mjs'
import * as loads from './loads.mjs'
import { Workerd } from './workerd.mjs'

const CASES = { size, relay, wake, loads, memory }
const { values } = parseArgs({
  options: {
    tools: { type: 'string' }, // a folder whose node_modules has wrangler
    yonder: { type: 'string' }, // wrangler.toml; without it the peers are measured alone
    main: { type: 'string' }, // the built worker, if it is not where wrangler.toml says
    quick: { type: 'boolean', default: false }, // under three minutes
    only: { type: 'string', multiple: true, default: [] }, // cases
    json: { type: 'string' } // a file for all values
  }
})
if (!values.tools) throw new Error('name the folder in which wrangler is installed: --tools DIR')
const unknown = values.only.filter(name => !(name in CASES))
if (unknown.length > 0) throw new Error(`no such case: ${unknown.join(', ')}; there are ${Object.keys(CASES).join(', ')}`)

const BUSY = loadavg()[0] > 0.5 * cpus().length
const scratch = mkdtempSync(join(tmpdir(), 'yonder-bench-'))
process.on('exit', () => rmSync(scratch, { recursive: true, force: true, maxRetries: 5 }))
const all = servers({ yonder: values.yonder && resolve(values.yonder), main: values.main }).filter(({ config }) => config !== undefined)
const bundles = {}
for (const server of all) {
  bundles[server.key] = await bundle(values.tools, server, join(scratch, 'bundle', server.key))
}

console.log(header())
const reports = []
for (const [name, { title, run }] of Object.entries(CASES)) {
  if (values.only.length > 0 && !values.only.includes(name)) continue
  const began = performance.now()
  const taking = all.filter(({ only }) => only === undefined || only.includes(name))
  const report = new Report(title, taking)
  await run(plan(name, taking), report)
  console.log(report.markdown())
  console.error(`(${((performance.now() - began) / 1000).toFixed(0)} s)`)
  reports.push({ case: name, ...report.json() })
}
if (values.json) {
  writeFileSync(values.json, JSON.stringify({ machine: machine(), quick: values.quick, servers: all.map(({ key, name, promise }) => ({ key, name, promise })), reports }, null, 2) + '\n')
}
process.exit()

/** What a case needs to know: the workers, how much time there is, and how to start them. */
function plan (name, servers) {
  const start = (server, folder = name) => {
    const data = join(scratch, 'data', folder, server.key)
    mkdirSync(data, { recursive: true })
    return Workerd.start(values.tools, server, bundles[server.key], data)
  }
  return {
    servers,
    bundles,
    start,
    quick: values.quick,
    pick: (quick, full) => values.quick ? quick : full,
    startAll: async () => { const running = []; for (const server of servers) running.push(await start(server)); return running },
    stopAll: running => Promise.all(running.map(workerd => workerd.stop())),
    /** Another one begins in each round, so that none is always behind the same one. */
    turns: (running, round) => running.map((_workerd, at) => running[(at + round) % running.length])
  }
}

/** What a reader must know before comparing. */
function header () {
  const wrangler = createRequire(join(resolve(values.tools), 'package.json')).resolve('wrangler/package.json')
  const version = name => createRequire(wrangler)(`${name}/package.json`).version
  return `# yonder on Cloudflare Workers and its peers (${values.quick ? 'quick' : 'full'} run)\n
${machine()}${BUSY ? ': **other programs were busy, so that latencies say little**' : ''}. workerd ${version('workerd')} by wrangler ${version('wrangler')}'s Miniflare, a process for each worker, clients on a socket
straight into it. Median over the rounds [lowest to highest]; a ratio is the median of the ratios of single rounds, and
below 1 yonder is better.\n
${all.map(({ name, promise }) => `- ${name}: ${promise}`).join('\n')}\n`
}
