// Many at once, frames of every size, and a service without Fanout.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { join } from '../interop/client.mjs'
import { dial, isUpdate } from '../interop/raw.mjs'
import { ask } from '../interop/request.mjs'
import { create, poll, post, refused, writer } from '../interop/streams.mjs'
import { pauseFor, until } from '../interop/waiting.mjs'
import { up } from './fastly.mjs'

/** So many open at a time: a proxy answers larger bursts in part with 502. */
const BURST = 25

async function inBursts (count, each) {
  const all = []
  while (all.length < count) {
    all.push(...await Promise.all(Array.from({ length: Math.min(BURST, count - all.length) }, (_, n) => each(all.length + n))))
    await pauseFor(100)
  }
  return all
}

test('500 sockets on one document get an edit', async t => {
  const host = await up(t)
  const sockets = await inBursts(500, () => dial(t, host, '/ws/many'))
  const client = await join(t, host, 'many')
  const updates = () => sockets.filter(({ messages }) => messages.some(isUpdate)).length
  client.doc.getText('t').insert(0, 'for all')
  await until(() => updates() === 500, () => `all have it; ${updates()} have`, 60_000)
})

test('1,000 polls on one document wake; whom the proxy has failed asks again, and has it', async t => {
  const host = await up(t)
  const path = await create(host, 'polled')
  const { headers: { 'stream-next-offset': next } } = await post(host, path, [writer().push('before')])
  const statuses = {}
  let held = 0
  const polls = () => inBursts(1_000 - (statuses[200] ?? 0), async () => {
    const one = poll(t, host, path, next)
    held++
    const ended = status => { held--; statuses[status] = (statuses[status] ?? 0) + 1 }
    one.ended.then(({ status }) => ended(status), ({ code }) => ended(code))
    await new Promise(resolve => one.request.once('socket', socket => socket.connecting ? socket.once('connect', resolve) : resolve()))
  })
  const said = () => `${held} are held; ${JSON.stringify(statuses)}`
  await polls()
  await pauseFor(2_000) // until the proxy listens for all
  assert.ok(held > 900, said())
  await post(host, path, [writer(7).push('news')])
  await until(() => held === 0, () => `all are answered; ${said()}`, 60_000)
  t.diagnostic(said())
  for (let tries = 0; tries < 5 && statuses[200] < 1_000; tries++) {
    await polls()
    await until(() => held === 0, () => `all are answered; ${said()}`, 60_000)
  }
  t.diagnostic(said())
  assert.equal(statuses[200], 1_000, said())
})

test('frames of 1 byte, and up to 100 KB, go through', async t => {
  const host = await up(t)
  const [one, other] = [await join(t, host, 'sizes'), await join(t, host, 'sizes')]
  let length = 0
  for (const size of [1, 100, 125, 126, 1_000, 16_000, 48_000, 65_535, 65_536, 100_000]) {
    one.doc.getText('t').insert(length, 'x'.repeat(size))
    length += size
    await until(() => other.doc.getText('t').length === length, `an edit of ${size} bytes arrives`, 30_000)
  }
  const raw = await dial(t, host, '/ws/sizes')
  for (const byte of [0, 1, 2, 3, 9, 0x80, 0xff]) raw.socket.send(Uint8Array.of(byte))
  await until(() => raw.close !== undefined || raw.messages.length > 0, 'it is answered or closed')
  await host.assertHealthy()
})

test('without Fanout an upgrade is answered with 501, which names the other transports', async t => {
  const host = await up(t, { words: ['--no-fanout'] })
  const headers = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==' }
  const answer = await ask(host, 'GET', '/ws/doc', { headers })
  refused(answer, 501, 'NOT_IMPLEMENTED')
  assert.match(answer.json.error.message, /long-poll/)
  assert.match(answer.json.error.message, /sse/)
})

test('without a key nothing is answered but what is missing', async t => {
  await assert.rejects(up(t, { words: ['--no-fanout'], vars: { insecure_open: '' } }), /NOT_CONFIGURED[^]*yonder_auth_key/)
})
