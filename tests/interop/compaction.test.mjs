// Compaction: the log becomes a snapshot and a tail. Nobody who reads or writes meanwhile notices.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import * as Y from 'yjs'
import { converge, join, taken } from './client.mjs'
import { atEnd } from './ending.mjs'
import { Host, lacks, needs, SHORT_DEADLINES } from './host.mjs'
import { dial } from './raw.mjs'
import { ask } from './request.mjs'
import { applied, create, eventFrames, list, poll, post, read, readDocument, stream, unframed, writer } from './streams.mjs'
import { until } from './waiting.mjs'

const lacking = needs('streams', 'options')
const COMPACT = ['--compact-kb', '1', '--compact-updates', '20']
const host = lacking.skip ? undefined : await Host.up({ options: [...COMPACT, ...SHORT_DEADLINES] })
after(() => host?.down())

const numbers = (from, to) => Array.from({ length: to - from }, (_, n) => from + n)

describe('compaction', { concurrency: 4, ...lacking }, () => {
  test('discovery then leads to a snapshot, which with its tail is the document', async () => {
    const path = await create(host, 'discovery')
    const { doc, push } = writer()
    await fill(path, push, 100)
    const { offset, answer } = await snapshotOf(path)
    assert.match(answer.headers['content-type'], /^application\/octet-stream/)
    const tail = await read(host, path, offset)
    assert.ok(tail.frames.length < 100, `${tail.frames.length} frames after the snapshot`)
    assert.deepEqual(list(applied([answer.bytes, ...tail.frames])), list(doc))
  })

  test('who still asks for a snapshot that was replaced gets the new one, and goes on from there', async () => {
    const path = await create(host, 'next')
    const { doc, push } = writer()
    await fill(path, push, 60)
    const first = await snapshotOf(path)
    for (let round = 0; round < 20; round++) {
      await fill(path, push, 60)
      if ((await snapshotOf(path)).offset !== first.offset) break
    }
    const answer = await ask(host, 'GET', `${path}?offset=${first.offset}_snapshot`)
    assert.equal(answer.status, 200)
    const offset = answer.headers['stream-next-offset']
    assert.ok(offset > first.offset)
    assert.deepEqual(list(applied([answer.bytes, ...(await read(host, path, offset)).frames])), list(doc))
  })

  test('every offset that was ever handed out still gives the rest of the document', async () => {
    const path = await create(host, 'every-offset')
    const { doc, push } = writer()
    const states = [[(await read(host, path)).next, Y.encodeStateAsUpdate(doc)]]
    for (let n = 0; n < 150; n++) {
      const { headers } = await post(host, path, [push(n)])
      states.push([headers['stream-next-offset'], Y.encodeStateAsUpdate(doc)])
    }
    await snapshotOf(path)
    for (const [offset, known] of states) {
      const { frames, next } = await read(host, path, offset)
      assert.deepEqual(list(applied([known, ...frames])), numbers(0, 150), `from ${offset}`)
      if (!lacks('one-offset')) assert.equal(next, states.at(-1)[0])
    }
    const offsets = states.map(([offset]) => offset)
    assert.deepEqual(offsets, [...new Set(offsets)].sort(), 'compaction takes no offset twice')
  })

  test('readers of every kind that follow a fast writer miss nothing and lose their place never', async t => {
    const path = await create(host, 'follow')
    const { doc, push } = writer()
    const events = await stream(t, host, path, '-1')
    const polled = new Y.Doc()
    let offset = '-1'
    let over = false
    const polling = (async () => {
      while (list(polled).length < 400 && !over) {
        const { headers, bytes } = await poll(t, host, path, offset).ended
        applied(unframed(bytes), polled)
        assert.ok(headers['stream-next-offset'] >= offset || offset === '-1')
        offset = headers['stream-next-offset']
      }
    })()
    const caughtUp = new Y.Doc() // reads now and then only
    let place = '-1'
    for (let n = 0; n < 400; n++) {
      await post(host, path, [push(n)])
      if (n % 37 === 0) {
        const answer = await read(host, path, place)
        applied(answer.frames, caughtUp)
        place = answer.next
        assert.deepEqual(list(caughtUp), numbers(0, n + 1))
      }
    }
    await snapshotOf(path)
    await until(() => list(polled).length === 400, () => `the long-poll reader has ${list(polled).length}`).finally(() => { over = true })
    await polling
    assert.deepEqual(list(polled), list(doc))
    let frames = eventFrames(events)
    if (events.held.over) { // its deadline came; it goes on as a client does
      const more = await stream(t, host, path, events.controls.at(-1).streamNextOffset)
      await more.got(() => list(applied([...eventFrames(events), ...eventFrames(more)])).length === 400, 'the rest')
      frames = [...frames, ...eventFrames(more)]
    } else {
      await events.got(() => eventFrames(events).length >= 400, 'all events')
      frames = eventFrames(events)
    }
    assert.deepEqual(list(applied(frames)), list(doc))
  })

  test('clients of every kind that edit through it converge', async t => {
    const clients = await Promise.all(taken().map(transport => join(t, host, 'everyone', { transport })))
    for (let round = 0; round < 40; round++) {
      clients.forEach(({ doc }, i) => {
        doc.getText('text').insert(0, `${i}:${round} `)
        if (round % 5 === 0) doc.getText('text').delete(0, 2)
      })
      await new Promise(resolve => setImmediate(resolve))
    }
    await converge(clients, 30_000)
    const late = await Promise.all(taken().map(transport => join(t, host, 'everyone', { transport })))
    await converge([...clients, ...late])
  })

  test('a writer is not held up by it', async () => {
    const path = await create(host, 'latency')
    const { push } = writer()
    const took = []
    for (let n = 0; n < 300; n++) {
      const update = push('x'.repeat(200) + n)
      const began = performance.now()
      await post(host, path, [update])
      took.push(performance.now() - began)
    }
    await snapshotOf(path)
    took.sort((a, b) => a - b)
    // A compaction takes milliseconds here, and so would a wait for it: this is for one that never ends.
    assert.ok(took.at(-1) < 15_000, `the slowest of 300 took ${took.at(-1)} ms, the median ${took[150]} ms`)
  })

  test('what waits for a missing update is not compacted away', async () => {
    const path = await create(host, 'pending')
    const late = writer()
    for (const word of ['one', 'two', 'three']) late.push(word)
    await post(host, path, [late.updates[2]])
    const { push } = writer()
    await fill(path, push, 100)
    await snapshotOf(path)
    assert.equal(list(await readDocument(host, path)).includes('three'), false)
    await post(host, path, late.updates.slice(0, 2))
    const all = list(await readDocument(host, path))
    for (const word of ['one', 'two', 'three']) assert.ok(all.includes(word), `${word} is there`)
    assert.equal(all.length, 103)
  })

  test('deleted content stays deleted and costs no more than the rest', async () => {
    const path = await create(host, 'deleted')
    const doc = new Y.Doc()
    const updates = []
    doc.on('update', update => updates.push(update))
    for (let n = 0; n < 60; n++) {
      doc.getText('text').insert(0, 'y'.repeat(100))
      doc.getText('text').delete(0, 100)
      await post(host, path, updates.splice(0))
    }
    doc.getText('text').insert(0, 'left')
    await post(host, path, updates.splice(0))
    const { answer } = await snapshotOf(path)
    assert.ok(answer.bytes.length < 6000, `${answer.bytes.length} bytes`)
    assert.equal((await readDocument(host, path)).getText('text').toString(), 'left')
  })

  test('a restart finds snapshot and tail as they were', needs('restart'), async t => {
    const own = await Host.up({ options: COMPACT })
    atEnd(t, () => own.down())
    const path = await create(own, 'restart')
    const { doc, push } = writer()
    const oldest = (await read(own, path)).next
    await fill(path, push, 110, own)
    const { offset } = await snapshotOf(path, own)
    const { next } = await read(own, path)
    assert.ok(oldest < offset)
    for (const end of ['stop', 'kill']) {
      await own[end]()
      await own.start()
      const again = await snapshotOf(path, own)
      assert.ok(again.offset >= offset)
      const last = (await read(own, path)).next
      // A snapshot that was made meanwhile is an entry of its own where others write as well.
      if (lacks('one-owner')) assert.ok(last >= next, `${last} >= ${next}`)
      else assert.equal(last, next)
      assert.deepEqual(list(applied([again.answer.bytes, ...(await read(own, path, again.offset)).frames])), list(doc))
      for (const from of ['-1', oldest]) { // an offset older than the log that is kept
        const { frames } = await read(own, path, from)
        assert.ok(frames.length < 110, `${frames.length} frames`)
        assert.ok(list(applied(frames.slice(0, 1))).length > 1, 'the snapshot is the first frame')
        assert.deepEqual(list(applied(frames)), list(doc))
      }
      if (lacks('sockets')) continue
      const raw = await dial(t, own, '/ws/restart')
      assert.deepEqual(list(applied([await raw.roundTrip()])), list(doc))
    }
  })
})

async function fill (path, push, count, own = host) {
  for (let n = 0; n < count; n++) await post(own, path, [push(n)])
}

/** The snapshot that a new reader is sent to, once there is one: `{ offset, answer }`. */
function snapshotOf (path, own = host) {
  return until(async () => {
    const { headers } = await ask(own, 'GET', path + '?offset=snapshot')
    const offset = new URL(headers.location, own.url + path).searchParams.get('offset')
    if (!offset.endsWith('_snapshot')) return
    const answer = await ask(own, 'GET', `${path}?offset=${offset}`)
    assert.equal(answer.status, 200)
    const next = answer.headers['stream-next-offset']
    assert.ok(`${next}_snapshot` >= offset, `${next}: it, or what replaced it meanwhile`)
    return { offset: next, answer }
  }, `a snapshot of ${path}`)
}
