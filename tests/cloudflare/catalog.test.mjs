// The list of documents, which one object keeps for all the others; and what becomes of it, and of everything else, where
// what wrangler.toml calls optional is not there.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { converge, join } from '../interop/client.mjs'
import { ask } from '../interop/request.mjs'
import { at, create, list, post, readDocument, writer } from '../interop/streams.mjs'
import { until } from '../interop/waiting.mjs'
import { Workerd } from './workerd.mjs'

const WORKERS = { 'with Workers KV': {}, 'without Workers KV': { kvNamespaces: {} } }

describe('the catalog', { concurrency: 2 }, async () => {
  for (const [what, worker] of Object.entries(WORKERS)) {
    describe(what, { concurrency: 4 }, async () => {
      const starting = Workerd.up(undefined, { worker, options: ['--compact-kb', '1', '--compact-updates', '10'] })
      after(async () => (await starting).down())

      test('knows a document as soon as it is made, and no more once it is deleted', async () => {
        const host = await starting
        const names = await listed(host, 'made/')
        assert.deepEqual(names, [])
        for (let n = 0; n < 10; n++) {
          await create(host, `made/${n}`)
          assert.deepEqual(await listed(host, 'made/'), Array.from({ length: n + 1 }, (_, n) => `made/${n}`))
        }
        assert.equal((await ask(host, 'POST', '/doc/new', { body: { docId: 'made-by-sweet' } })).status, 200)
        assert.deepEqual(await listed(host, 'made-'), ['made-by-sweet'])
        for (let n = 9; n >= 0; n--) {
          assert.equal((await ask(host, 'DELETE', at(`made/${n}`))).status, 204)
          assert.deepEqual(await listed(host, 'made/'), Array.from({ length: n }, (_, n) => `made/${n}`))
        }
        await create(host, 'made/0')
        assert.deepEqual(await listed(host, 'made/'), ['made/0'], 'one that is made anew')
      })

      test('knows a copy, which has what the other has', async () => {
        const host = await starting
        const path = await create(host, 'copied')
        await post(host, path, [writer().push('x')])
        const { status, json, text } = await ask(host, 'POST', '/doc/copied/copy', { body: { docId: 'copied-to' } })
        assert.ok([200, 201].includes(status), text)
        assert.equal(json.docId, 'copied-to')
        assert.deepEqual(await listed(host, 'copied'), ['copied', 'copied-to'])
        assert.deepEqual(list(await readDocument(host, at('copied-to'))), ['x'])
        assert.equal((await ask(host, 'DELETE', '/doc/copied')).status, 204)
        assert.deepEqual(await listed(host, 'copied'), ['copied-to'])
        assert.deepEqual(list(await readDocument(host, at('copied-to'))), ['x'])
      })

      test('knows a document that a socket made', async t => {
        const host = await starting
        const client = await join(t, host, 'by-socket', { transport: 'y-sweet' })
        client.doc.getArray('list').push(['x'])
        await client.untilStored()
        await until(async () => (await listed(host, 'by-socket')).length === 1, 'it is listed')
      })

      test('and the size of one that has come to rest', { timeout: 60_000 }, async t => {
        const host = await starting
        const path = await create(host, 'at-rest')
        const { push } = writer()
        for (let n = 0; n < 25; n++) await post(host, path, [push('x'.repeat(1000))])
        const size = async () => (await ask(host, 'GET', '/docs?prefix=at-rest')).json.docs[0]
        await until(async () => (await size()).bytes > 20_000, 'it is known', 30_000)
      })

      test('pages are complete while documents are made and deleted', async () => {
        const host = await starting
        const names = Array.from({ length: 30 }, (_, n) => `page/${String(n).padStart(2, '0')}`)
        await Promise.all(names.map(name => create(host, name)))
        const found = []
        for (let after = ''; after !== null;) {
          const { json } = await ask(host, 'GET', '/docs', { query: { prefix: 'page/', limit: '7', ...(after && { after }) } })
          found.push(...json.docs.map(({ docId }) => docId))
          await create(host, `page/${found.at(-1).slice(5)}-new`)
          after = json.next
        }
        for (const name of names) assert.equal(found.filter(other => other === name).length, 1, name)
      })

      test('clients edit, compact, and outlive an eviction', { timeout: 60_000 }, async t => {
        const host = await starting
        const [a, b] = await Promise.all([join(t, host, 'lives'), join(t, host, 'lives', { transport: 'y-sweet' })])
        for (let n = 0; n < 40; n++) a.doc.getArray('list').push([`${n} ${'x'.repeat(100)}`])
        await converge([a, b])
        await host.evict('lives')
        b.doc.getArray('list').push(['after'])
        await converge([a, b, await join(t, host, 'lives')])
        const stale = await ask(host, 'GET', '/d/lives/as-update?stale=ok')
        assert.equal(stale.status, 200)
      })
    })
  }
})

const listed = async (host, prefix) => (await ask(host, 'GET', '/docs', { query: { prefix } })).json.docs.map(({ docId }) => docId)
