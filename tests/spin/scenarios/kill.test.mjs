// kill -9 of the host in a storm of edits, by HTTP: what was acknowledged is there when it is up again.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { storm } from '../../interop/kill-storm.mjs'
import { at, readDocument } from '../../interop/streams.mjs'
import { INSTANCES, Redis, template, variables } from './spin.mjs'

const KILLS = 4

const read = async (host, doc) => new Set((await readDocument(host, at(doc))).getArray('tokens').toArray())

const STORMS = {
  'on SQLite, by event streams': { transport: 'sse', words: [] },
  'on SQLite, by long-polls, while it compacts all the time': { transport: 'long-poll', words: variables({ compact_updates: 4 }) },
  'on SQLite, with an instance for each request': { transport: 'http', words: INSTANCES['an instance for each request'] },
  'on Redis, by long-polls': { transport: 'long-poll', words: [], redis: true }
}

describe(`kill -9 in a storm of edits (${KILLS} times)`, { concurrency: 2 }, () => {
  for (const [what, { transport, words, redis }] of Object.entries(STORMS)) {
    test(`${what}, loses nothing that was acknowledged`, { timeout: 150_000 }, async t => {
      const up = template(redis && await Redis.up(t))
      const { acknowledged, lost, written } = await storm({ up, kills: KILLS, transport, options: words, read })
      t.diagnostic(`acknowledged / lost: ${acknowledged} / ${lost} in ${KILLS} kills (${written} written)`)
      assert.equal(lost, 0, `acknowledged / lost: ${acknowledged} / ${lost}`)
      assert.ok(acknowledged >= KILLS * 100, `a storm, not a breeze: ${acknowledged} acknowledged`)
    })
  }
})
