// All hosts side by side, and nothing of them left.
//
//   YONDER_UP_ALL   command that starts them, `cargo xtask up all` with {port}, the first of four ports, and {data}
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { atEnd } from '../interop/ending.mjs'
import { until, within } from '../interop/waiting.mjs'

const NAMES = ['native', 'cloudflare', 'spin', 'fastly']
const START = 180_000
const END = 60_000

test('every host serves on its port, and ends with all that it started', async t => {
  const all = await up(t)
  await until(() => all.lines.includes('ready all') || all.ended, () => `all are ready; so far:\n${all.output}`, START)
  for (const [at, name] of NAMES.entries()) {
    const url = `http://127.0.0.1:${all.port + at}`
    assert.ok(all.lines.includes(`ready ${url} ${name}`), all.output)
    assert.equal((await fetch(`${url}/ready`)).status, 200, name)
    assert.equal((await fetch(`${url}/v1/yjs/default/docs/latency/all`, { method: 'PUT' })).status, 201, `${name} stores`)
  }
  // What it stores is in folders of their own, but for Fastly's, which is in memory.
  assert.deepEqual(readdirSync(all.data).sort(), NAMES.toSorted())

  process.kill(-all.child.pid, 'SIGINT')
  assert.deepEqual(await within(all.end, () => `it ends; so far:\n${all.output}`, END), { code: 0, signal: null })
  await until(() => all.processes().length === 0, () => `nothing is left: ${all.processes().join(', ')}`)
  for (const at of NAMES.keys()) assert.ok(await isFree(all.port + at), `port ${all.port + at} is free`)
})

test('one that cannot start is named, and so is one that ends; the others go on', async t => {
  const taken = createServer()
  const all = await up(t, port => new Promise(resolve => taken.listen(port + 1, '127.0.0.1', resolve)))
  atEnd(t, () => taken.close())
  await until(() => all.lines.some(line => line.startsWith('ready but')) || all.ended, () => `three are ready; so far:\n${all.output}`, START)
  assert.ok(all.lines.includes('ready but for cloudflare'), all.output)
  assert.ok(all.lines.includes(`failed cloudflare: port ${all.port + 1} is taken: see --cloudflare-port`), all.output)
  assert.equal((await fetch(`http://127.0.0.1:${all.port + 2}/ready`)).status, 200)

  const native = all.processes().find(({ words: [program] }) => program.endsWith('/yonder'))
  process.kill(native.pid, 'SIGKILL')
  await until(() => all.lines.includes('ended native'), () => `its end is told; so far:\n${all.output}`)
  assert.equal((await fetch(`http://127.0.0.1:${all.port + 3}/ready`)).status, 200)
  process.kill(all.child.pid, 'SIGTERM')
  assert.deepEqual(await within(all.end, () => `it ends; so far:\n${all.output}`, END), { code: 0, signal: null })
  await until(() => all.processes().length === 0, () => `nothing is left: ${all.processes().join(', ')}`)
})

/** Starts them in a session of their own, by which what is left of them is found. */
async function up (t, before = () => {}) {
  assert.ok(process.env.YONDER_UP_ALL, 'YONDER_UP_ALL is the command that starts all hosts')
  const port = await freePorts(NAMES.length)
  await before(port)
  const data = mkdtempSync(join(tmpdir(), 'yonder-all-'))
  const command = process.env.YONDER_UP_ALL.replaceAll('{port}', port).replaceAll('{data}', `'${data}'`)
  const child = spawn('sh', ['-c', `exec ${command}`], { detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const all = { port, data, child, lines: [], output: '', processes: () => ofSession(child.pid) }
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

const isFree = port => new Promise(resolve => {
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
