// A document of 20 MB, in parts, and what memory an instance takes for it.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { ask } from '../../interop/request.mjs'
import { create, framed, list, post, readDocument, refused, writer } from '../../interop/streams.mjs'
import { Y } from './packages.mjs'
import { Redis, Spin } from './spin.mjs'

/** What Akamai's functions have. A reader compacts what it has just read, and takes 81 to 101 MiB. */
const MEMORY = 128 << 20
const PIECE = 4 << 20
const PIECES = 5

for (const store of ['SQLite', 'Redis']) {
  test(`20 MB on ${store} are written, compacted and read back by instances of ${MEMORY >> 20} MiB`, { timeout: 180_000 }, async t => {
    const redis = store === 'Redis' ? await Redis.up(t) : undefined
    const host = await Spin.up(t, { redis, words: ['--max-instance-memory', MEMORY] })
    const path = await create(host, 'large')
    const { doc, push } = writer()
    const peaks = {}
    /** Does it in instances that know nothing, and tells what memory the largest took so far. */
    const alone = async (what, act) => {
      await host.untilGone()
      const given = await act()
      peaks[what] = Math.round((await host.metrics()).memory / (1 << 20))
      return given
    }
    await alone('written', async () => {
      for (let n = 0; n < PIECES; n++) await post(host, path, [push(new Uint8Array(randomBytes(PIECE)))], { ms: 60_000 })
    })
    const same = found => {
      assert.equal(list(found).length, PIECES)
      assert.ok(Buffer.from(Y.encodeStateAsUpdate(found)).equals(Buffer.from(Y.encodeStateAsUpdate(doc))))
    }
    same(await alone('read', () => readDocument(host, path, { ms: 60_000 })))
    same(await alone('read again', () => readDocument(host, path, { ms: 60_000 })))
    const whole = await alone('read as one update', () => ask(host, 'GET', '/d/large/as-update', { ms: 60_000 }))
    const found = new Y.Doc()
    Y.applyUpdate(found, whole.bytes)
    same(found)
    await alone('written to', () => post(host, path, [writer(1).push('small')], { ms: 60_000 }))
    assert.equal(list(await readDocument(host, path, { ms: 60_000 })).length, PIECES + 1)
    t.diagnostic(`the memory of an instance, in MiB: ${JSON.stringify(peaks)}`)
  })
}

test('a body that is too large, and an edit for which there is no place, are refused and harm nobody', { timeout: 120_000 }, async t => {
  const host = await Spin.up(t, { words: ['--max-instance-memory', MEMORY], vars: { max_document_mb: 2 * PIECE >> 20 } })
  const path = await create(host, 'full')
  const { push } = writer()
  // It is refused for what it says of itself, once no more comes: the host would close a connection whose body is not taken.
  refused(await ask(host, 'POST', path, { body: 'x', headers: { 'content-length': 11 << 20 }, ms: 60_000 }), 413, 'PAYLOAD_TOO_LARGE')
  await post(host, path, [push('first', new Uint8Array(randomBytes(PIECE)))], { ms: 60_000 })
  refused(await ask(host, 'POST', path, { body: framed(writer(1).push(new Uint8Array(randomBytes(PIECE)))), ms: 60_000 }), 413, 'PAYLOAD_TOO_LARGE')
  await post(host, path, [push('last')])
  const [first, , last, ...rest] = list(await readDocument(host, path, { ms: 60_000 }))
  assert.deepEqual([first, last, rest], ['first', 'last', []])
})
