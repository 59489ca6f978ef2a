// The Durable Streams Yjs protocol: creating and reading a document. Each test has a document of its own.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import * as Y from 'yjs'
import { join } from './client.mjs'
import { atEnd } from './ending.mjs'
import { Host, lacks, needs } from './host.mjs'
import { dial } from './raw.mjs'
import { ask } from './request.mjs'
import { applied, at, create, framed, list, poll, post, read, readDocument, refused, unframed, writer } from './streams.mjs'
import { until } from './waiting.mjs'

const lacking = needs('streams')
const host = lacking.skip ? undefined : await Host.up()
after(() => host?.down())

const OFFSET = /^[^,&=?/]{1,255}$/

describe('creating', { concurrency: 4, ...lacking }, () => {
  test('PUT creates once: 201 with its address and offset, then 200', async () => {
    const path = at('create')
    const first = await ask(host, 'PUT', path)
    assert.equal(first.status, 201)
    assert.equal(new URL(first.headers.location, host.url + path).pathname, path)
    assert.match(first.headers['stream-next-offset'], OFFSET)
    const again = await ask(host, 'PUT', path)
    assert.equal(again.status, 200)
    assert.equal(again.headers['stream-next-offset'], first.headers['stream-next-offset'])
  })

  test('PUT takes any content type, as clients send one without a body', async () => {
    for (const type of ['application/octet-stream', 'text/plain']) {
      assert.ok([200, 201].includes((await ask(host, 'PUT', at('type'), { headers: { 'content-type': type } })).status))
    }
  })

  test('PUT with a body is refused and creates nothing', async () => {
    refused(await ask(host, 'PUT', at('body'), { body: 'x' }), 400, 'INVALID_REQUEST')
    refused(await ask(host, 'GET', at('body')), 404, 'DOCUMENT_NOT_FOUND')
  })

  test('two PUTs at once: one 201, the other 200', needs('one-creator'), async () => {
    for (let round = 0; round < 10; round++) {
      const answers = await Promise.all([1, 2, 3].map(() => ask(host, 'PUT', at(`race-${round}`))))
      assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 200, 201])
    }
  })

  test('a document that nobody made answers 404 to everything', async () => {
    const path = at('missing')
    for (const query of ['', '?offset=-1', '?offset=now', '?offset=snapshot', '?offset=0000000000000001_snapshot', '?offset=-1&live=long-poll',
      '?offset=-1&live=sse', '?awareness=default&offset=now', '?awareness=other&offset=now']) {
      const answer = await ask(host, 'GET', path + query)
      assert.equal(answer.status, 404, query)
      assert.ok(['DOCUMENT_NOT_FOUND', 'SNAPSHOT_NOT_FOUND'].includes(answer.json.error.code), `${query}: ${answer.text}`)
    }
    refused(await ask(host, 'POST', path, { body: framed(writer().push(1)) }), 404, 'DOCUMENT_NOT_FOUND')
    refused(await ask(host, 'DELETE', path), 404, 'DOCUMENT_NOT_FOUND')
    refused(await ask(host, 'PUT', path + '?awareness=default'), 404, 'DOCUMENT_NOT_FOUND')
    assert.equal((await ask(host, 'HEAD', path)).status, 404)
    refused(await ask(host, 'GET', path), 404, 'DOCUMENT_NOT_FOUND')
  })

  test('a document that a WebSocket wrote is there without a PUT, and the other way round', needs('sockets'), async t => {
    const raw = await dial(t, host, '/ws/both/ways')
    const ws = writer()
    raw.step2(Y.encodeStateAsUpdate(ws.doc))
    raw.update(ws.push('from the socket'))
    await raw.stored()
    assert.equal((await ask(host, 'PUT', at('both/ways'))).status, 200)
    await post(host, at('both/ways'), [writer().push('from a POST')])
    assert.deepEqual(list(applied([await raw.roundTrip()])).sort(), ['from a POST', 'from the socket'])
    assert.deepEqual(list(await readDocument(host, at('both/ways'))).sort(), ['from a POST', 'from the socket'])
  })

  test('opening a WebSocket and going without a word creates nothing', needs('sockets'), async t => {
    const raw = await dial(t, host, '/ws/only/looking')
    await raw.roundTrip()
    raw.socket.close()
    await raw.untilClosed()
    assert.equal((await ask(host, 'HEAD', at('only/looking'))).status, 404)
  })

  test('HEAD tells the offset of the tail, and no body', async () => {
    const path = await create(host, 'head')
    const { headers } = await post(host, path, [writer().push(1)])
    const head = await ask(host, 'HEAD', path)
    assert.equal(head.status, 200)
    assert.equal(head.headers['stream-next-offset'], headers['stream-next-offset'])
    assert.equal(head.bytes.length, 0)
  })
})

