// Several instances that compact one document at once, while others write: nothing is lost, and what is old goes.
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import { atEnd } from '../../interop/ending.mjs'
import { create, list, post, readDocument, writer } from '../../interop/streams.mjs'
import { pauseFor, until } from '../../interop/waiting.mjs'
import { Redis, Spin } from './spin.mjs'

const COMPACTORS = 4
const WRITERS = 4
const ROUNDS = 10
const EDITS = 5
/** From a snapshot until the next compaction deletes what it covers. */
const GRACE = 60_000

describe('compaction by several instances at once', { concurrency: 2 }, () => {
  for (const [log, words] of Object.entries({ sequenced: [], listed: ['--no-counter'] })) {
    test(`${log}: nothing is lost, and what was compacted is deleted`, { timeout: 180_000 }, async t => {
      const redis = await Redis.up(t)
      const apart = ['--max-instance-concurrent-reuse-count', '1', '--store-delay', '2000', ...words]
      const host = await Spin.up(t, { redis, vars: { compact_updates: 4 }, words: apart })
      const snapshots = await snapshotsOf(t, redis)
      const path = await create(host, 'notes')
      const writers = Array.from({ length: WRITERS }, (_, n) => writer(1 + n))
      const expected = []
      const write = (name, edits) => Promise.all(writers.map(async ({ push }, n) => {
        for (let edit = 0; edit < edits; edit++) {
          await post(host, path, [push(`${name}.${n}.${edit}`)])
          expected.push(`${name}.${n}.${edit}`)
        }
      }))
      const compact = () => Promise.all(Array.from({ length: COMPACTORS }, () => readDocument(host, path)))

      let most = 0
      for (let round = 0; round < ROUNDS || (most < 2 && round < 5 * ROUNDS); round++) {
        await write(round, EDITS)
        const before = snapshots()
        // Nothing is written meanwhile: a second one that came later would find nothing to do.
        await compact()
        most = Math.max(most, snapshots() - before)
        await Promise.all([compact(), write(`${round} meanwhile`, EDITS)])
      }
      assert.ok(most > 1, 'instances compacted at once')
      assert.deepEqual(list(await readDocument(host, path)).sort(), expected.sort())
      const size = await redis.size()

      await pauseFor(GRACE + 2_000)
      // Each deletes some. A listed log does so only by a snapshot that nothing newer covers: once in a while.
      const [sizes, left] = [[size], size * (log === 'sequenced' ? 0.5 : 0.95)]
      while (sizes.at(-1) > left && sizes.length < 16) {
        await write(`late ${sizes.length}`, EDITS)
        await compact()
        sizes.push(await redis.size())
      }
      assert.ok(sizes.at(-1) <= left, `keys are deleted: ${sizes}`)
      assert.deepEqual(list(await readDocument(host, path)).sort(), expected.sort(), 'after what was old is deleted')
      await host.stop()
      await host.start()
      assert.deepEqual(list(await readDocument(host, path)).sort(), expected.sort(), 'to who knows nothing')
      t.diagnostic(`${expected.length} edits, ${snapshots()} snapshots, up to ${most} at once; keys: ${sizes.join(', ')}`)
    })
  }
})

/** Counts the snapshots that are written from now on. */
async function snapshotsOf (t, redis) {
  let text = ''
  const socket = connect(redis.port, '127.0.0.1', () => socket.write('MONITOR\r\n'))
  atEnd(t, () => socket.destroy())
  socket.on('data', bytes => { text += bytes.toString('latin1') }).on('error', () => {})
  await until(() => text.startsWith('+OK'), 'Redis tells what it does')
  // What an entry begins with: a magic number, its form, and that it is a snapshot.
  return () => text.match(/"SET" "[^"]*" "y\\x01\\x01/g)?.length ?? 0
}
