// One request after the other on one connection, in turns with those to a component that does nothing.
import { randomBytes } from 'node:crypto'
import { Agent } from 'node:http'
import { Held } from '../../interop/request.mjs'
import { create, framed, read, writer } from '../../interop/streams.mjs'
import { Redis, Spin } from '../../spin/scenarios/spin.mjs'
import { median, spread } from './samples.mjs'

const ROUNDS = 20
const EACH = 15

export const title = 'A request, and an edit until it is acknowledged'

export async function run (t) {
  const rows = [['request', 'median', '99 of 100', 'ratio to the empty handler']]
  for (const store of ['SQLite', 'Redis']) {
    const redis = store === 'Redis' ? await Redis.up(t) : undefined
    rows.push(...await onStore(t, store, redis))
  }
  return rows
}

async function onStore (t, store, redis) {
  const ours = await Spin.up(t, { redis })
  const alone = await Spin.up(t, { redis, words: ['--max-instance-reuse-count', '1'] })
  const empty = await Spin.up(t, { redis, up: process.env.EMPTY })
  const path = await create(ours, 'bench')
  await create(alone, 'bench')
  const { push } = writer()
  const end = async () => (await read(ours, path)).next
  let next
  const edit = host => () => [host, 'POST', path, { body: framed(push('one more edit')) }]
  const kinds = {
    'empty handler': () => [empty, 'GET', '/hello'],
    'one value read': () => [empty, 'GET', '/kv/key'],
    // Another one each time: a disk is not bothered with what it has.
    'one value written': () => [empty, 'PUT', '/kv/key', { body: randomBytes(200) }],
    'one counter incremented': () => [empty, 'GET', '/increment/counter?1'],
    'yonder, no store (`/ready`)': () => [ours, 'GET', '/ready'],
    'yonder, a reader at the end': () => [ours, 'GET', path, { query: { offset: next } }],
    'yonder, an edit': edit(ours),
    'yonder, an edit, each request with an instance of its own': edit(alone)
  }
  const samples = Object.fromEntries(Object.keys(kinds).map(kind => [kind, []]))
  const agent = new Agent({ keepAlive: true })
  const ask = async ([host, method, at, options = {}]) => {
    const began = performance.now()
    const { status, text } = await new Held(host, method, at, { ...options, agent }).ended
    if (status >= 300) throw new Error(`${method} ${at}: ${status} ${text}`)
    return performance.now() - began
  }
  await ask(kinds['one value written']())
  for (let round = 0; round < ROUNDS; round++) {
    next = await end()
    for (const [kind, request] of Object.entries(kinds)) {
      await ask(request()) // an instance that was idle is gone
      for (let n = 0; n < EACH; n++) samples[kind].push(await ask(request()))
    }
  }
  agent.destroy()
  const base = median(samples['empty handler'])
  return Object.entries(samples).map(([kind, took]) => [`${store}: ${kind}`, ...spread(took), (median(took) / base).toFixed(1)])
}
