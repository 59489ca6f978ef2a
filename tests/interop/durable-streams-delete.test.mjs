// The Durable Streams Yjs protocol: deleting a document, what goes with it, and what does not come back; services.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import * as Y from 'yjs'
import { join } from './client.mjs'
import { atEnd } from './ending.mjs'
import { Host, needs } from './host.mjs'
import { dial, isAuth } from './raw.mjs'
import { ask, hold } from './request.mjs'
import { at, create, eventFrames, framed, list, poll, post, present, read, readDocument, refused, show, stream, writer } from './streams.mjs'
import { never, until } from './waiting.mjs'

const lacking = needs('streams')
const host = lacking.skip ? undefined : await Host.up()
after(() => host?.down())

const DEFAULT = { awareness: 'default' }

describe('deleting', { concurrency: 6, ...lacking }, () => {
  test('204, then it is as if it had never been', async () => {
    const path = await create(host, 'gone')
    const { headers: { 'stream-next-offset': offset } } = await post(host, path, [writer().push(1)])
    await show(host, path, [[1, 1, {}]], { name: 'cursors' })
    await show(host, path, [[1, 1, {}]])
    const answer = await ask(host, 'DELETE', path)
    assert.equal(answer.status, 204)
    assert.equal(answer.bytes.length, 0)
    for (const query of ['', '?offset=snapshot', '?offset=now', `?offset=${offset}`, `?offset=${offset}&live=long-poll`, '?offset=-1&live=sse',
      '?awareness=default&offset=now', '?awareness=cursors&offset=now']) {
      refused(await ask(host, 'GET', path + query), 404, 'DOCUMENT_NOT_FOUND')
    }
    refused(await ask(host, 'POST', path, { body: framed(writer().push(2)) }), 404, 'DOCUMENT_NOT_FOUND')
    refused(await ask(host, 'DELETE', path), 404, 'DOCUMENT_NOT_FOUND')
    assert.equal((await ask(host, 'HEAD', path)).status, 404)
  })

  test('its sockets are closed with 4404 and a reason', needs('sockets'), async t => {
    const path = await create(host, 'sockets')
    const raws = await Promise.all(Array.from({ length: 5 }, () => dial(t, host, '/ws/sockets')))
    for (const raw of raws) await raw.roundTrip()
    await ask(host, 'DELETE', path)
    for (const raw of raws) {
      const { code, reason } = await raw.untilClosed()
      assert.equal(code, 4404)
      assert.notEqual(reason, '')
    }
  })

  test('held reads end: long-polls with 404, event streams at all', needs('one-owner'), async t => {
    const path = await create(host, 'held')
    const polls = [poll(t, host, path, 'now'), poll(t, host, path, 'now', { query: DEFAULT }), poll(t, host, path, 'now', { query: { presence: 'now' } })]
    const { next } = await read(host, path, 'now', { query: DEFAULT })
    const quiet = poll(t, host, path, next, { query: DEFAULT })
    const streams = await Promise.all([stream(t, host, path, 'now'), stream(t, host, path, 'now', { query: DEFAULT })])
    await never(() => polls[0].status || quiet.status, 'an early answer', 200)
    await ask(host, 'DELETE', path)
    for (const held of [polls[0], quiet]) refused(await held.ended, 404, 'DOCUMENT_NOT_FOUND')
    for (const { ended } of streams) await ended
    for (const { ended } of polls) await ended
  })

  test('a WebSocket tab that was left open does not bring it back', needs('sockets'), async t => {
    const path = await create(host, 'tab')
    const tab = await join(t, host, 'tab')
    tab.doc.getArray('list').push(['old'])
    await until(async () => list(await readDocument(host, path)).length === 1, 'it is stored')
    await ask(host, 'DELETE', path)
    for (let attempt = 1; attempt <= 3; attempt++) {
      await until(() => tab.closes.length === attempt, 'the tab is turned away')
      assert.equal(tab.closes.at(-1).code, 4404)
      tab.doc.getArray('list').push(['typed after the deletion'])
      tab.online() // as its user does with a reload of the connection; by itself y-websocket stops at 44xx
    }
    refused(await ask(host, 'GET', path), 404, 'DOCUMENT_NOT_FOUND')
    const raw = await dial(t, host, '/ws/tab')
    const { code } = await raw.untilClosed()
    assert.equal(code, 4404)
    assert.equal(raw.count(isAuth), 1, 'a client that reads reasons is told')
  })

  test('what was under way when it was deleted is not stored', needs('sockets'), async t => {
    for (let round = 0; round < 8; round++) {
      const name = `race-${round}`
      const path = await create(host, name)
      const raw = await dial(t, host, `/ws/${name}`)
      await raw.roundTrip()
      const { push } = writer()
      const posts = Array.from({ length: 10 }, (_, n) => ask(host, 'POST', path, { body: framed(push(n)) }))
      for (let n = 0; n < 10; n++) if (raw.socket.readyState === 1) raw.update(writer().push(`ws ${n}`))
      assert.equal((await ask(host, 'DELETE', path)).status, 204)
      for (const answer of await Promise.all(posts)) assert.ok([204, 404].includes(answer.status), answer.text)
      refused(await ask(host, 'GET', path), 404, 'DOCUMENT_NOT_FOUND')
      await create(host, name)
      assert.deepEqual((await read(host, path)).frames, [])
    }
  })

  test('created again it starts empty, and lives', async t => {
    const path = await create(host, 'again')
    const tab = await join(t, host, 'again', { state: { name: 'tab' } })
    tab.doc.getArray('list').push(['old'])
    await until(async () => list(await readDocument(host, path)).length === 1, 'it is stored')
    await show(host, path, [[1, 1, {}]])
    await ask(host, 'DELETE', path)
    tab.offline() // or it would come back with all it has, as any client that was offline does
    assert.equal((await ask(host, 'PUT', path)).status, 201)
    assert.deepEqual((await read(host, path)).frames, [])
    assert.equal(present((await read(host, path, 'now', { query: DEFAULT })).frames).size, 0)
    const fresh = await join(t, host, 'again')
    assert.equal(fresh.doc.store.clients.size, 0)
    fresh.doc.getArray('list').push(['new'])
    await until(async () => JSON.stringify(list(await readDocument(host, path))) === '["new"]', 'the new one is stored')
  })

  test('an offset of the deleted one misses nothing of the new one', async t => {
    const path = await create(host, 'offsets')
    const before = writer()
    const old = []
    for (let n = 0; n < 5; n++) old.push((await post(host, path, [before.push(`old ${n}`)])).headers['stream-next-offset'])
    await ask(host, 'DELETE', path)
    assert.equal((await ask(host, 'PUT', path)).status, 201)
    const { push } = writer()
    for (let n = 0; n < 3; n++) await post(host, path, [push(n)])
    for (const offset of ['-1', ...old]) {
      const answer = await read(host, path, offset)
      const doc = new Y.Doc()
      for (const update of answer.frames) Y.applyUpdate(doc, update)
      assert.deepEqual(list(doc), [0, 1, 2], `from ${offset}`)
      const events = await stream(t, host, path, offset)
      await events.got(() => eventFrames(events).length > 0, 'events')
    }
  })

  test('it stays deleted over a restart, and what is made again stays too', needs('sockets', 'restart'), async t => {
    const own = await Host.up()
    atEnd(t, () => own.down())
    for (const name of ['gone', 'again', 'kept']) {
      await post(own, await create(own, name), [writer().push('old')])
      if (name !== 'kept') assert.equal((await ask(own, 'DELETE', at(name))).status, 204)
    }
    await post(own, await create(own, 'again'), [writer().push('new')])
    await own.stop()
    await own.start()
    refused(await ask(own, 'GET', at('gone')), 404, 'DOCUMENT_NOT_FOUND')
    assert.deepEqual(list(await readDocument(own, at('again'))), ['new'])
    assert.deepEqual(list(await readDocument(own, at('kept'))), ['old'])
    const raw = await dial(t, own, '/ws/gone')
    raw.update(writer().push('late'))
    assert.equal((await raw.untilClosed()).code, 4404)
    refused(await ask(own, 'GET', at('gone')), 404, 'DOCUMENT_NOT_FOUND')
  })

  test('after kill -9 a deletion that was answered holds', needs('kill'), async t => {
    const own = await Host.up()
    atEnd(t, () => own.down())
    for (let round = 0; round < 5; round++) {
      const path = await create(own, `gone-${round}`)
      await post(own, path, [writer().push('old')])
      assert.equal((await ask(own, 'DELETE', path)).status, 204)
      await own.kill()
      await own.start()
      refused(await ask(own, 'GET', path), 404, 'DOCUMENT_NOT_FOUND')
    }
  })

  test('a YjsProvider of it hears of it and stops', async t => {
    await create(host, 'provider')
    const client = await join(t, host, 'provider', { transport: 'YjsProvider SSE' })
    client.wanted = false // an application that does not create it again
    await ask(host, 'DELETE', at('provider'))
    await until(() => !client.connected, 'it is disconnected')
    refused(await ask(host, 'GET', at('provider')), 404, 'DOCUMENT_NOT_FOUND')
  })

  test('a document that is deleted a hundred times over is still one that can be made', async () => {
    for (let round = 0; round < 100; round++) {
      assert.equal((await ask(host, 'PUT', at('hundred'))).status, 201)
      if (round % 10 === 0) await post(host, at('hundred'), [writer().push(round)])
      assert.equal((await ask(host, 'DELETE', at('hundred'))).status, 204)
    }
  })
})

