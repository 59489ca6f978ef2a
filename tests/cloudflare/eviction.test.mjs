// An object that ends between any two messages of a session on its sockets, and wakes with the next: nobody notices.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { converge, join, misses, sees } from '../interop/client.mjs'
import { ask } from '../interop/request.mjs'
import { at, applied, list, post, read, unframed, writer } from '../interop/streams.mjs'
import { until } from '../interop/waiting.mjs'
import { Peer, agree } from './peer.mjs'
import { Workerd } from './workerd.mjs'

// Evictions in one workerd wait for each other.
const hosts = await Promise.all(['raw', 'real', 'http'].map(() => Workerd.up()))
after(() => Promise.all(hosts.map(host => host.down())))

/** What a client on a socket does. */
const SESSION = {
  connect: () => {},
  'step 1': async peer => { peer.ask(); await until(() => peer.synced, 'step 1 is answered') },
  'step 2': async peer => { await until(() => peer.asked, 'the server asks'); peer.answer() },
  'an update': peer => peer.write('first'),
  'an update more': peer => peer.write('second'),
  'an awareness state': peer => peer.show({ at: 1 }),
  'an awareness state more': peer => peer.show({ at: 2 }),
  'a query of awareness': peer => peer.raw.send(Uint8Array.of(3)),
  'message 102': peer => peer.stored(),
  'an update behind it': peer => peer.write('third')
}
const STEPS = Object.keys(SESSION)

/** What an application does. */
const WORK = {
  connect: () => {},
  'an edit': client => client.doc.getArray('list').push(['first']),
  'a cursor': client => client.awareness.setLocalState({ at: 1 }),
  'an edit and a cursor': client => {
    client.doc.getArray('list').push(['second'])
    client.awareness.setLocalState({ at: 2 })
  },
  'a deletion': client => client.doc.getArray('list').delete(0, 1)
}

const CONCURRENT = { concurrency: 100 }

