// The Durable Streams Yjs protocol: held reads, by long-poll and by Server-Sent Events.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { converge, join } from './client.mjs'
import { atEnd } from './ending.mjs'
import { Host, lacks, needs } from './host.mjs'
import { ask, hold } from './request.mjs'
import { applied, create, delivered, eventFrames, framed, list, poll, post, read, refused, stream, unframed, writer } from './streams.mjs'
import { never, pauseFor, until, within } from './waiting.mjs'

const LONG_POLL = 3
const SSE = 6

const lacking = needs('streams', 'options')
const host = lacking.skip ? undefined : await Host.up({ options: ['--long-poll-seconds', String(LONG_POLL), '--sse-seconds', String(SSE)] })
after(() => host?.down())

const listOf = frames => list(applied(frames))
/** How many edits a reader was told of: each is a frame, unless it may be told of a snapshot that holds some of them. */
const told = frames => lacks('each-update') ? listOf(frames).length : frames.length

describe('long-poll', { concurrency: 8, ...lacking }, () => {
  test('what is there already comes at once', async t => {
    const path = await create(host, 'lp-at-once')
    const { push } = writer()
    await post(host, path, [push(1)])
    for (const live of ['long-poll', 'true']) {
      const held = hold(t, host, path, { query: { offset: '-1', live } })
      const { frames, next, headers } = await delivered(held)
      assert.deepEqual(listOf(frames), [1])
      assert.equal(next, (await read(host, path)).next)
      assert.equal(headers['stream-up-to-date'], 'true')
      assert.match(headers['stream-cursor'], /^\d+$/)
      assert.ok(held.took < 1500, `at once, not after ${held.took} ms`)
    }
  })

  test('it is held until something is stored, and wakes every reader', async t => {
    const path = await create(host, 'lp-wake')
    const { push } = writer()
    const { next } = await read(host, path)
    const readers = [poll(t, host, path, next), poll(t, host, path, 'now'), poll(t, host, path, next)]
    await never(() => readers.some(({ status }) => status !== undefined), 'an answer without news', 300)
    const { headers } = await post(host, path, [push('news')])
    for (const held of readers) {
      const answer = await delivered(held)
      assert.deepEqual(listOf(answer.frames), ['news'])
      if (!lacks('one-offset')) assert.equal(answer.next, headers['stream-next-offset'])
      assert.equal(answer.headers['stream-up-to-date'], 'true')
      assert.match(answer.headers['stream-cursor'], /^\d+$/)
    }
  })

  test('an edit on a WebSocket wakes it', async t => {
    const path = await create(host, 'lp-ws')
    const held = poll(t, host, path, 'now')
    const client = await join(t, host, 'lp-ws')
    client.doc.getArray('list').push(['from a socket'])
    assert.deepEqual(listOf((await delivered(held)).frames), ['from a socket'])
  })

  test('at the deadline it ends with 204, and the offset to go on from', async t => {
    const path = await create(host, 'lp-deadline')
    const { headers: { 'stream-next-offset': next } } = await post(host, path, [writer().push(1)])
    for (const offset of [next, 'now']) {
      const held = poll(t, host, path, offset)
      const answer = await held.ended
      assert.equal(answer.status, 204)
      assert.equal(answer.bytes.length, 0)
      assert.equal(answer.headers['stream-next-offset'], next)
      assert.equal(answer.headers['stream-up-to-date'], 'true')
      assert.match(answer.headers['stream-cursor'], /^\d+$/)
      // A proxy that holds it does so for 5 s at least.
      assert.ok(held.took > LONG_POLL * 500 && held.took < LONG_POLL * 1000 + (lacks('held-limit') ? 5000 : 2000), `held for about ${LONG_POLL} s: ${held.took} ms`)
    }
  })

  test('a cursor that is echoed moves on, so that a cache never answers with itself', async t => {
    const path = await create(host, 'lp-cursor')
    await post(host, path, [writer().push(1)])
    const cursor = async echoed => Number((await poll(t, host, path, '-1', { query: echoed === undefined ? {} : { cursor: echoed } }).ended).headers['stream-cursor'])
    const first = await cursor()
    const interval = Math.floor((Date.now() - Date.UTC(2024, 9, 9)) / 20_000)
    assert.ok(Math.abs(first - interval) <= 1, `${first} is the number of the current interval, ${interval}`)
    const second = await cursor(first)
    assert.ok(second > first, `${second} > ${first}`)
    assert.ok(await cursor(second) > second)
    assert.ok(await cursor(1) >= interval, 'an old one is brought up to date')
  })

  test('a reader that goes away is forgotten; the others are not disturbed', async t => {
    const path = await create(host, 'lp-abort')
    const { push } = writer()
    const stays = poll(t, host, path, 'now')
    // Within the time that the one who stays is held for.
    for (let n = 0; n < (lacks('leaving') ? 10 : lacks('light') ? 40 : 200); n++) {
      const goes = poll(t, host, path, 'now')
      await new Promise(resolve => goes.request.once('socket', socket => socket.once('connect', resolve)))
      goes.abort()
    }
    assert.equal(stays.status, undefined)
    await post(host, path, [push('still')])
    assert.deepEqual(listOf((await delivered(stays)).frames), ['still'])
  })

  test('a reader that goes on from each answer misses nothing of a fast writer and gets nothing twice', async t => {
    const path = await create(host, 'lp-follow')
    const { doc, push } = writer()
    const writing = (async () => { for (let n = 0; n < 200; n++) await post(host, path, [push(n)]) })()
    const got = []
    let offset = '-1'
    await until(async () => {
      const { status, headers, bytes } = await poll(t, host, path, offset).ended
      assert.ok([200, 204].includes(status))
      got.push(...unframed(bytes))
      offset = headers['stream-next-offset']
      return told(got) >= 200
    }, () => `${told(got)} of 200 edits, ${got.length} frames`, 30_000)
    await writing
    assert.equal(told(got), 200)
    assert.deepEqual(listOf(got), list(doc))
  })

  test('a server that stops answers its held reads, so that it can stop', needs('restart'), async t => {
    const own = await Host.up()
    atEnd(t, () => own.down())
    const path = await create(own, 'doc')
    const held = [poll(t, own, path, 'now'), hold(t, own, path, { query: { offset: 'now', live: 'sse' } })]
    await held[1].opened
    await own.stop() // fails long before they would end
    for (const { ended } of held) await ended.catch(() => {}) // an answer or a closed connection, but not silence
  })
})

