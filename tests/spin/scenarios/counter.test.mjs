// A store without counters: documents are kept by listing keys, and stay so when there is a counter again.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ask } from '../../interop/request.mjs'
import { create, delivered, framed, list, poll, post, read, readDocument, refused, writer } from '../../interop/streams.mjs'
import { until } from '../../interop/waiting.mjs'
import { Redis, Spin } from './spin.mjs'

const WITHOUT = ['--no-counter']

for (const store of ['SQLite', 'Redis']) {
  test(`without a counter ${store} keeps edits, and gives them when it has one`, { timeout: 60_000 }, async t => {
    const redis = store === 'Redis' ? await Redis.up(t) : undefined
    const host = await Spin.up(t, { redis, words: WITHOUT })
    const path = await create(host, 'notes')
    await until(() => host.output.includes("this store keeps documents as 'listed'"), 'it says so')
    const { push } = writer()
    const held = poll(t, host, path, (await read(host, path)).next)
    await Promise.all(Array.from({ length: 40 }, (_, n) => post(host, path, [push(n)])))
    assert.ok((await delivered(held)).frames.length > 0, 'who waits is told')
    const all = Array.from({ length: 40 }, (_, n) => n)
    assert.deepEqual(list(await readDocument(host, path)), all)
    const { list_keys: lists } = await host.metrics()
    assert.ok(lists > 0, 'keys were listed')

    await host.stop()
    await host.start({ options: host.options.filter(word => !WITHOUT.includes(word)) })
    assert.deepEqual(list(await readDocument(host, path)), all, 'with a counter')
    await post(host, path, [push(40)])
    await post(host, await create(host, 'other'), [writer().push('x')])
    assert.equal((await host.metrics()).increments, 0, 'nothing is counted: others may not know of the counter')
    assert.deepEqual(list(await readDocument(host, path)), [...all, 40])
    await host.stop()
    await host.start({ options: [...host.options, ...WITHOUT] })
    assert.deepEqual(list(await readDocument(host, path)), [...all, 40], 'without one again')
  })
}

test('documents that were counted are not written by other means when the counter is gone', { timeout: 60_000 }, async t => {
  const host = await Spin.up(t)
  const path = await create(host, 'notes')
  const { push } = writer()
  await post(host, path, [push('counted')])
  await host.stop()
  await host.start({ options: [...host.options, ...WITHOUT] })
  refused(await ask(host, 'POST', path, { body: framed(push('not counted')), ms: 30_000 }), 503, 'STORE_UNAVAILABLE')
  await host.stop()
  await host.start({ options: host.options.filter(word => !WITHOUT.includes(word)) })
  assert.deepEqual(list(await readDocument(host, path)), ['counted'])
})
