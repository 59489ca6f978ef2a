// The one entry: `YONDER_UP="..." node run.mjs [FILE ...]` runs every scenario (or these files) against that host, and
// ends with what passed as tables (also written to the file YONDER_TABLE, if that is set), and with what failed.
// Each file starts its own servers; those of the pages get the URL of one that is started here.
import { appendFileSync, readdirSync, rmSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { finished } from 'node:stream/promises'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { fileURLToPath } from 'node:url'
import failures from './failures.mjs'
import { Host, lacks } from './host.mjs'
import table from './table.mjs'

const folder = fileURLToPath(new URL('.', import.meta.url))
const all = readdirSync(folder).filter(file => file.endsWith('.test.mjs')).sort()
const files = process.argv.length > 2 ? process.argv.slice(2) : all
const unknown = files.filter(file => !all.includes(file))
if (unknown.length > 0) throw new Error(`no such file: ${unknown.join(', ')}; there are ${all.join(', ')}`)

process.chdir(folder)
const page = files.some(file => file.startsWith('page')) && !lacks('page') ? await Host.up() : undefined
if (page) process.env.YONDER_URL = page.url
// A file ends with its tests: YjsProvider goes on saying goodbye to a server that is gone, for ever. This process does not end
// so: it would not wait for its reporters.
async function runs (files, concurrency) {
  const tests = run({ files: files.map(file => folder + file), concurrency, timeout: 300_000, forceExit: true })
  tests.setMaxListeners(0) // each reporter has several
  const failed = new Set()
  tests.on('test:fail', ({ file, name }) => failed.add(file?.startsWith(folder) ? file.slice(folder.length) : name.slice(folder.length)))
  const shown = tests.compose(new spec())
  shown.pipe(process.stdout, { end: false })
  const made = text(tests.compose(table))
  const wrong = text(tests.compose(failures))
  await finished(shown)
  console.log('\n' + await made)
  if (process.env.YONDER_TABLE) appendFileSync(process.env.YONDER_TABLE, await made)
  console.log(await wrong)
  return [...failed]
}
if (process.env.YONDER_TABLE) rmSync(process.env.YONDER_TABLE, { force: true })
let failed = await runs(files, 2)
if (failed.length > 0 && lacks('direct')) {
  // A proxy that has too much to do at once loses some of it for good, so each file gets the machine to itself once more. That
  // can hide a rare fault of ours as well: what fails in first runs again and again wants looking into.
  console.log(`== again, one after the other: ${failed.join(', ')}`)
  failed = await runs(failed, 1)
}
await page?.down()
process.exit(failed.length > 0 ? 1 : 0)
