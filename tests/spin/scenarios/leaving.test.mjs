// Requests beside each other in one instance, and clients that leave: each handler ends, and then asks nothing more.
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import { create, list, poll, post, read, readDocument, stream, writer } from '../../interop/streams.mjs'
import { pauseFor, until } from '../../interop/waiting.mjs'
import { operations, Spin } from './spin.mjs'

const BESIDE = 16
const SECONDS = 4

describe('clients that leave', { concurrency: 2 }, () => {
  for (const [kind, hold] of Object.entries({ 'long-polls': poll, 'event streams': stream })) {
    test(`${BESIDE} ${kind} of one instance end when their clients have left`, { timeout: 60_000 }, async t => {
      const host = await Spin.up(t, { vars: { long_poll_seconds: SECONDS, sse_seconds: SECONDS } })
      const path = await create(host, 'notes')
      const { next } = await read(host, path)
      const held = await fill(host, () => hold(t, host, path, next))
      const busy = await host.metrics()
      assert.deepEqual([busy.running, busy.alive], [BESIDE, 1])
      for (const one of await Promise.all(held)) one.abort()
      await until(async () => (await host.metrics()).running === 0, 'no request is under way', 20_000)
      await host.untilGone()
      const before = operations(await host.metrics())
      await pauseFor(1_500)
      assert.equal(operations(await host.metrics()), before, 'nobody asks the store')
      await post(host, path, [writer().push('afterwards')])
      assert.deepEqual(list(await readDocument(host, path)), ['afterwards'])
    })
  }

  test(`a write wakes ${BESIDE - 2} others of its instance, at once`, { timeout: 60_000 }, async t => {
    const host = await Spin.up(t)
    const path = await create(host, 'notes')
    const { next } = await read(host, path)
    const held = await fill(host, () => poll(t, host, path, next), BESIDE - 2)
    const { instances } = await host.metrics()
    // By now their instance reads the log every two seconds.
    await pauseFor(6_000)
    const began = performance.now()
    await post(host, path, [writer().push('wake')])
    const answers = await Promise.all(held.map(({ ended }) => ended))
    const took = performance.now() - began
    assert.deepEqual(answers.map(({ status }) => status), answers.map(() => 200))
    assert.equal((await host.metrics()).instances, instances, 'no instance was made for the write')
    assert.ok(took < 1_000, `after ${Math.round(took)} ms`)
    t.diagnostic(`woken within ${Math.round(took)} ms`)
  })

  test('a client that leaves in the middle of its request leaves nothing behind', { timeout: 60_000 }, async t => {
    const host = await Spin.up(t)
    const path = await create(host, 'notes')
    const update = writer().push('half')
    for (let n = 0; n < 20; n++) {
      const socket = connect(host.port, '127.0.0.1')
      socket.on('error', () => {})
      await new Promise(resolve => socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n`, resolve))
      await new Promise(resolve => socket.write(update, resolve))
      n % 2 ? socket.destroy() : socket.resetAndDestroy()
    }
    await host.untilGone()
    assert.deepEqual(list(await readDocument(host, path)), [])
  })
})

/** So many requests, one after the other, so that one instance gets them all. */
async function fill (host, hold, count = BESIDE) {
  await host.untilGone()
  const held = []
  while (held.length < count) {
    held.push(hold())
    await until(async () => (await host.metrics()).running === held.length, 'it is held')
    await pauseFor(20)
  }
  return held
}
