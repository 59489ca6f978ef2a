// The Durable Streams Yjs protocol: presence, as streams of its own (`?awareness=NAME`) and beside a document read
// (`&presence=`, yonder's addition).
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { join, misses, sees } from './client.mjs'
import { atEnd } from './ending.mjs'
import { Host, lacks, needs } from './host.mjs'
import { awarenessUpdate } from './raw.mjs'
import { ask } from './request.mjs'
import { applied, at, create, entriesOf, eventFrames, framed, list, poll, post, present, read, refused, show, stream, unframed, writer } from './streams.mjs'
import { until } from './waiting.mjs'

const LONG_POLL = 3
const lacking = needs('streams', 'options')
const host = lacking.skip ? undefined : await Host.up({ options: ['--long-poll-seconds', String(LONG_POLL)] })
after(() => host?.down())

const DEFAULT = { awareness: 'default' }
const names = states => Object.fromEntries([...states].map(([id, state]) => [id, state.name]).sort())

describe('presence streams', { concurrency: 8, ...lacking }, () => {
  test('`default` exists with the document, other names when they are made', async () => {
    const path = await create(host, 'names')
    assert.equal((await ask(host, 'PUT', path, { query: DEFAULT })).status, 200)
    assert.equal((await ask(host, 'HEAD', path, { query: DEFAULT })).status, 200)
    for (const method of ['GET', 'HEAD', 'DELETE']) {
      const answer = await ask(host, method, path, { query: { awareness: 'cursors', offset: 'now' } })
      if (method === 'HEAD') assert.equal(answer.status, 404)
      else refused(answer, 404, 'STREAM_NOT_FOUND')
    }
    assert.equal((await ask(host, 'PUT', path, { query: { awareness: 'cursors' } })).status, 201)
    assert.equal((await ask(host, 'PUT', path, { query: { awareness: 'cursors' } })).status, 200)
    const head = await ask(host, 'HEAD', path, { query: { awareness: 'cursors' } })
    assert.equal(head.status, 200)
    assert.match(head.headers['stream-next-offset'], /^[^,&=?/]{1,255}$/)
    await show(host, path, [[1, 1, { name: 'one' }]], { name: 'by-its-first-post' })
    assert.equal((await ask(host, 'HEAD', path, { query: { awareness: 'by-its-first-post' } })).status, 200)
  })

  test('deleting a named stream takes its states along; deleting `default` empties it', async () => {
    const path = await create(host, 'delete')
    for (const name of ['cursors', 'default']) await show(host, path, [[1, 1, { name: 'one' }]], { name })
    for (const name of ['cursors', 'default']) assert.equal((await ask(host, 'DELETE', path, { query: { awareness: name } })).status, 204)
    refused(await ask(host, 'DELETE', path, { query: { awareness: 'cursors' } }), 404, 'STREAM_NOT_FOUND')
    assert.equal(present((await read(host, path, 'now', { query: DEFAULT })).frames).size, 0)
    await show(host, path, [[1, 2, { name: 'again' }]], { name: 'cursors' })
    assert.deepEqual(names(present((await read(host, path, 'now', { query: { awareness: 'cursors' } })).frames)), { 1: 'again' })
  })

  test('a new reader gets all who are present at once, however it reads', async t => {
    const path = await create(host, 'at-once')
    await show(host, path, [[1, 1, { name: 'one' }], [2, 1, { name: 'two' }]])
    await show(host, path, [[3, 1, { name: 'three' }]])
    await show(host, path, [[2, 2, null]])
    const expected = { 1: 'one', 3: 'three' }
    for (const offset of ['now', '-1']) {
      assert.deepEqual(names(present((await read(host, path, offset, { query: DEFAULT })).frames)), expected, `GET ${offset}`)
      const polled = await poll(t, host, path, offset, { query: DEFAULT }).ended
      assert.deepEqual(names(present(unframed(polled.bytes))), expected, `long-poll ${offset}`)
      const events = await stream(t, host, path, offset, { query: DEFAULT })
      await events.got(() => events.controls.length > 0, 'a first control event')
      assert.deepEqual(names(present(eventFrames(events))), expected, `events ${offset}`)
    }
  })

  test('a change wakes a held read and comes as an event, within the second', async t => {
    const path = await create(host, 'wake')
    const { next } = await read(host, path, 'now', { query: DEFAULT })
    const held = poll(t, host, path, next, { query: DEFAULT })
    const events = await stream(t, host, path, next, { query: DEFAULT })
    await show(host, path, [[7, 1, { name: 'seven' }]])
    const answer = await held.ended
    assert.equal(answer.status, 200)
    assert.ok(held.took < 2000, `${held.took} ms`)
    assert.deepEqual(entriesOf(unframed(answer.bytes)), [[7, 1, { name: 'seven' }]])
    await events.got(() => eventFrames(events).length > 0, 'an event')
    await show(host, path, [[7, 2, null]])
    await events.got(() => present(eventFrames(events)).size === 0 && entriesOf(eventFrames(events)).some(([id, , state]) => id === 7 && state === null), 'the removal')
    const { headers } = await poll(t, host, path, answer.headers['stream-next-offset'], { query: DEFAULT }).ended
    assert.ok(headers['stream-next-offset'] > answer.headers['stream-next-offset'])
  })

  test('names are apart from each other, and only `default` is the presence of WebSocket clients', async t => {
    const path = await create(host, 'apart')
    const client = await join(t, host, 'apart', { state: { name: 'socket' } })
    await show(host, path, [[1, 1, { name: 'in default' }]])
    await show(host, path, [[2, 1, { name: 'in cursors' }]], { name: 'cursors' })
    await until(() => client.others().get(1)?.name === 'in default', 'the socket sees `default`')
    assert.deepEqual([...client.others().keys()], [1])
    assert.deepEqual(names(present((await read(host, path, 'now', { query: { awareness: 'cursors' } })).frames)), { 2: 'in cursors' })
    const both = { 1: 'in default', [client.id]: 'socket' }
    await until(async () => JSON.stringify(names(present((await read(host, path, 'now', { query: DEFAULT })).frames))) === JSON.stringify(both), 'and is seen in `default`')
  })

  test('a WebSocket client is seen by readers of `default` as it comes, moves and goes', async t => {
    const path = await create(host, 'from-ws')
    const events = await stream(t, host, path, 'now', { query: DEFAULT })
    const client = await join(t, host, 'from-ws', { state: { name: 'comes' } })
    const state = () => present(eventFrames(events)).get(client.id)?.name
    await events.got(() => state() === 'comes', 'it comes')
    client.awareness.setLocalState({ name: 'moves' })
    await events.got(() => state() === 'moves', 'it moves')
    client.leave()
    await events.got(() => state() === undefined, 'it goes')
  })

  test('a writer of `default` is seen by a WebSocket client, and removed by its own word', async t => {
    const path = await create(host, 'to-ws')
    const client = await join(t, host, 'to-ws')
    const writer = { id: 4711 }
    await show(host, path, [[4711, 1, { name: 'http' }]])
    await sees(client, writer, { name: 'http' })
    await show(host, path, [[4711, 2, { name: 'moved' }]])
    await sees(client, writer, { name: 'moved' })
    await show(host, path, [[4711, 1, { name: 'late' }]]) // an older clock, out of order
    await show(host, path, [[4711, 3, null]])
    await misses(client, writer)
  })

  test('a state that is not renewed goes within 30 s for all; one that is renewed stays', { timeout: 90_000, ...needs('long-streams') }, async t => {
    const path = await create(host, 'expiry')
    const own = await stream(t, host, path, 'now', { query: DEFAULT })
    const client = await join(t, host, 'expiry')
    await show(host, path, [[1, 1, { name: 'silent' }], [2, 1, { name: 'renews' }]])
    const began = performance.now()
    let clock = 1
    const renewal = setInterval(() => { clock += 1; show(host, path, [[2, clock, { name: 'renews' }]]).catch(() => {}) }, 5_000)
    atEnd(t, () => clearInterval(renewal))
    const removed = await until(async () => {
      const there = present((await read(host, path, 'now', { query: DEFAULT })).frames)
      assert.equal(there.get(2)?.name, 'renews')
      return !there.has(1) && performance.now() - began
    }, 'the silent one is gone for newcomers', 40_000)
    assert.ok(removed > 15_000 && removed < 36_000, `after ${removed} ms`)
    await own.got(() => entriesOf(eventFrames(own)).some(([id, , state]) => id === 1 && state === null), 'and readers are told', 5_000)
    await misses(client, { id: 1 }, 5_000)
    assert.ok(client.others().has(2))
  })

  test('an offset of presence from before a restart brings all who are present now', needs('restart'), async t => {
    const own = await Host.up({ options: ['--long-poll-seconds', '3'] })
    atEnd(t, () => own.down())
    const path = await create(own, 'restart')
    for (let clock = 1; clock < 20; clock++) await show(own, path, [[1, clock, { clock }]])
    const { next } = await read(own, path, 'now', { query: DEFAULT })
    await own.stop()
    await own.start()
    const events = await stream(t, own, path, next, { query: DEFAULT })
    await events.got(({ controls }) => controls.length > 0, 'an answer')
    assert.equal(present(eventFrames(events)).size, 0, 'presence is not stored')
    await show(own, path, [[2, 1, { name: 'two' }]])
    await events.got(() => names(present(eventFrames(events)))[2] === 'two', 'one who came after the restart')
    assert.deepEqual(names(present((await read(own, path, next, { query: DEFAULT })).frames)), { 2: 'two' })
  })

  test('what is no presence is 400', async () => {
    const path = await create(host, 'malformed')
    for (const body of [new Uint8Array(), Uint8Array.of(9), framed(Uint8Array.of(1)), framed(Uint8Array.of(1, 1, 1, 5, 123)), framed(Uint8Array.of(255, 255, 255, 255))]) {
      refused(await ask(host, 'POST', path, { query: DEFAULT, body }), 400, 'INVALID_REQUEST')
    }
    const noJson = framed(Uint8Array.of(1, 5, 1, 3, 120, 120, 120)) // one state, of the text `xxx`
    refused(await ask(host, 'POST', path, { query: DEFAULT, body: noJson }), 400, 'INVALID_REQUEST')
    refused(await ask(host, 'POST', at('no-such'), { query: DEFAULT, body: framed(awarenessUpdate([[1, 1, {}]])) }), 404, 'DOCUMENT_NOT_FOUND')
    refused(await ask(host, 'GET', path + '?awareness=default&offset=snapshot'), 400, 'INVALID_REQUEST')
    refused(await ask(host, 'PATCH', path + '?awareness=default'), 405, 'METHOD_NOT_ALLOWED')
    if (!lacks('raw-paths')) refused(await ask(host, 'GET', path + `?awareness=${'n'.repeat(5000)}&offset=now`), 400, 'INVALID_REQUEST')
    assert.equal(present((await read(host, path, 'now', { query: DEFAULT })).frames).size, 0)
  })
})

