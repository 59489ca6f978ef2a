// HTTP/2 without TLS, by prior knowledge, as a proxy or a service in the same network speaks it: many held requests
// share one connection with the edits that wake them.
import assert from 'node:assert/strict'
import { constants } from 'node:http2'
import { createConnection } from 'node:net'
import { after, describe, test } from 'node:test'
import { converge, join } from './client.mjs'
import { dialH2 } from './h2.mjs'
import { Host, needs } from './host.mjs'
import { metric, untilHeld } from './metrics.mjs'
import { mint, seconds } from './token.mjs'
import { applied, at, create, eventFrames, framed, list, post, read, readDocument, refused, unframed, writer } from './streams.mjs'
import { until, within } from './waiting.mjs'

const options = needs('http2', 'streams', 'options', 'metrics')
const READERS = 40
const KEY = 'k1:a key that signs the tokens of these tests'

const host = options.skip ? undefined : await Host.up({ options: ['--long-poll-seconds', '20'] })
after(() => host?.down())

describe('HTTP/2 by prior knowledge', options, () => {
  test('what HTTP/1.1 answers, it answers', async t => {
    const connection = await dialH2(t, host.url)
    const path = at('h2/plain')
    assert.equal((await connection.ask('GET', '/ready')).status, 200)
    const created = await connection.ask('PUT', path)
    assert.equal(created.status, 201, created.text)
    assert.equal(new URL(created.headers.location, host.url).pathname, path)
    const { push } = writer()
    const posted = await connection.ask('POST', path, { body: framed(push('x')) })
    assert.equal(posted.status, 204, posted.text)
    const answer = await connection.ask('GET', path, { query: { offset: '-1' } })
    assert.deepEqual(list(applied(unframed(answer.bytes))), ['x'])
    assert.equal(answer.headers['stream-next-offset'], posted.headers['stream-next-offset'])
    assert.equal(answer.headers['access-control-allow-origin'], '*')
    assert.equal((await connection.ask('GET', path, { headers: { 'if-none-match': answer.headers.etag }, query: { offset: '-1' } })).status, 304)
    const head = await connection.ask('HEAD', path)
    assert.deepEqual([head.status, head.bytes.length], [200, 0])
    refused(await connection.ask('PATCH', path), 405, 'METHOD_NOT_ALLOWED')
    refused(await connection.ask('GET', '/nowhere'), 404, 'NOT_FOUND')
    refused(await connection.ask('GET', '/ws/h2/plain'), 426, 'UPGRADE_REQUIRED')
  })

  test('a token is read from either place', async t => {
    const guarded = await Host.up({ keys: [KEY] })
    t.after(() => guarded.down())
    const connection = await dialH2(t, guarded.url)
    const token = mint(KEY.split(':')[1], { prefix: '', perm: 'write', exp: seconds(60) }, { kid: 'k1' })
    refused(await connection.ask('PUT', at('doc')), 401, 'UNAUTHORIZED')
    assert.equal((await connection.ask('PUT', at('doc'), { headers: { authorization: `Bearer ${token}` } })).status, 201)
    assert.equal((await connection.ask('PUT', at('doc'), { query: { token } })).status, 200)
  })

  test(`${READERS} event streams and ${READERS} long-polls on one connection get the edits that are posted beside them`, async t => {
    const { connection, path, next, push } = await shared(t, 'h2/together')
    const streams = await Promise.all(Array.from({ length: READERS }, () => connection.listen(path, { query: { offset: next, live: 'sse' } })))
    const polls = Array.from({ length: READERS }, () => connection.hold(path, { query: { offset: next, live: 'long-poll' } }))
    await untilHeld(host, 2 * READERS, 'all')
    assert.equal(await metric(host, 'connections'), 0, 'and none of them counts as a socket')
    const { status, text } = await connection.ask('POST', path, { body: framed(push(1), push(2)) })
    assert.equal(status, 204, text)
    for (const poll of polls) {
      const answer = await within(poll.ended, 'a poll is answered')
      assert.deepEqual(list(applied(unframed(answer.bytes))), [1, 2])
    }
    await connection.ask('POST', path, { body: framed(push(3)) })
    await until(() => streams.every(events => list(applied(eventFrames(events))).length === 3), 'all streams have all edits')
    for (const events of streams) events.abort()
    await untilHeld(host, 0, 'all are reset')
    assert.equal((await connection.ask('GET', '/ready')).status, 200, 'and the connection goes on')
  })

  test('streams that are reset at any moment are gone, and their neighbours stay', async t => {
    const { connection, path, next, push } = await shared(t, 'h2/resets')
    const kept = await connection.listen(path, { query: { offset: next, live: 'sse' } })
    for (let round = 0; round < 20; round++) {
      const live = round % 2 === 0 ? 'sse' : 'long-poll'
      // Before the server has looked at them, while it opens them (not more than it takes for an attack), once they are held.
      const count = round % 3 === 2 ? READERS : 10
      const some = Array.from({ length: count }, () => connection.hold(path, { query: { offset: next, live } }))
      if (round % 3 === 1) await connection.ping()
      if (round % 3 === 2) await untilHeld(host, count + 1, 'all')
      const code = round % 4 < 2 ? constants.NGHTTP2_CANCEL : constants.NGHTTP2_INTERNAL_ERROR
      for (const held of some) held.abort(code)
      await untilHeld(host, 1, `all but one are reset in round ${round}`)
      assert.equal(connection.goaway, undefined)
    }
    await connection.ask('POST', path, { body: framed(push('after the resets')) })
    await kept.got(() => eventFrames(kept).length > 0, 'the stream that was never reset gets the edit')
    kept.abort()
    await untilHeld(host, 0, 'none')
  })

  test('a connection that resets far more than it reads is closed, and nothing else is', async t => {
    const { connection, path, next } = await shared(t, 'h2/rapid')
    const other = await dialH2(t, host.url)
    // Only those count that are reset before the server has come to read them: a server that is fast needs more of them.
    for (let round = 0; round < 200 && connection.goaway === undefined && !connection.session.destroyed; round++) {
      for (let n = 0; n < 100 && !connection.session.destroyed; n++) {
        connection.hold(path, { query: { offset: next, live: 'sse' } }).abort()
      }
      await connection.ping().catch(() => {})
    }
    await until(() => connection.session.destroyed, 'the connection is closed')
    assert.equal(connection.goaway, constants.NGHTTP2_ENHANCE_YOUR_CALM)
    assert.equal((await other.ask('GET', '/ready')).status, 200)
    await untilHeld(host, 0, 'none')
  })

  test('a POST that is reset half-way stores nothing', async t => {
    const { connection, path, push } = await shared(t, 'h2/half')
    const body = framed(push('a'), push('b'.repeat(60_000)))
    const headers = { ':method': 'POST', ':path': path, 'content-length': String(body.length) }
    const half = connection.session.request(headers)
    half.on('error', () => {})
    half.write(body.subarray(0, body.length / 2)) // the first update is whole
    await connection.ping()
    half.close(constants.NGHTTP2_CANCEL)
    await connection.ping()
    assert.deepEqual(list(await readDocument(host, path)), [])
    const answer = await connection.ask('POST', path, { body })
    assert.equal(answer.status, 204, answer.text)
    assert.equal(list(await readDocument(host, path)).length, 2)
  })

  test('a connection that is cut takes all its streams along', async t => {
    const socket = createConnection(host.port, '127.0.0.1')
    const { connection, path, next } = await shared(t, 'h2/cut', { createConnection: () => socket })
    await Promise.all(Array.from({ length: READERS }, () => connection.listen(path, { query: { offset: next, live: 'sse' } })))
    await untilHeld(host, READERS, 'all')
    socket.resetAndDestroy()
    await untilHeld(host, 0, 'none')
  })

  test('a reader that stops reading holds nobody up', async t => {
    const { connection, path, next, push } = await shared(t, 'h2/slow')
    connection.session.setLocalWindowSize(4 << 20) // the connection's own is no bound here
    const slow = connection.hold(path, { query: { offset: next, live: 'sse' } })
    await slow.opened
    slow.stream.pause()
    const quick = await connection.listen(path, { query: { offset: next, live: 'sse' } })
    // Each edit is more than a stream's window of 64 KiB, so that the slow one's is full at once.
    for (let n = 0; n < 8; n++) {
      const { status, text } = await connection.ask('POST', path, { body: framed(push('x'.repeat(100_000))) })
      assert.equal(status, 204, text)
      await quick.got(() => eventFrames(quick).length > n, `edit ${n} arrives at the quick one`)
    }
    slow.abort()
    quick.abort()
    await untilHeld(host, 0, 'none')
  })

  test('it works together with sockets and HTTP/1.1 on the same document', async t => {
    const { connection, path, next } = await shared(t, 'h2/mixed')
    const tabs = [await join(t, host, 'h2/mixed'), await join(t, host, 'h2/mixed')]
    const events = await connection.listen(path, { query: { offset: next, live: 'sse' } })
    tabs[0].doc.getArray('list').push(['by socket'])
    await events.got(() => list(applied(eventFrames(events))).includes('by socket'), 'the edit of a socket')
    const { push } = writer()
    await connection.ask('POST', path, { body: framed(push('by HTTP/2')) })
    await post(host, path, [push('by HTTP/1.1')])
    await until(() => list(tabs[1].doc).length === 3, 'a socket has all edits')
    await converge(tabs)
    await events.got(() => list(applied(eventFrames(events))).length === 3, 'and so has the stream')
  })
})

/** A connection, a new document, its end, and somebody to edit it. */
async function shared (t, name, options) {
  const connection = await dialH2(t, host.url, options)
  const path = await create(host, name)
  const { next } = await read(host, path)
  await untilHeld(host, 0, 'what earlier tests held is gone')
  return { connection, path, next, ...writer() }
}