describe('Server-Sent Events', { concurrency: 8, ...lacking }, () => {
  test('the headers say how to read it', async t => {
    const path = await create(host, 'sse-headers')
    const { status, headers } = await stream(t, host, path, '-1')
    assert.equal(status, 200)
    assert.match(headers['content-type'], /^text\/event-stream/)
    assert.equal(headers['stream-sse-data-encoding'], 'base64')
    assert.equal(headers['x-accel-buffering'], 'no')
    assert.match(headers['cache-control'], /no-(cache|store)/)
    assert.equal(headers.etag, undefined)
  })

  test('an empty document says at once that it is up to date', async t => {
    const path = await create(host, 'sse-empty')
    const events = await stream(t, host, path, '-1')
    await events.got(({ controls }) => controls.length > 0, 'a control event')
    const [control] = events.controls
    assert.equal(control.upToDate, true)
    assert.equal(control.streamNextOffset, (await read(host, path)).next)
    assert.match(control.streamCursor, /^\d+$/)
    assert.deepEqual(events.of('data'), [])
    assert.equal('streamClosed' in control, false)
  })

  test('what is there comes first, what is stored later follows, each data event before its control event', async t => {
    const path = await create(host, 'sse-order')
    const { doc, push } = writer()
    await post(host, path, [push('before')])
    const events = await stream(t, host, path, '-1')
    await events.got(() => eventFrames(events).length === 1, 'what is there')
    for (let n = 0; n < 20; n++) await post(host, path, [push(n)])
    await events.got(() => told(eventFrames(events)) === 21, 'the rest')
    const tail = (await read(host, path)).next
    await events.got(({ controls }) => controls.at(-1).streamNextOffset === tail, 'the control event of the last')
    assert.deepEqual(listOf(eventFrames(events)), list(doc))
    const names = events.events.map(({ event }) => event)
    assert.equal(names[0], 'data')
    assert.equal(names.at(-1), 'control')
    const offsets = events.controls.map(({ streamNextOffset }) => streamNextOffset)
    assert.deepEqual(offsets, [...offsets].sort())
    for (const { upToDate } of events.controls) assert.equal(upToDate, true)
  })

  test('from an offset and from `now` only what is newer comes', async t => {
    const path = await create(host, 'sse-from')
    const { push } = writer()
    await post(host, path, [push('old')])
    const { next } = await read(host, path)
    const both = await Promise.all([stream(t, host, path, next), stream(t, host, path, 'now')])
    for (const events of both) await events.got(({ controls }) => controls.length > 0, 'a control event')
    const [newer] = [push('new')]
    await post(host, path, [newer])
    for (const events of both) {
      await events.got(() => eventFrames(events).length > 0, 'the edit')
      assert.deepEqual(eventFrames(events).map(frame => [...frame]), [[...newer]])
    }
  })

  test('an edit of a WebSocket client arrives, and a POST arrives at a WebSocket', async t => {
    const path = await create(host, 'sse-ws')
    const client = await join(t, host, 'sse-ws')
    const events = await stream(t, host, path, '-1')
    client.doc.getArray('list').push(['ws'])
    await events.got(() => eventFrames(events).length > 0, 'the edit of the socket')
    assert.deepEqual(listOf(eventFrames(events)), ['ws'])
    const { doc, push } = writer()
    applied(eventFrames(events), doc)
    await post(host, path, [push('http')])
    await converge([client, { doc, name: 'writer', report: '' }])
    assert.deepEqual(list(client.doc), ['ws', 'http'])
  })

  test('what waits for a missing update is delivered as it was written', async t => {
    const path = await create(host, 'sse-pending')
    const { updates, push } = writer()
    for (const word of ['one', 'two', 'three']) push(word)
    const events = await stream(t, host, path, '-1')
    await post(host, path, [updates[2]])
    await post(host, path, [updates[1]])
    await post(host, path, [updates[0]])
    await events.got(() => listOf(eventFrames(events)).length === 3, 'all three')
  })

  test('it ends after the deadline, cleanly, and the next one goes on from there without a gap', async t => {
    const path = await create(host, 'sse-deadline')
    const { doc, push } = writer()
    let over = false
    const writing = (async () => { while (!over) { await post(host, path, [push(doc.getArray('list').length)]); await pauseFor(20) } })()
    const began = performance.now()
    const first = await stream(t, host, path, '-1')
    await first.ended
    const took = performance.now() - began
    assert.ok(took > SSE * 500 && took < SSE * 1000 + 2500, `after about ${SSE} s: ${took} ms`)
    const next = first.controls.at(-1).streamNextOffset
    assert.equal(first.events.at(-1).event, 'control', 'its last word is from where to go on')
    const second = await stream(t, host, path, next)
    over = true
    await writing
    const both = () => [...eventFrames(first), ...eventFrames(second)]
    await second.got(() => told(both()) >= list(doc).length, 'all that was written')
    assert.deepEqual(listOf(both()), list(doc))
    assert.equal(told(both()), list(doc).length, 'nothing twice')
  })

  test('a HEAD or a POST does not hold, whatever `live` says', async t => {
    const path = await create(host, 'sse-head')
    assert.ok((await ask(host, 'HEAD', path + '?offset=now&live=sse', { ms: 1500 })).status < 500)
    assert.ok((await ask(host, 'POST', path + '?offset=now&live=sse', { body: framed(writer().push(1)), ms: 1500 })).status < 500)
  })
})

