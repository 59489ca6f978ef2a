// A reporter for node:test: what failed and why, in few lines each, at the very end, where whoever reads a log begins.
import { basename } from 'node:path'
import { inspect } from 'node:util'

/** xtask looks for it: what follows goes into its summary. */
const HEAD = '== failed tests'
const LINES = 15
const WIDTH = 400
/** Where the runner called the test. */
const RUNNER = /^\s+at .*(node:internal|node:async_hooks|\(<anonymous>\)|\(index \d+\))/

export default async function * failures (source) {
  const failed = []
  const open = new Map() // file -> names of what has begun, by depth
  const said = new Map() // file -> the last that its process wrote
  for await (const { type, data } of source) {
    if (type === 'test:start') {
      const path = open.get(data.file) ?? []
      path.length = data.nesting
      path[data.nesting] = data.name
      open.set(data.file, path)
    }
    if (type === 'test:stderr') said.set(data.file, ((said.get(data.file) ?? '') + data.message).slice(-4000))
    if (type !== 'test:fail' || data.todo !== undefined) continue
    const { error } = data.details
    // A group fails with its tests, which are told.
    if (error?.failureType === 'subtestsFailed') continue
    const group = open.get(data.file)?.slice(0, data.nesting).at(-1)
    // Of a file that does not even load only its process has told.
    const whole = error?.code === 'ERR_TEST_FAILURE' && error.exitCode !== undefined
    const why = whole ? `${error.message}\n${said.get(data.file) ?? ''}` : error?.cause instanceof Error ? inspect(error.cause) : String(error?.cause ?? error)
    failed.push({ what: [group, data.name].filter(Boolean).join(': '), where: `${basename(data.file ?? '')}:${data.line ?? ''}`, why })
  }
  if (failed.length === 0) return
  yield `\n${HEAD}: ${failed.length}\n`
  for (const { what, where, why } of failed) {
    const lines = why.split('\n').filter(line => line.trim() !== '' && !RUNNER.test(line)).slice(0, LINES)
    yield `\n✖ ${what} (${where})\n${lines.map(line => `    ${line.slice(0, WIDTH)}\n`).join('')}`
  }
}
