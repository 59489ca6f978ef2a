// The one entry: `YONDER_UP="..." node run.mjs [FILE ...]` runs every scenario (or these files) against that host, and
// ends with what passed as tables (also written to the file YONDER_TABLE, if that is set), and with what failed.
// Each file starts its own servers; page.test.mjs gets the URL of one that is started here.
import { readdirSync, writeFileSync } from 'node:fs'
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
const page = files.includes('page.test.mjs') && !lacks('page') ? await Host.up() : undefined
if (page) process.env.YONDER_URL = page.url
// A file ends with its tests: YjsProvider goes on saying goodbye to a server that is gone, for ever. This process does not end
// so: it would not wait for its reporters.
const tests = run({ files: files.map(file => folder + file), concurrency: 2, timeout: 300_000, forceExit: true })
let failed = false
tests.on('test:fail', () => { failed = true })
const shown = tests.compose(new spec())
shown.pipe(process.stdout)
const made = text(tests.compose(table))
const wrong = text(tests.compose(failures))
await finished(shown)
await page?.down()
console.log('\n' + await made)
if (process.env.YONDER_TABLE) writeFileSync(process.env.YONDER_TABLE, await made)
console.log(await wrong)
process.exit(failed ? 1 : 0)
