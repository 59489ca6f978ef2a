// Thirty people at once on one document, by HTTP: nobody's edit is lost, whichever instance takes it.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { applied, create, delivered, list, poll, post, read, readDocument, writer } from '../../interop/streams.mjs'
import { until } from '../../interop/waiting.mjs'
import { Y } from './packages.mjs'
import { INSTANCES, Redis, Spin } from './spin.mjs'

const WRITERS = 30
const READERS = 6
const EDITS = 8

for (const store of ['SQLite', 'Redis']) {
  describe(`${WRITERS} writers on ${store}`, () => {
    for (const [instances, words] of Object.entries(INSTANCES)) {
      test(`${instances} lose nothing that was acknowledged`, { timeout: 120_000 }, async t => {
        const redis = store === 'Redis' ? await Redis.up(t) : undefined
        const host = await Spin.up(t, { redis, words })
        const path = await create(host, 'notes')
        const began = performance.now()
        const readers = Array.from({ length: READERS }, () => follow(t, host, path))
        const acknowledged = await Promise.all(Array.from({ length: WRITERS }, (_, n) => write(host, path, `writer ${n}`)))
        const took = performance.now() - began
        const all = acknowledged.flat().sort()
        assert.equal(all.length, WRITERS * EDITS)

        const { instances: started } = await host.metrics()
        assert.ok(started > 1, 'more than one instance wrote')
        assert.deepEqual(list(await readDocument(host, path)).sort(), all, 'a reader who comes now')
        await until(() => readers.every(({ doc }) => list(doc).length === all.length), () => `those who were there have all: ${readers.map(({ doc }) => list(doc).length)}`)
        for (const { doc } of readers) assert.deepEqual(list(doc).sort(), all)
        for (const reader of readers) reader.leave()
        await host.stop()
        await host.start()
        assert.deepEqual(list(await readDocument(host, path)).sort(), all, 'an instance that knows nothing')
        t.diagnostic(`${all.length} edits acknowledged and ${READERS} readers in ${Math.round(took)} ms, ${started} instances`)
      })
    }
  })
}

/** Writes one edit after the other; gives those that were acknowledged. */
async function write (host, path, name) {
  const { push } = writer()
  const acknowledged = []
  for (let n = 0; n < EDITS; n++) {
    await post(host, path, [push(`${name}: ${n}`)])
    acknowledged.push(`${name}: ${n}`)
  }
  return acknowledged
}

/** Follows the document by long-polls. */
function follow (t, host, path) {
  const reader = { doc: new Y.Doc(), leave () { reader.left = true; reader.held?.abort() } }
  const polling = async () => {
    let { frames, next } = await read(host, path)
    applied(frames, reader.doc)
    while (!reader.left) {
      reader.held = poll(t, host, path, next)
      const answer = await reader.held.ended
      if (answer.status === 200) applied((await delivered(reader.held)).frames, reader.doc)
      else assert.equal(answer.status, 204, answer.text)
      next = answer.headers['stream-next-offset']
    }
  }
  polling().catch(error => { if (!reader.left) throw error })
  return reader
}
