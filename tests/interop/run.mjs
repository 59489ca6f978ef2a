// The one entry: `YONDER_UP="..." node run.mjs [FILE ...]` runs every scenario (or these files) against that host, and
// ends with what passed as tables (also written to the file YONDER_TABLE, if that is set).
// Each file starts its own servers; page.test.mjs gets the URL of one that is started here.
import { spawn } from 'node:child_process'
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Host } from './host.mjs'

const folder = fileURLToPath(new URL('.', import.meta.url))
const all = readdirSync(folder).filter(file => file.endsWith('.test.mjs')).sort()
const files = process.argv.length > 2 ? process.argv.slice(2) : all
const unknown = files.filter(file => !all.includes(file))
if (unknown.length > 0) throw new Error(`no such file: ${unknown.join(', ')}; there are ${all.join(', ')}`)

const scratch = mkdtempSync(join(tmpdir(), 'yonder-interop-'))
const table = join(scratch, 'table.md')
const page = files.includes('page.test.mjs') ? await Host.up() : undefined
// A file ends with its tests: YjsProvider goes on saying goodbye to a server that is gone, for ever.
const tests = spawn(process.execPath, ['--test', '--test-force-exit', '--test-concurrency=2', '--test-timeout=180000',
  '--test-reporter=spec', '--test-reporter-destination=stdout', '--test-reporter=./table.mjs', `--test-reporter-destination=${table}`, ...files], {
  cwd: folder,
  stdio: 'inherit',
  env: { ...process.env, ...(page ? { YONDER_URL: page.url } : {}) }
})
const code = await new Promise(resolve => tests.once('exit', (code, signal) => resolve(signal ? 1 : code)))
await page?.down()
console.log('\n' + readFileSync(table, 'utf8'))
if (process.env.YONDER_TABLE) copyFileSync(table, process.env.YONDER_TABLE)
rmSync(scratch, { recursive: true })
process.exit(code)