describe('presence beside a document read', { concurrency: 8, ...lacking }, () => {
  test('by Server-Sent Events: both come on one connection, each from its own offset', async t => {
    const path = await create(host, 'sse')
    await post(host, path, [writer().push('there')])
    await show(host, path, [[1, 1, { name: 'one' }]])
    const first = await stream(t, host, path, '-1', { query: { presence: 'now' } })
    await first.got(({ controls }) => controls.length > 0 && present(eventFrames(first, 'presence')).size > 0, 'who is present')
    assert.deepEqual(names(present(eventFrames(first, 'presence'))), { 1: 'one' })
    assert.deepEqual(list(applied(eventFrames(first))), ['there'])
    await show(host, path, [[2, 1, { name: 'two' }]])
    await first.got(() => names(present(eventFrames(first, 'presence')))[2] === 'two', 'one more')
    await post(host, path, [writer().push('more')])
    await first.got(() => eventFrames(first).length === 2, 'an edit')
    await until(() => first.events.at(-1).event === 'control', 'the control event of it')
    for (const control of first.controls) {
      assert.equal(typeof control.presenceOffset, 'string')
      assert.equal(typeof control.streamNextOffset, 'string')
    }
    const { streamNextOffset, presenceOffset } = first.controls.at(-1)
    first.abort()
    await show(host, path, [[3, 1, { name: 'three' }]])
    const second = await stream(t, host, path, streamNextOffset, { query: { presence: presenceOffset } })
    await second.got(() => names(present(eventFrames(second, 'presence')))[3] === 'three', 'what was missed')
    assert.equal(entriesOf(eventFrames(second, 'presence')).some(([id]) => id === 1), false, 'what was known is not repeated')
    assert.deepEqual(eventFrames(second), [])
  })

  test('without `presence` none comes and no control event speaks of it', async t => {
    const path = await create(host, 'sse-without')
    const events = await stream(t, host, path, '-1')
    await show(host, path, [[1, 1, {}]])
    await post(host, path, [writer().push(1)])
    await events.got(() => eventFrames(events).length === 1 && events.events.at(-1).event === 'control', 'the edit')
    assert.deepEqual(events.of('presence'), [])
    for (const control of events.controls) assert.equal('presenceOffset' in control, false)
  })

  test('by long-poll: the last bytes of the body are presence, as many as the header says', async t => {
    const path = await create(host, 'poll')
    const { headers: { 'stream-next-offset': tail } } = await post(host, path, [writer().push('there')])
    await show(host, path, [[1, 1, { name: 'one' }]])
    const parts = answer => {
      const split = answer.bytes.length - Number(answer.headers['stream-presence-length'] ?? 0)
      return [unframed(answer.bytes.slice(0, split)), unframed(answer.bytes.slice(split))]
    }
    const first = await poll(t, host, path, '-1', { query: { presence: 'now' } }).ended
    assert.equal(first.status, 200)
    const [frames, states] = parts(first)
    assert.deepEqual(list(applied(frames)), ['there'])
    assert.deepEqual(names(present(states)), { 1: 'one' })
    const known = first.headers['stream-presence-offset']

    const woken = poll(t, host, path, tail, { query: { presence: known } })
    await show(host, path, [[2, 1, { name: 'two' }]])
    const second = await woken.ended
    assert.deepEqual(parts(second).map(part => part.length > 0), [false, true], 'woken by presence alone')
    assert.deepEqual(names(present(parts(second)[1])), { 2: 'two' })
    assert.equal(second.headers['stream-next-offset'], tail)

    const edited = poll(t, host, path, tail, { query: { presence: second.headers['stream-presence-offset'] } })
    await post(host, path, [writer().push('news')])
    const third = await edited.ended
    assert.deepEqual(parts(third).map(part => part.length > 0), [true, false], 'woken by an edit alone')
    assert.equal(third.headers['stream-presence-length'] ?? '0', '0')

    const last = await poll(t, host, path, third.headers['stream-next-offset'], { query: { presence: third.headers['stream-presence-offset'] } }).ended
    assert.equal(last.status, 204)
    assert.equal(last.headers['stream-presence-offset'], third.headers['stream-presence-offset'])
  })

  test('an offset of presence that is none is 400', async () => {
    const path = await create(host, 'malformed-offset')
    for (const presence of ['', 'zzz', '-2', '%20', '0', 'x'.repeat(300)]) {
      for (const live of ['sse', 'long-poll']) {
        refused(await ask(host, 'GET', `${path}?offset=-1&live=${live}&presence=${presence}`), 400, 'INVALID_REQUEST')
      }
    }
  })
})
