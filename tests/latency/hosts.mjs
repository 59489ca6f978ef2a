// All hosts side by side, as tests start them.
//
//   YONDER_UP_ALL   command that starts them, `cargo xtask up all` with {port}, the first of four ports, and {data}
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atEnd } from '../interop/ending.mjs'
import { until } from '../interop/waiting.mjs'

export const NAMES = ['native', 'cloudflare', 'spin', 'fastly']
/** How long all of them may take to be ready, in milliseconds. */
export const START = 180_000

/** Starts them in a session of their own, by which what is left of them is found. */
export async function up (t, before = () => {}) {
  assert.ok(process.env.YONDER_UP_ALL, 'YONDER_UP_ALL is the command that starts all hosts')
  const port = await freePorts(NAMES.length)
  await before(port)
  const data = mkdtempSync(join(tmpdir(), 'yonder-all-'))
  const command = process.env.YONDER_UP_ALL.replaceAll('{port}', port).replaceAll('{data}', `'${data}'`)
  const child = spawn('sh', ['-c', `exec ${command}`], { detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const all = { port, data, child, lines: [], output: '', processes: () => ofSession(child.pid) }
  all.ready = () => until(() => all.lines.includes('ready all') || all.ended, () => `all are ready; so far:\n${all.output}`, START)
  let rest = ''
  child.stdout.on('data', chunk => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop()
    all.lines.push(...lines)
  })
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => { all.output = (all.output + chunk).slice(-20_000) })
  all.end = new Promise(resolve => child.once('exit', (code, signal) => { all.ended = true; resolve({ code, signal }) }))
  atEnd(t, () => {
    for (const { pid } of all.processes()) process.kill(pid, 'SIGKILL')
    rmSync(data, { recursive: true, force: true })
  })
  return all
}

/** The processes of a session; one that has ended and whose parent did not ask for it is none. */
function ofSession (leader) {
  return readdirSync('/proc').filter(name => /^[0-9]+$/.test(name)).flatMap(pid => {
    try {
      const [state, , , session] = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ')
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
      return Number(session) === leader && state !== 'Z' ? [{ pid: Number(pid), words, toString: () => words.join(' ') }] : []
    } catch {
      return [] // it has ended meanwhile
    }
  })
}

export const isFree = port => new Promise(resolve => {
  const server = createServer()
  server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
})

/** The first of so many ports that nobody has, below those that the system gives away by itself. */
async function freePorts (count) {
  for (;;) {
    const first = 20_000 + Math.floor(Math.random() * 10_000)
    const free = await Promise.all(Array.from({ length: count }, (_, at) => isFree(first + at)))
    if (free.every(Boolean)) return first
  }
}
