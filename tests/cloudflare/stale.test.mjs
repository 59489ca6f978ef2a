// ?stale=ok: what is published in Workers KV answers, and the document's object sleeps on.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { join } from '../interop/client.mjs'
import { ask } from '../interop/request.mjs'
import { applied, at, create, list, post, writer } from '../interop/streams.mjs'
import { pauseFor, until } from '../interop/waiting.mjs'
import { Workerd } from './workerd.mjs'

const host = await Workerd.up()
after(() => host.down())

/** By what a document's newest state can be read as it was published. */
const READS = {
  'as-update': doc => ask(host, 'GET', `/d/${doc}/as-update?stale=ok`),
  'as-update of another address': doc => ask(host, 'GET', `/doc/${doc}/as-update?stale=ok`),
  snapshot: async doc => {
    const found = await ask(host, 'GET', at(doc), { query: { offset: 'snapshot', stale: 'ok' } })
    if (found.status !== 307) return found
    assert.match(found.headers.location, /[?&]stale=ok/, 'who was led there still puts up with it')
    assert.ok(Number(found.headers.age) >= 0)
    return ask(host, 'GET', new URL(found.headers.location, host.url).pathname + new URL(found.headers.location, host.url).search)
  }
}
const age = answer => Number(answer.headers.age ?? NaN)
const content = answer => list(applied([answer.bytes]))

/** A document that is at rest, and published. */
async function published (doc, texts) {
  const path = await create(host, doc)
  const { push } = writer()
  for (const text of texts) await post(host, path, [push(text)])
  await until(async () => (await host.call('published')).includes(`doc/${doc}`), 'it is published', 30_000)
  return { path, push }
}

describe('a read that may be stale', { concurrency: 10 }, () => {
  test('is the owner\'s as long as nothing is published', async () => {
    const path = await create(host, 'fresh')
    await post(host, path, [writer().push('x')])
    const answer = await READS['as-update']('fresh')
    assert.equal(answer.status, 200)
    assert.deepEqual(content(answer), ['x'])
    assert.equal(age(answer), 0)
    assert.equal((await ask(host, 'GET', '/d/fresh/as-update')).headers.age, undefined, 'nobody asked')
    assert.equal((await ask(host, 'GET', '/d/fresh/as-update?stale=nonsense')).status, 400)
    assert.equal((await READS['as-update']('never-was')).status, 404)
  })

  for (const [what, read] of Object.entries(READS)) {
    test(`wakes nobody: ${what}`, { timeout: 90_000 }, async () => {
      const doc = `asleep-${what.replaceAll(' ', '-')}`
      await published(doc, ['one', 'two'])
      await host.evict(doc)
      const before = await read(doc)
      assert.equal(before.status, 200)
      assert.deepEqual(content(before), ['one', 'two'])
      await pauseFor(2500)
      const after = await read(doc)
      assert.deepEqual(after.bytes, before.bytes)
      assert.ok(age(after) >= age(before) + 2, `it is older then: ${age(before)}, ${age(after)}`)
      assert.equal(await host.evict(doc), false, 'the object did not run')
      assert.equal(after.headers['access-control-expose-headers']?.split(', ').includes('Age'), true)
    })
  }

  test('is of the newest compaction, and the owner knows more', { timeout: 120_000 }, async t => {
    const { path, push } = await published('newer', ['one'])
    const client = await join(t, host, 'newer', { transport: 'y-sweet' })
    await post(host, path, [push('two')])
    const stale = await READS['as-update']('newer')
    assert.deepEqual(content(stale), ['one'])
    assert.deepEqual(content(await ask(host, 'GET', '/d/newer/as-update')), ['one', 'two'])
    await client.leave()
    await until(async () => content(await READS['as-update']('newer')).length === 2, 'the next compaction is published', 40_000)
    assert.ok(age(await READS['as-update']('newer')) < 30)
  })

  test('of a document that was deleted is refused, also once it is made anew', { timeout: 90_000 }, async () => {
    const { path, push } = await published('deleted', ['secret'])
    assert.equal((await ask(host, 'DELETE', path)).status, 204)
    for (const read of Object.values(READS)) assert.equal((await read('deleted')).status, 404)
    assert.ok(!(await host.call('published')).includes('doc/deleted'))
    await host.evict('deleted')
    for (const read of Object.values(READS)) assert.equal((await read('deleted')).status, 404)
    await create(host, 'deleted')
    await post(host, path, [push('new')])
    const answer = await READS['as-update']('deleted')
    assert.ok(!Buffer.from(answer.bytes).includes('secret'))
  })
})

test('who may not read a document may not read what is published of it', { timeout: 90_000 }, async t => {
  const { mint, seconds } = await import('../interop/token.mjs')
  const SECRET = 'a secret for the tests of what is published'
  const own = await Workerd.up(t, { options: ['--auth-key', `k1:${SECRET}`] })
  const token = claims => mint(SECRET, { exp: seconds(600), perm: 'read', sub: 'user', ...claims }, { kid: 'k1' })
  const admin = token({ prefix: '', perm: 'admin' })
  const path = await create(own, 'private', { token: admin })
  await post(own, path, [writer().push('secret')], { token: admin })
  await until(async () => (await own.call('published')).includes('doc/private'), 'it is published', 30_000)
  const read = token => ask(own, 'GET', '/d/private/as-update?stale=ok', { token })
  assert.equal((await read(undefined)).status, 401)
  assert.equal((await read(token({ doc: 'another' }))).status, 403)
  const answer = await read(token({ doc: 'private' }))
  assert.equal(answer.status, 200)
  assert.deepEqual(content(answer), ['secret'])
})
