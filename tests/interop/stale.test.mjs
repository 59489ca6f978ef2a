// Reads with ?stale=ok may be answered near the reader, from a snapshot that the document's owner has published; they say how
// old it is. A host that publishes nothing answers as ever, with the age 0.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { Host, needs } from './host.mjs'
import { ask } from './request.mjs'
import { applied, at, create, list, post, read, refused, writer } from './streams.mjs'
import { pauseFor, until } from './waiting.mjs'

const lacking = needs('streams', 'sweet', 'options')
const host = lacking.skip ? undefined : await Host.up({ options: ['--compact-kb', '1', '--compact-updates', '20'] })
after(() => host?.down())

/** What may be stale: it is there, and it has an age. */
async function stale (address) {
  const answer = await ask(host, 'GET', address + (address.includes('?') ? '&' : '?') + 'stale=ok')
  assert.ok([200, 307].includes(answer.status), `${answer.status} ${answer.text}`)
  assert.match(answer.headers.age ?? '', /^\d+$/)
  return answer
}

describe('reads that may be stale', { concurrency: 4, ...lacking }, () => {
  test('the state is one that the document had: with what came behind it, it is the document', async () => {
    const path = await create(host, 'state')
    const { doc, push } = writer()
    for (let n = 0; n < 100; n++) {
      await post(host, path, [push(n)])
      if (n % 20 !== 19) continue
      const { bytes, headers } = await stale('/d/state/as-update')
      const tail = await read(host, path, headers['stream-next-offset'])
      assert.deepEqual(list(applied([bytes, ...tail.frames])), list(doc))
    }
  })

  test('a snapshot is found by way of a redirect that stays with it, and with its tail is the document', async () => {
    const path = await create(host, 'snapshot')
    const { doc, push } = writer()
    for (let n = 0; n < 60; n++) await post(host, path, [push(n)])
    const { bytes, headers } = await until(async () => {
      const { status, headers } = await stale(path + '?offset=snapshot')
      assert.equal(status, 307)
      const query = new URL(headers.location, host.url + path).searchParams
      assert.equal(query.get('stale'), 'ok')
      if (!query.get('offset').endsWith('_snapshot')) return
      const answer = await ask(host, 'GET', path + '?' + query)
      if (answer.status === 404) return // another one has taken its place
      assert.equal(answer.status, 200, answer.text)
      assert.match(answer.headers.age, /^\d+$/)
      // The one that was asked for, or the one that has replaced it.
      assert.ok(answer.headers['stream-next-offset'] + '_snapshot' >= query.get('offset'), answer.headers['stream-next-offset'])
      return answer
    }, 'a snapshot')
    const tail = await read(host, path, headers['stream-next-offset'])
    assert.deepEqual(list(applied([bytes, ...tail.frames])), list(doc))
  })

  test('what is published becomes the newest state, and its age grows or is 0', { timeout: 90_000 }, async () => {
    const path = await create(host, 'newest')
    const { doc, push } = writer()
    for (let n = 0; n < 5; n++) await post(host, path, [push(n)])
    await until(async () => list(applied([(await stale('/d/newest/as-update')).bytes])).length === 5, 'all five', 40_000)
    await post(host, path, [push('last')])
    await until(async () => list(applied([(await stale('/d/newest/as-update')).bytes])).length === 6, 'the last one', 40_000)
    const first = Number((await stale('/d/newest/as-update')).headers.age)
    await pauseFor(2_500)
    const { bytes, headers } = await stale('/d/newest/as-update')
    assert.deepEqual(list(applied([bytes])), list(doc))
    const grown = Number(headers.age) - first
    assert.ok(grown >= 2 && grown <= 4 || headers.age === '0', `${first} s, then ${headers.age} s`)
  })

  test('a deleted document is gone, also for those', async () => {
    const path = await create(host, 'gone')
    await post(host, path, [writer().push('x')])
    await stale('/d/gone/as-update')
    await ask(host, 'DELETE', path)
    for (const address of ['/d/gone/as-update?stale=ok', path + '?offset=snapshot&stale=ok']) {
      const found = await until(async () => {
        const answer = await ask(host, 'GET', address)
        return answer.status === 404 && answer
      }, `${address} is 404`)
      refused(found, 404, 'DOCUMENT_NOT_FOUND')
      assert.equal(found.headers.age, undefined)
    }
  })

  test('without it nothing has an age, and another value is 400', async () => {
    const path = await create(host, 'values')
    await post(host, path, [writer().push('x')])
    for (const address of ['/d/values/as-update', path + '?offset=snapshot']) {
      assert.equal((await ask(host, 'GET', address)).headers.age, undefined)
      for (const value of ['', 'no', 'OK', '1']) {
        refused(await ask(host, 'GET', `${address}${address.includes('?') ? '&' : '?'}stale=${value}`), 400, 'INVALID_REQUEST')
      }
    }
    refused(await ask(host, 'GET', '/d/none/as-update?stale=ok'), 404, 'DOCUMENT_NOT_FOUND')
    refused(await ask(host, 'GET', at('none') + '?offset=snapshot&stale=ok'), 404, 'DOCUMENT_NOT_FOUND')
  })
})
