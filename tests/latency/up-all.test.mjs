// All hosts side by side, and nothing of them left.
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { atEnd } from '../interop/ending.mjs'
import { until, within } from '../interop/waiting.mjs'
import { isFree, NAMES, START, up } from './hosts.mjs'

const END = 60_000

test('every host serves on its port, and ends with all that it started', async t => {
  const all = await up(t)
  await all.ready()
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
