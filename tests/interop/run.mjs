// The one entry: `YONDER_UP="..." node run.mjs [FILE ...]` runs every scenario (or these files) against that host.
// Each file starts its own servers; page.test.mjs gets the URL of one that is started here.
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Host } from './host.mjs'

const folder = fileURLToPath(new URL('.', import.meta.url))
const all = readdirSync(folder).filter(file => file.endsWith('.test.mjs')).sort()
const files = process.argv.length > 2 ? process.argv.slice(2) : all
const unknown = files.filter(file => !all.includes(file))
if (unknown.length > 0) throw new Error(`no such file: ${unknown.join(', ')}; there are ${all.join(', ')}`)

const page = files.includes('page.test.mjs') ? await Host.up() : undefined
const tests = spawn(process.execPath, ['--test', '--test-concurrency=2', '--test-timeout=180000', '--test-reporter=spec', ...files], {
  cwd: folder,
  stdio: 'inherit',
  env: { ...process.env, ...(page ? { YONDER_URL: page.url } : {}) }
})
const code = await new Promise(resolve => tests.once('exit', (code, signal) => resolve(signal ? 1 : code)))
await page?.down()
process.exit(code)
