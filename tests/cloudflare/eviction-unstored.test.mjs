// An object that ends with edits in hand which it has not stored, its sockets open: it asks its clients for them again. It
// stores them each half minute here; what is due so late does not keep an object awake.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { converge, join } from '../interop/client.mjs'
import { ask } from '../interop/request.mjs'
import { at } from '../interop/streams.mjs'
import { pauseFor, until } from '../interop/waiting.mjs'
import { agree, Peer } from './peer.mjs'
import { Workerd } from './workerd.mjs'

const PERIOD = 30_000
const TIME = 'the time at which edits are stored'
const host = await Workerd.up(undefined, { probe: true, options: ['--commit-interval-ms', `${PERIOD}`] })
after(() => host.down())
// What is due within ten seconds is waited for awake, and the objects are awake for five at the beginning.
const early = Date.now() % PERIOD
if (early > 8_000) await pauseFor(PERIOD - early)

/** What wakes the object. */
const WAKES = {
  'a cursor of who wrote it': ({ a }) => a.show({ at: 2 }),
  'a cursor of another': ({ b }) => b.show({ at: 2 }),
  'the next edit': ({ a, texts }) => { a.write('next'); texts.push('next') },
  'an edit of another': ({ b, texts }) => { b.write('of b'); texts.push('of b') },
  '102 of who wrote it': ({ a }) => a.raw.ask(),
  '102 of another': ({ b }) => b.raw.ask(),
  'step 1 of another': ({ b }) => b.ask(),
  'a newcomer': async ({ t, doc }) => { await join(t, host, doc) },
  'an HTTP read': ({ doc }) => ask(host, 'GET', at(doc), { query: { offset: '-1' } }),
  [TIME]: () => {}
}

const stored = async doc => (await host.sql(doc, 'SELECT count(*) AS n FROM entry'))[0].n

describe('an edit that was not stored when its object was evicted', { concurrency: 100 }, () => {
  for (const [what, wake] of Object.entries(WAKES)) {
    test(`is asked for when the object is woken by ${what}`, { timeout: 120_000 }, async t => {
      const doc = `unstored-${Object.keys(WAKES).indexOf(what)}`
      const [a, b] = await pair(t, doc)
      const texts = ['before', 'unstored']
      await unstored(a, b)
      await wake({ t, a, b, doc, texts })
      if (what === TIME) await until(() => stored(doc).then(n => n > 1), 'it is stored', PERIOD + 5_000)
      else await Promise.all([a.stored(), b.stored()])
      await host.abort(doc) // what is in memory only does not count
      assert.deepEqual((await ask(host, 'GET', `/doc/${doc}/json`)).json.list?.toSorted(), texts.toSorted())
      for (const peer of [a, b]) assert.deepEqual(peer.list.toSorted(), texts.toSorted())
    })
  }

  test('is asked for of whoever has it, when its writer is gone', { timeout: 120_000 }, async t => {
    const [a, b] = await pair(t, 'gone')
    await unstored(a, b)
    await a.leave()
    await b.stored()
    await host.abort('gone')
    assert.deepEqual((await ask(host, 'GET', '/doc/gone/json')).json.list, ['before', 'unstored'])
  })

  test('is not acknowledged before', { timeout: 120_000 }, async t => {
    const [a, b] = await pair(t, 'asked')
    await unstored(a, b)
    a.answers = false // it takes its time to answer the question
    const before = a.raw.count(({ type, step }) => type === 0 && step === 0)
    const number = a.raw.ask()
    await until(() => a.raw.count(({ type, step }) => type === 0 && step === 0) > before, 'the server asks')
    await b.stored() // a round trip; it has the edit too, so that this may store it, but nobody knows what else `a` has
    assert.ok(a.raw.acked < number, 'not yet')
    a.answer()
    await until(() => a.raw.acked === number, 'it is acknowledged then')
    await host.abort('asked')
    assert.deepEqual((await ask(host, 'GET', '/doc/asked/json')).json.list, ['before', 'unstored'])
  })

  for (const transport of ['y-websocket', 'y-sweet']) {
    test(`comes from ${transport}'s clients by itself, again and again`, { timeout: 120_000 }, async t => {
      const doc = `real-${transport}`
      const [a, b] = await Promise.all([join(t, host, doc, { transport }), join(t, host, doc, { transport })])
      await host.evict(doc)
      for (let n = 0; n < 4; n++) {
        a.doc.getArray('list').push([`a${n}`])
        b.doc.getArray('list').push([`b${n}`])
        await converge([a, b])
        await host.evict(doc)
      }
      const late = await join(t, host, doc, { transport })
      await converge([a, b, late])
      assert.equal(late.doc.getArray('list').length, 8)
      assert.deepEqual([...a.closes, ...b.closes], [])
      if (transport === 'y-sweet') {
        await Promise.all([a.untilStored(), b.untilStored()])
        assert.equal((await ask(host, 'GET', `/doc/${doc}/json`)).json.list.length, 8)
      }
    })
  }
})

/** Two clients of a document whose first edit is stored, and of an object that is not awake. */
async function pair (t, doc) {
  const peers = [await Peer.connect(t, host, doc, 1), await Peer.connect(t, host, doc, 2)]
  for (const peer of peers) {
    peer.ask()
    await until(() => peer.synced && peer.asked, 'it is synced')
    peer.answer()
  }
  peers[0].write('before')
  await peers[0].stored()
  await agree(peers, ['before'])
  await host.evict(doc)
  return peers
}

/** One writes, both have it, and the object ends without having stored it. */
async function unstored (a, b) {
  a.write('unstored')
  await agree([a, b], ['before', 'unstored'])
  assert.equal(await host.evict(a.docName), true)
  assert.equal(await stored(a.docName), 1, 'the edit is not stored')
}
