// yonder on Spin: `cargo xtask bench spin [--only CASE]`. What it costs is told as a ratio to what the same host takes for a
// component that does nothing (or only writes one value), taken in turns with it.
//
//   YONDER_SPIN, REDIS_SERVER   as for tests/spin/scenarios
//   EMPTY                       the same command for the component in tests/spin/probe
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import { machine } from '../cloudflare/process.mjs'
import * as costs from './costs.mjs'
import * as held from './held.mjs'
import * as people from './people.mjs'
import * as requests from './requests.mjs'
import * as wake from './wake.mjs'

const CASES = { requests, wake, costs, people, held }
const { values: { only } } = parseArgs({ options: { only: { type: 'string', multiple: true, default: [] } } })
const unknown = only.filter(name => !(name in CASES))
if (unknown.length > 0) throw new Error(`no such case: ${unknown.join(', ')}; there are ${Object.keys(CASES).join(', ')}`)

const component = /(\S+\.wasm)/.exec(process.env.YONDER_SPIN.replaceAll("'", ''))[1]
const bytes = readFileSync(component)
console.log(`# yonder on Spin\n\n${machine()}, in the test host. The component: ${kb(bytes)}, gzipped ${kb(gzipSync(bytes, { level: 9 }))}.\n`)
for (const [name, { title, run }] of Object.entries(CASES)) {
  if (only.length > 0 && !only.includes(name)) continue
  const endings = []
  /** As a test: what is opened is closed at the end. */
  const scope = { after: ending => endings.push(ending) }
  const began = performance.now()
  try {
    const [head, ...rows] = await run(scope)
    const lines = [head, head.map((_, n) => n === 0 ? '---' : '---:'), ...rows].map(cells => `| ${cells.join(' | ')} |`)
    console.log(`## ${title}\n\n${lines.join('\n')}\n`)
  } finally {
    for (const ending of endings.reverse()) await ending()
  }
  console.error(`(${((performance.now() - began) / 1000).toFixed(0)} s)`)
}
process.exit()

function kb ({ length }) { return `${Math.round(length / 1000)} KB` }