describe('services', { concurrency: 4, ...lacking }, () => {
  test('the same path in two services is two documents', needs('sockets'), async t => {
    const [a, b] = [await create(host, 'doc', { service: 'a' }), await create(host, 'doc', { service: 'b' })]
    await post(host, a, [writer().push('a')])
    await post(host, b, [writer().push('b')])
    await show(host, a, [[1, 1, { name: 'a' }]])
    assert.deepEqual(list(await readDocument(host, a)), ['a'])
    assert.deepEqual(list(await readDocument(host, b)), ['b'])
    assert.equal(present((await read(host, b, 'now', { query: DEFAULT })).frames).size, 0)
    const raw = await dial(t, host, '/ws/doc')
    assert.equal((await raw.roundTrip()).length, 2, 'and neither is the one of the sockets')
    assert.equal((await ask(host, 'DELETE', a)).status, 204)
    assert.deepEqual(list(await readDocument(host, b)), ['b'])
  })

  test('a name that looks like a service does not lead into one', async () => {
    const inside = await create(host, 'x', { service: 'tenant' })
    await post(host, inside, [writer().push('secret')])
    for (const doc of ['tenant/x', 'tenant/docs/x', '../tenant/docs/x', 'tenant\u0000x', 'tenant:x']) {
      const answer = await ask(host, 'GET', at(doc))
      assert.ok([400, 404].includes(answer.status), `${doc}: ${answer.status}`)
    }
    for (const service of ['default', 'tenan', 'TENANT', 'tenant ']) {
      const answer = await ask(host, 'GET', at('x', service))
      assert.ok([400, 404].includes(answer.status), `${service}: ${answer.status}`)
    }
  })

  test('events of one service do not come in another', async t => {
    const [a, b] = [await create(host, 'live', { service: 'a' }), await create(host, 'live', { service: 'b' })]
    const held = hold(t, host, b, { query: { offset: 'now', live: 'long-poll' } })
    const events = await stream(t, host, a, 'now')
    await post(host, a, [writer().push('a')])
    await events.got(() => eventFrames(events).length === 1, 'the event of its own service')
    assert.equal(held.status, undefined)
  })
})
