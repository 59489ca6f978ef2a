// A reporter for node:test: what passed as tables in Markdown. Groups named `WHAT by TRANSPORT` become one table of
// scenarios against transports, all others one of counts. Only what ran counts as passed; what was skipped is told.
import { basename } from 'node:path'
import { transports } from './client.mjs'

const names = transports()
const BY = new RegExp(`^(.*) by (${names.join('|')})$`)

export default async function * table (source) {
  const open = new Map() // file -> names of what has begun, by depth
  const scenarios = new Map() // row -> transport -> result
  const groups = new Map() // name -> counts
  for await (const { type, data } of source) {
    if (type === 'test:start') {
      const path = open.get(data.file) ?? []
      path.length = data.nesting
      path[data.nesting] = data.name
      open.set(data.file, path)
    }
    if (type !== 'test:pass' && type !== 'test:fail') continue
    const outcome = data.skip !== undefined ? 'skipped' : type === 'test:pass' ? 'passed' : 'FAILED'
    const path = open.get(data.file)?.slice(0, data.nesting) ?? []
    const isGroup = data.details.type === 'suite'
    const by = BY.exec(isGroup ? data.name : path.at(-1))
    if (isGroup && outcome === 'passed') continue
    if (by && !isGroup) {
      const row = `${by[1]}: ${data.name}`
      if (!scenarios.has(row)) scenarios.set(row, new Map())
      scenarios.get(row).set(by[2], outcome)
    } else if (!isGroup || outcome === 'skipped') {
      const name = isGroup ? data.name : path.at(-1) ?? basename(data.file)
      if (!groups.has(name)) groups.set(name, { passed: 0, FAILED: 0, skipped: 0 })
      groups.get(name)[outcome] += 1
    }
  }
  if (scenarios.size > 0) {
    yield row(['scenario', ...names]) + row(['---', ...names.map(() => '---')])
    for (const [name, results] of scenarios) yield row([name, ...names.map(transport => results.get(transport) ?? 'not for it')])
    yield '\n'
  }
  yield row(['other groups', 'passed', 'failed', 'skipped']) + row(['---', '---:', '---:', '---:'])
  for (const [name, { passed, FAILED, skipped }] of groups) yield row([name, passed, FAILED, skipped])
}

const row = cells => `| ${cells.map(cell => String(cell).replaceAll('|', '\\|')).join(' | ')} |\n`