describe('reading', { concurrency: 4, ...lacking }, () => {
  test('a new document is empty and up to date', async () => {
    const path = await create(host, 'empty')
    for (const query of ['', '?offset=-1', '?offset=now']) {
      const answer = await ask(host, 'GET', path + query)
      assert.equal(answer.status, 200)
      assert.deepEqual(unframed(answer.bytes), [])
      assert.equal(answer.headers['stream-up-to-date'], 'true')
      assert.match(answer.headers['content-type'], /^application\/octet-stream/)
      assert.match(answer.headers['stream-next-offset'], OFFSET)
    }
  })

  test('discovery sends a new reader to the beginning', async () => {
    const path = await create(host, 'discovery')
    const answer = await ask(host, 'GET', path + '?offset=snapshot')
    assert.equal(answer.status, 307)
    assert.equal(answer.headers['cache-control'], 'private, max-age=5')
    const to = new URL(answer.headers.location, host.url + path)
    assert.equal(to.pathname, path)
    assert.equal(to.searchParams.get('offset'), '-1')
    const kept = await ask(host, 'GET', path + '?token=t&offset=snapshot&x=1')
    assert.equal(new URL(kept.headers.location, host.url + path).searchParams.get('token'), 't', 'the token goes along')
  })

  test('frames come in order, each once, after the offset that is asked for', async () => {
    const path = await create(host, 'frames')
    const { push, updates } = writer()
    const offsets = [(await read(host, path)).next]
    for (let n = 0; n < 6; n++) {
      push(n)
      offsets.push((await post(host, path, [updates[n]])).headers['stream-next-offset'])
    }
    for (const [n, offset] of offsets.entries()) {
      const { frames, next, headers } = await read(host, path, offset)
      assert.deepEqual(frames.map(frame => [...frame]), updates.slice(n).map(update => [...update]), `after ${n}`)
      if (!lacks('one-offset')) assert.equal(next, offsets.at(-1))
      assert.equal(headers['stream-up-to-date'], 'true')
    }
    assert.deepEqual(list(await readDocument(host, path)), [0, 1, 2, 3, 4, 5])
    assert.deepEqual(list(applied((await read(host, path, '-1')).frames)), [0, 1, 2, 3, 4, 5])
  })

  test('offsets grow strictly, sort as text, and hold no character that means something in a URL', async () => {
    const path = await create(host, 'offsets')
    const { push } = writer()
    const offsets = [(await read(host, path)).next]
    for (let n = 0; n < 300; n++) offsets.push((await post(host, path, [push(n)])).headers['stream-next-offset'])
    for (const [n, offset] of offsets.entries()) {
      assert.match(offset, OFFSET)
      assert.doesNotMatch(offset, /^(-1|now)$|_snapshot$/)
      if (n > 0) assert.ok(offset > offsets[n - 1], `${offsets[n - 1]} < ${offset}`)
    }
  })

  test('offsets survive a restart and go on growing', needs('restart'), async t => {
    const own = await Host.up()
    atEnd(t, () => own.down())
    const path = await create(own, 'restart')
    const { push, updates } = writer()
    const offsets = []
    for (let n = 0; n < 5; n++) offsets.push((await post(own, path, [push(n)])).headers['stream-next-offset'])
    await own.stop()
    await own.start()
    assert.equal((await ask(own, 'HEAD', path)).headers['stream-next-offset'], offsets.at(-1))
    assert.deepEqual((await read(own, path, offsets[2])).frames.map(frame => [...frame]), updates.slice(3).map(update => [...update]))
    assert.ok((await post(own, path, [push(5)])).headers['stream-next-offset'] > offsets.at(-1))
  })

  test('an ETag is answered with 304 as long as nothing is written', async () => {
    const path = await create(host, 'etag')
    const { push } = writer()
    await post(host, path, [push(1)])
    const first = await read(host, path)
    assert.match(first.headers.etag, /^(W\/)?".+"$/)
    const again = await ask(host, 'GET', path + '?offset=-1', { headers: { 'if-none-match': first.headers.etag } })
    assert.equal(again.status, 304)
    assert.equal(again.bytes.length, 0)
    assert.equal(again.headers.etag, first.headers.etag)
    assert.equal((await ask(host, 'GET', path + '?offset=-1', { headers: { 'if-none-match': '"other"' } })).status, 200)
    await post(host, path, [push(2)])
    const changed = await ask(host, 'GET', path + '?offset=-1', { headers: { 'if-none-match': first.headers.etag } })
    assert.equal(changed.status, 200)
    assert.notEqual(changed.headers.etag, first.headers.etag)
    assert.equal(unframed(changed.bytes).length, 2)
    const later = await read(host, path, first.next)
    assert.notEqual(later.headers.etag, changed.headers.etag, 'another offset is another answer')
  })

  test('`now` gives the tail and is not for a cache to keep', async () => {
    const path = await create(host, 'now')
    const { push, updates } = writer()
    await post(host, path, [push(1)])
    const now = await read(host, path, 'now')
    assert.deepEqual(now.frames, [])
    assert.equal(now.headers['stream-up-to-date'], 'true')
    assert.ok(now.headers.etag === undefined || /no-store/.test(now.headers['cache-control']), JSON.stringify(now.headers))
    push(2)
    await post(host, path, [updates[1]])
    assert.deepEqual((await read(host, path, now.next)).frames.map(frame => [...frame]), [[...updates[1]]])
  })

  test('an offset beyond the end gets everything at once, also when it asks to be held', needs('foreign-places'), async t => {
    const path = await create(host, 'beyond')
    const { push } = writer()
    await post(host, path, [push(1, 2)])
    const { next } = await read(host, path)
    const beyond = next.replace(/^./, 'f')
    const answer = await read(host, path, beyond)
    assert.deepEqual(list(applied(answer.frames)), [1, 2])
    assert.equal(answer.next, next)
    const held = await poll(t, host, path, beyond).ended
    assert.deepEqual(list(applied(unframed(held.bytes))), [1, 2])
    assert.equal(held.headers['stream-next-offset'], next)
  })

  test('what is no offset is 400', async () => {
    const path = await create(host, 'malformed')
    for (const offset of ['', 'zzz', '-2', '0', '1', '%20', '%00', '-1%20', 'NOW', 'snapshots', '_snapshot', 'zzz_snapshot', '-1_snapshot', 'now_snapshot',
      '0000000000000000_', '%F0%9F%9A%80', 'a'.repeat(300), '0000000000000000/', "0'--"]) {
      for (const live of ['', '&live=long-poll', '&live=sse']) {
        refused(await ask(host, 'GET', `${path}?offset=${offset}${live}`), 400, 'INVALID_REQUEST')
      }
    }
  })

  test('parameters that contradict themselves are 400', async () => {
    const path = await create(host, 'contradiction')
    for (const query of ['offset=-1&offset=-1', 'offset=-1&offset=now', 'offset=snapshot&offset=-1', 'live=long-poll', 'live=sse', 'live=true',
      'offset=-1&live=', 'offset=-1&live=zzz', 'offset=-1&live=sse&live=long-poll', 'offset=-1&live=long-poll&cursor=abc', 'awareness=&offset=now',
      'offset=snapshot&live=sse', 'offset=-1&presence=zzz&live=sse']) {
      refused(await ask(host, 'GET', `${path}?${query}`), 400, 'INVALID_REQUEST')
    }
  })

  test('parameters that nobody knows are ignored', async () => {
    const path = await create(host, 'unknown')
    assert.equal((await ask(host, 'GET', path + '?offset=-1&z=1&utm=%20')).status, 200)
  })

  test('a snapshot that never was is 404', async () => {
    const path = await create(host, 'no-snapshot')
    const { next } = await read(host, path)
    refused(await ask(host, 'GET', `${path}?offset=${next}_snapshot`), 404, 'SNAPSHOT_NOT_FOUND')
  })

  test('edits of a real WebSocket client are delivered as frames that a reader can apply', async t => {
    const client = await join(t, host, 'from-ws')
    for (const word of ['one ', 'two ', 'three']) client.doc.getText('text').insert(client.doc.getText('text').length, word)
    client.doc.getText('text').delete(0, 4)
    const path = at('from-ws')
    await until(async () => (await ask(host, 'HEAD', path)).status === 200 && (await readDocument(host, path)).getText('text').toString() === 'two three',
      'what was stored can be read')
    const http = await join(t, host, 'from-ws', { transport: 'HTTP long-poll' })
    assert.equal(http.doc.getText('text').toString(), 'two three')
  })
})