// Much of it is waiting for timers of the objects.
describe('eviction', CONCURRENT, () => {
  describe('an object that is evicted while its sockets hibernate', CONCURRENT, () => {
    const host = hosts[0]

    for (const when of [...STEPS.map(step => [step]), STEPS]) {
      test(`after ${when.length > 1 ? 'each message' : when[0]}`, { timeout: 120_000 }, async t => {
        const doc = `hibernates-${STEPS.indexOf(when[0])}-${when.length}`
        const other = await Peer.connect(t, host, doc, 1)
        other.ask()
        await until(() => other.asked, 'the server asks')
        other.answer()
        other.show({ is: 'other' })
        const peer = await Peer.connect(t, host, doc, 2)
        for (const step of STEPS) {
          await SESSION[step](peer)
          if (when.includes(step)) assert.equal(await host.evict(doc), true, 'it ran')
        }
        other.write('of the other')
        await Promise.all([peer.stored(), other.stored()])
        await agree([peer, other], ['first', 'second', 'third', 'of the other'])
        await until(() => other.seen.get(2)?.at === 2, () => `the other sees it: ${JSON.stringify([...other.seen])}`)
        await until(() => peer.seen.get(1)?.is === 'other', () => `it sees the other: ${JSON.stringify([...peer.seen])}`)
        peer.unharmed()
        other.unharmed()
        const late = await join(t, host, doc)
        assert.deepEqual(late.doc.getArray('list').toArray(), peer.list)
        await until(() => late.others().size === 2, () => `a newcomer sees both: ${JSON.stringify([...late.others()])}`)
        assert.equal(await host.evict(doc), true)
        await peer.leave()
        await until(() => !other.seen.has(2) && !late.others().has(2), 'nobody sees it when it has left', 5_000)
        await other.leave()
      })
    }

    test('loads the document for what needs it only', { timeout: 60_000 }, async t => {
      const own = await Workerd.up(t)
      const [a, b] = [await Peer.connect(t, own, 'cold', 1), await Peer.connect(t, own, 'cold', 2)]
      for (const peer of [a, b]) {
        peer.ask()
        await until(() => peer.synced, 'it is synced')
        peer.answer()
      }
      a.write('first')
      await a.stored()
      const loads = async (act, done, what) => {
        await own.evict('cold')
        const before = await own.call('loaded')
        act()
        await until(done, what)
        return await own.call('loaded') - before
      }
      assert.equal(await loads(() => a.show({ at: 1 }), () => b.seen.get(1)?.at === 1, 'a cursor arrives'), 0, 'for a cursor')
      assert.equal(await loads(() => a.write('second'), () => b.list.length === 2, 'an edit arrives'), 0, 'for an edit')
      assert.equal(await loads(() => a.ask(), () => a.raw.count(({ type, step }) => type === 0 && step === 1) === 2, 'step 1 is answered'), 1, 'for step 1')
      assert.equal(await loads(() => a.raw.socket.close(), () => !b.seen.has(1), 'its cursor goes'), 0, 'for who leaves')
    })
  })

  describe('real clients of an object that is evicted after everything they do', CONCURRENT, () => {
    const host = hosts[1]

    for (const transport of ['y-websocket', 'y-sweet']) {
      for (const webSockets of ['hibernate', 'close']) {
        test(`${transport}, sockets: ${webSockets}`, { timeout: 120_000 }, async t => {
          const doc = `real-${transport}-${webSockets}`
          const options = { transport }
          const [a, b] = await Promise.all([join(t, host, doc, { ...options, state: { name: 'a' } }), join(t, host, doc, { ...options, state: { name: 'b' } })])
          for (const [what, act] of Object.entries(WORK)) {
            act(a)
            await converge([a, b])
            await host.evict(doc, webSockets)
            await until(() => [a, b].every(({ connected, synced }) => connected && synced), `both are there after ${what}`, 20_000)
          }
          b.doc.getArray('list').push(['of b'])
          await converge([a, b])
          assert.deepEqual(a.doc.getArray('list').toArray(), ['second', 'of b'])
          await sees(b, a, { at: 2 }, 20_000)
          await sees(a, b, { name: 'b' }, 20_000)
          if (transport === 'y-sweet') await Promise.all([a.untilStored(), b.untilStored()])
          if (webSockets === 'hibernate') assert.deepEqual([...a.closes, ...b.closes], [], 'nobody was closed')
          const late = await join(t, host, doc, options)
          assert.deepEqual(late.doc.getArray('list').toArray(), ['second', 'of b'])
          await until(() => late.others().size === 2, () => `who is there, and no ghosts: ${JSON.stringify([...late.others()])}`, 20_000)
          await host.evict(doc, webSockets)
          await a.leave()
          await misses(b, a, 40_000)
        })
      }
    }
  })

  describe('HTTP clients of an object that is evicted after each request', CONCURRENT, () => {
    const host = hosts[2]

    test('nothing that was acknowledged is lost, and each finds its place again', { timeout: 120_000 }, async t => {
      const path = at('http')
      const { push, doc } = writer()
      const evict = () => host.evict('http')
      assert.equal((await ask(host, 'PUT', path)).status, 201)
      await evict()
      assert.equal((await ask(host, 'PUT', path)).status, 200)
      await evict()
      let next = (await read(host, path)).next
      const frames = []
      for (let n = 0; n < 4; n++) {
        await post(host, path, [push(n)])
        await evict()
        assert.equal((await ask(host, 'POST', '/d/http/update', { body: push(`sweet ${n}`) })).status, 200)
        await evict()
        const polled = await ask(host, 'GET', path, { query: { offset: next, live: 'long-poll' } })
        assert.equal(polled.status, 200)
        const caught = await read(host, path, next)
        assert.deepEqual(list(applied(unframed(polled.bytes))), list(applied(caught.frames)))
        frames.push(...caught.frames)
        next = caught.next
        await evict()
      }
      assert.deepEqual(list(applied(frames)), list(doc))
      assert.deepEqual((await ask(host, 'GET', '/doc/http/json')).json, { list: list(doc) })
      const { status, json } = await ask(host, 'POST', '/doc/http/versions', { body: { name: 'kept' } })
      assert.equal(status, 201)
      await evict()
      assert.deepEqual((await ask(host, 'GET', `/doc/http/versions/${json.versionId}/json`)).json, { list: list(doc) })
      assert.equal((await ask(host, 'DELETE', path)).status, 204)
      await evict()
      assert.equal((await ask(host, 'GET', path)).status, 404)
      await evict()
      assert.equal((await ask(host, 'PUT', path)).status, 201)
      assert.deepEqual((await read(host, path)).frames, [])
    })
  })
})
