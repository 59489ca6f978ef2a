// A store that fails, before or after it did what it was asked, and one that is slow: what was acknowledged is there.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ask } from '../../interop/request.mjs'
import { at, create, framed, list, post, readDocument, refused, writer } from '../../interop/streams.mjs'
import { until } from '../../interop/waiting.mjs'
import { Spin } from './spin.mjs'

const WRITERS = 6
const EDITS = 15

/** Operations that fail, half of them done all the same. */
const FAILING = {
  'one of thirty operations': ['--fail', 'all=0.03'],
  'every third write': ['--fail', 'set=0.33'],
  'every third increment': ['--fail', 'increment=0.33'],
  'one of thirty operations, of a log without a counter': ['--fail', 'all=0.03', '--variable=yonder_log=listed']
}

describe('a store that fails', { concurrency: 2 }, () => {
  for (const [n, [what, words]] of Object.entries(FAILING).entries()) {
    test(`${what}: errors are clear, and what was acknowledged is there`, { timeout: 120_000 }, async t => {
      const host = await Spin.up(t, { words: ['--seed', n, ...words], vars: { compact_updates: 8 } })
      const path = at('notes')
      await until(async () => (await ask(host, 'PUT', path, { ms: 40_000 })).status < 300, 'the document is made')
      const results = await Promise.all(Array.from({ length: WRITERS }, (_, n) => write(host, path, n)))
      const acknowledged = results.flatMap(result => result.acknowledged)
      assert.ok(acknowledged.length > WRITERS * EDITS / 2, `${acknowledged.length} were acknowledged`)
      await until(async () => (await ask(host, 'GET', path, { query: { offset: '-1' } })).status === 200, 'it is read as well')
      await host.assertHealthy()

      await host.stop()
      await host.start({ options: host.options.map(word => /^[a-z]+=0/.test(word) ? word.replace(/=.*/, '=0') : word) })
      const found = list(await readDocument(host, path))
      assert.deepEqual(acknowledged.filter(edit => !found.includes(edit)), [], 'nothing is lost')
      assert.equal(new Set(found).size, found.length, 'and nothing is there twice')
      t.diagnostic(`${acknowledged.length} acknowledged, ${results.reduce((sum, { failed }) => sum + failed, 0)} refused`)
    })
  }

  test('a store that fails always is told of at once, by each kind of request', { timeout: 90_000 }, async t => {
    const host = await Spin.up(t)
    const path = await create(host, 'notes')
    await post(host, path, [writer().push('kept')])
    await host.stop()
    const reliable = host.options
    await host.start({ options: [...reliable, '--fail', 'all=1'] })
    const body = framed(writer().push('lost'))
    const answers = await Promise.all([
      ask(host, 'POST', path, { body, ms: 40_000 }), ask(host, 'GET', path, { query: { offset: '-1' }, ms: 40_000 }),
      ask(host, 'GET', path, { query: { offset: '-1', live: 'long-poll' }, ms: 40_000 }),
      ask(host, 'GET', path, { query: { offset: '-1', live: 'sse' }, ms: 40_000 }),
      ask(host, 'PUT', '/v1/yjs/default/docs/other', { ms: 40_000 }), ask(host, 'POST', '/check_store', { ms: 40_000 })
    ])
    for (const answer of answers) {
      assert.ok(answer.status >= 500, `${answer.status} ${answer.text}`)
      refused(answer, answer.status, answer.json.error.code)
    }
    await host.stop()
    await host.start({ options: reliable })
    assert.deepEqual(list(await readDocument(host, path)), ['kept'])
  })

  test('a store that takes 20 ms for each operation keeps what was acknowledged', { timeout: 120_000 }, async t => {
    const host = await Spin.up(t, { words: ['--store-delay', 20_000] })
    const path = await create(host, 'notes')
    const results = await Promise.all(Array.from({ length: WRITERS }, (_, n) => write(host, path, n)))
    const acknowledged = results.flatMap(result => result.acknowledged)
    assert.deepEqual(results.map(({ failed }) => failed), results.map(() => 0), 'slow is no failure')
    assert.deepEqual(list(await readDocument(host, path)).sort(), acknowledged.sort())
  })
})

/** Writes edits as clients do that send what was not acknowledged again with the next one. */
async function write (host, path, n) {
  const { push, updates } = writer(1 + n)
  const acknowledged = []
  let [sent, failed] = [0, 0]
  for (let edit = 0; edit < EDITS; edit++) {
    push(`${n}: ${edit}`)
    const answer = await ask(host, 'POST', path, { body: framed(...updates.slice(sent)), ms: 40_000 })
    if (answer.status === 204) {
      sent = updates.length
      while (acknowledged.length < sent) acknowledged.push(`${n}: ${acknowledged.length}`)
    } else {
      assert.ok(answer.status >= 500, `${answer.status} ${answer.text}`)
      refused(answer, answer.status, answer.json.error.code)
      failed += 1
    }
  }
  return { acknowledged, failed }
}
