// What is damaged in an object's database: its document is refused with an error and left as it is, and others are served.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { join } from '../interop/client.mjs'
import { dial } from '../interop/raw.mjs'
import { ask } from '../interop/request.mjs'
import { create, list, post, readDocument, refused, writer } from '../interop/streams.mjs'
import { until } from '../interop/waiting.mjs'
import { Workerd } from './workerd.mjs'

const host = await Workerd.up(undefined, { probe: true })
after(() => host.down())

const compacted = async doc => (await host.sql(doc, 'SELECT snapshot_bytes AS n FROM document'))[0].n > 0
const DAMAGES = {
  'an update that is none': "UPDATE entry SET body = x'05ffffffffff'",
  'a row that ends too soon': 'UPDATE entry SET body = substr(body, 1, length(body) - 1)',
  'a snapshot that is missing': 'DELETE FROM part',
  'a snapshot that ends too soon': 'UPDATE part SET body = substr(body, 1, 5)',
  'tables of a later version': 'UPDATE document SET tables = 99'
}

describe('a document of which something is damaged', { concurrency: 10 }, () => {
  for (const [what, damage] of Object.entries(DAMAGES)) {
    test(what, { timeout: 60_000 }, async t => {
      const doc = `damaged-${Object.keys(DAMAGES).indexOf(what)}`
      const path = await create(host, doc)
      const { push } = writer()
      await post(host, path, [push('one')])
      await post(host, path, [push('two')])
      if (what.startsWith('a snapshot')) await until(() => compacted(doc), 'it is compacted', 30_000)
      await host.sql(doc, damage)
      await host.abort(doc)
      for (const read of [() => ask(host, 'GET', `/d/${doc}/as-update`), () => ask(host, 'GET', `/doc/${doc}/json`)]) {
        const answer = await read()
        refused(answer, 500, 'INTERNAL_ERROR')
      }
      const raw = await dial(t, host, host.path(doc))
      raw.step1()
      const { code, reason } = await raw.untilClosed()
      assert.equal(code, 1011, reason)
    })
  }

  test('others are served meanwhile, and are sound', async t => {
    const path = await create(host, 'sound')
    await post(host, path, [writer().push('x')])
    assert.deepEqual(list(await readDocument(host, path)), ['x'])
    assert.equal((await join(t, host, 'sound')).doc.getArray('list').length, 1)
    assert.equal((await ask(host, 'GET', '/docs')).status, 200)
    assert.equal((await ask(host, 'GET', '/ready')).status, 200)
  })
})
