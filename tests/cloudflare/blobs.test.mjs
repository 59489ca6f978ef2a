// R2: large snapshots and versions lie there, what nothing refers to any more does not.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { ask } from '../interop/request.mjs'
import { at, create, list, post, readDocument, writer } from '../interop/streams.mjs'
import { pauseFor, until } from '../interop/waiting.mjs'
import { prng } from './packages.mjs'
import { Workerd } from './workerd.mjs'

const host = await Workerd.up(undefined, {
  worker: { r2Buckets: { BLOBS: { id: 'blobs' } } }, probe: true, options: ['--compact-kb', '1000', '--compact-updates', '100']
})
after(() => host.down())

const PATIENCE = 40_000
const random = prng.create(3)
const megabytes = n => Uint8Array.from({ length: n << 20 }, () => prng.int32(random, 0, 255))
const blobs = async doc => (await host.call('blobs')).filter(({ key }) => key.startsWith(`doc/${doc}/`))
/** Resolves once R2 holds so many values of a document. */
async function holds (doc, count, what) {
  let found = []
  await until(async () => { found = await blobs(doc); return found.length === count }, () => `${what}: ${JSON.stringify(found)}`, PATIENCE)
}

describe('R2', { concurrency: 10 }, () => {
  test('a large snapshot is there, and the next takes its place', { timeout: 120_000 }, async () => {
    const path = await create(host, 'large')
    const { push } = writer()
    await post(host, path, [push(megabytes(3))])
    await holds('large', 1, 'the snapshot is in R2')
    const [first] = await blobs('large')
    assert.ok(first.size > 3 << 20)
    await host.evict('large')
    assert.equal(list(await readDocument(host, path)).length, 1)
    await post(host, path, [push(megabytes(1)), push('and more')])
    await until(async () => (await blobs('large')).some(({ key }) => key !== first.key), 'a new one', PATIENCE)
    await holds('large', 1, 'the old one is gone')
    await host.evict('large')
    const items = list(await readDocument(host, path))
    assert.deepEqual(items.map(item => item.length), [3 << 20, 1 << 20, 8])
    const stale = await ask(host, 'GET', '/d/large/as-update?stale=ok')
    assert.equal(stale.status, 200)
    assert.ok(stale.bytes.length > 3 << 20)
  })

  test('a small one is not', { timeout: 60_000 }, async () => {
    const path = await create(host, 'small')
    await post(host, path, [writer().push(megabytes(1))])
    await until(async () => (await ask(host, 'GET', path, { query: { offset: 'snapshot' } })).headers.location.endsWith('_snapshot'), 'it is compacted', PATIENCE)
    assert.deepEqual(await blobs('small'), [])
  })

  test('versions are there, until they are deleted', { timeout: 120_000 }, async () => {
    const path = await create(host, 'versions')
    const { push } = writer()
    const ids = []
    for (const text of ['one', 'two', 'three']) {
      await post(host, path, [push(text)])
      const { status, json } = await ask(host, 'POST', '/doc/versions/versions', { body: { name: text } })
      assert.equal(status, 201)
      ids.push(json.versionId)
    }
    assert.equal((await blobs('versions')).length, 3)
    await host.evict('versions')
    assert.deepEqual((await ask(host, 'GET', `/doc/versions/versions/${ids[1]}/json`)).json, { list: ['one', 'two'] })
    assert.equal((await ask(host, 'DELETE', `/doc/versions/versions/${ids[1]}`)).status, 204)
    await holds('versions', 2, 'the deleted one is gone')
    assert.deepEqual(await host.sql('versions', 'SELECT * FROM orphan'), [])
    assert.equal((await ask(host, 'POST', `/doc/versions/versions/${ids[0]}/restore`)).status, 200)
    assert.deepEqual(list(await readDocument(host, path)), ['one'])
  })

  test('a deleted document leaves nothing behind', { timeout: 120_000 }, async () => {
    const path = await create(host, 'deleted')
    const { push } = writer()
    await post(host, path, [push(megabytes(3))])
    await holds('deleted', 1, 'the snapshot')
    for (const name of ['a', 'b']) assert.equal((await ask(host, 'POST', '/doc/deleted/versions', { body: { name } })).status, 201)
    await holds('deleted', 3, 'the snapshot and the versions')
    assert.equal((await ask(host, 'DELETE', path)).status, 204)
    await holds('deleted', 0, 'nothing')
    await until(async () => !(await host.call('published')).includes('doc/deleted'), 'nothing in Workers KV', PATIENCE)
    assert.deepEqual(await host.sql('deleted', 'SELECT * FROM orphan'), [])
    assert.equal((await ask(host, 'GET', path)).status, 404)
  })

  test('objects that end while they write there leave no garbage', { timeout: 150_000 }, async () => {
    const path = await create(host, 'aborted')
    const { push } = writer()
    const body = megabytes(3)
    for (let n = 0; n < 5; n++) {
      await post(host, path, [push(body.map(byte => byte ^ n))])
      await pauseFor(n * 30)
      const version = ask(host, 'POST', '/doc/aborted/versions', { body: { name: `${n}` } })
      await pauseFor(20)
      await host.abort('aborted')
      const { status } = await version
      assert.ok([201, 500, 503].includes(status), `${status}`)
    }
    const { versions } = (await ask(host, 'GET', '/doc/aborted/versions')).json
    assert.equal((await post(host, path, [push('last')])).status, 204)
    await holds('aborted', versions.length + 1, `a snapshot and ${versions.length} versions`)
    assert.equal(list(await readDocument(host, path)).length, 6)
    for (const { versionId } of versions) assert.equal((await ask(host, 'GET', `/doc/aborted/versions/${versionId}/as-update`)).status, 200)
  })
})