describe('held reads with the deadlines of the house', { concurrency: true, ...needs('streams') }, () => {
  const own = needs('streams').skip ? undefined : Host.up()
  after(async () => (await own)?.down())

  test('a long-poll is held for 20 to 30 seconds', { timeout: 60_000 }, async t => {
    const path = await create(await own, 'default-poll')
    const held = poll(t, await own, path, 'now')
    assert.equal((await held.ended).status, 204)
    assert.ok(held.took > 15_000 && held.took < 30_000, `${held.took} ms`)
  })

  test('a silent stream of events carries a comment every 15 seconds, for the proxies on its way', { timeout: 60_000, ...needs('long-streams') }, async t => {
    const path = await create(await own, 'default-comment')
    const began = performance.now()
    const events = await stream(t, await own, path, '-1')
    await events.got(({ comments }) => comments.length > 0, 'a comment', 20_000)
    assert.ok(performance.now() - began > 5_000, 'not all the time')
    await events.got(({ comments }) => comments.length > 1, 'another one', 20_000)
    assert.equal(events.held.over, undefined)
  })
})

describe('too many held reads', needs('streams', 'options', 'held-limit'), () => {
  test('those beyond the limit of a document are asked to come back later; other documents are not', async t => {
    const own = await Host.up({ options: ['--max-held-per-document', '3'] })
    atEnd(t, () => own.down())
    const path = await create(own, 'busy')
    const streams = []
    for (let n = 0; n < 3; n++) streams.push(await stream(t, own, path, 'now'))
    for (const live of ['sse', 'long-poll']) {
      // Where several share a document each has a limit of its own.
      const tries = Array.from({ length: lacks('one-owner') ? 40 : 1 }, () => hold(t, own, path, { query: { offset: 'now', live } }))
      const answer = await within(Promise.race(tries.map(({ ended }) => ended)), 'one is refused', 15_000)
      tries.forEach(held => held.abort())
      refused(answer, 429, 'RATE_LIMITED')
      assert.match(answer.headers['retry-after'], /^[1-9]\d*$/)
    }
    assert.equal((await ask(own, 'GET', path)).status, 200, 'a read that is not held')
    await post(own, path, [writer().push(1)])
    assert.equal((await stream(t, own, await create(own, 'other'), 'now')).status, 200)
    streams[0].abort()
    await until(async () => (await stream(t, own, path, 'now').catch(() => ({}))).status === 200, 'the place of one that left is free', lacks('leaving') ? 40_000 : undefined)
  })
})
