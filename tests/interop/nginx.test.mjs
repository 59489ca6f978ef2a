// Behind Debian's nginx: with nothing configured but `proxy_pass` (HTTP/1.0 upstream, answers buffered, no upgrade),
// with WebSockets allowed, and with TLS and HTTP/2 in front.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { YjsProvider } from '@durable-streams/y-durable-streams'
import { WebSocket } from 'ws'
import * as Y from 'yjs'
import { converge, join } from './client.mjs'
import { atEnd } from './ending.mjs'
import { dialH2 } from './h2.mjs'
import { Host, lacks, needs } from './host.mjs'
import { untilHeld } from './metrics.mjs'
import { Nginx } from './nginx.mjs'
import { dial } from './raw.mjs'
import { ask } from './request.mjs'
import { applied, create, delivered, eventFrames, framed, list, poll, post, read, readDocument, refused, stream, writer } from './streams.mjs'
import { until, within } from './waiting.mjs'

const UPGRADE = 'proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";'
const FORWARDED = 'proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto $scheme;'
/** What a buffering proxy would exceed: it passes an event on when its buffer is full or the stream ends. */
const AT_ONCE = 2_000

const options = needs('streams', 'options')
const skipped = options.skip !== undefined
const host = skipped ? undefined : await Host.up({ options: ['--long-poll-seconds', '2'] })
const [plain, upgrading, secure] = skipped ? [] : await Promise.all([
  Nginx.up(host), Nginx.up(host, { location: UPGRADE }), Nginx.up(host, { location: FORWARDED, tls: true })
])
after(async () => {
  for (const one of [secure, upgrading, plain, host]) await one?.down()
})

describe('behind nginx that is told nothing but proxy_pass', options, () => {
  test('each event of a stream arrives at once', async t => {
    const path = await create(plain, 'plain/events')
    const { push } = writer()
    const { next } = await read(plain, path)
    const events = await stream(t, plain, path, next)
    for (let n = 1; n <= 5; n++) {
      await post(plain, path, [push(n)])
      await events.got(() => eventFrames(events).length >= n, `event ${n} arrives before the next edit is made`, AT_ONCE)
      await events.got(() => events.controls.length >= n, 'and its offset', AT_ONCE)
    }
    assert.deepEqual(list(applied(eventFrames(events))), [1, 2, 3, 4, 5])
    assert.equal(events.held.over, undefined, 'the stream goes on')
  })

  test('a long-poll is answered as soon as there is an edit, and with 204 at its deadline', async t => {
    const path = await create(plain, 'plain/poll')
    const { push } = writer()
    const { next } = await read(plain, path)
    const silent = await poll(t, plain, path, next).ended
    assert.equal(silent.status, 204, silent.text)
    assert.equal(silent.headers['stream-next-offset'], next)
    const held = poll(t, plain, path, next)
    if (!lacks('metrics')) await untilHeld(host, 1, 'the poll')
    const began = performance.now()
    await post(plain, path, [push('x')])
    const { frames } = await delivered(held)
    assert.deepEqual(list(applied(frames)), ['x'])
    assert.ok(performance.now() - began < AT_ONCE)
  })

  test('large bodies pass both ways', async () => {
    const path = await create(plain, 'plain/large')
    const { push } = writer()
    const text = 'ü'.repeat(400_000) // under nginx's own limit of 1 MiB, over all its buffers
    await post(plain, path, [push(text)])
    assert.deepEqual(list(await readDocument(plain, path)), [text])
  })

  test('refusals arrive as they were sent', async () => {
    refused(await ask(plain, 'POST', '/v1/yjs/default/docs/plain/none', { body: framed(new Uint8Array([0, 0])) }), 404, 'DOCUMENT_NOT_FOUND')
    refused(await ask(plain, 'PATCH', '/v1/yjs/default/docs/plain/none'), 405, 'METHOD_NOT_ALLOWED')
    refused(await ask(plain, 'GET', '/v1/yjs/default/docs/plain/none?live=sse'), 400, 'INVALID_REQUEST')
    const { status, headers } = await ask(plain, 'GET', `${await create(plain, 'plain/redirect')}?offset=snapshot`)
    assert.deepEqual([status, new URL(headers.location, plain.url).host], [307, new URL(plain.url).host], 'a redirect leads back through the proxy')
  })

  test('a reader that leaves is gone behind the proxy as well', needs('metrics'), async t => {
    const path = await create(plain, 'plain/leaving')
    const { next } = await read(plain, path)
    const events = await stream(t, plain, path, next)
    const held = poll(t, plain, path, next)
    await untilHeld(host, 2, 'both')
    events.abort()
    held.abort()
    await untilHeld(host, 0, 'neither', 1_500) // before the poll's own deadline
  })

  test('a WebSocket is refused with 426 and the reason', async () => {
    const socket = new WebSocket(plain.ws + '/plain/socket')
    const answer = await within(new Promise((resolve, reject) => {
      socket.once('unexpected-response', (_request, answer) => resolve(answer))
      socket.once('open', () => reject(new Error('it opened')))
      socket.once('error', reject)
    }), 'the handshake is answered')
    let text = ''
    for await (const chunk of answer) text += chunk
    refused({ status: answer.statusCode, headers: answer.headers, text, json: JSON.parse(text) }, 426, 'UPGRADE_REQUIRED')
  })

  for (const liveMode of ['sse', 'long-poll']) {
    test(`two tabs of YjsProvider edit together by ${liveMode}`, async t => {
      const tabs = [tab(t, plain, `plain/tabs-${liveMode}`, liveMode), tab(t, plain, `plain/tabs-${liveMode}`, liveMode)]
      for (const { provider } of tabs) await until(() => provider.synced, 'it is synced')
      for (const [n, { doc }] of tabs.entries()) doc.getArray('list').push([n])
      await converge(tabs)
      assert.deepEqual(list(tabs[0].doc).sort(), [0, 1])
    })
  }
})

describe('behind nginx that passes upgrades', options, () => {
  test('y-websocket edits with a reader by HTTP', async t => {
    const [typist, reader] = [await join(t, upgrading, 'up/together'), tab(t, upgrading, 'up/together', 'sse')]
    await until(() => reader.provider.synced, 'the reader is synced')
    typist.doc.getArray('list').push(['by socket'])
    await until(() => list(reader.doc).length === 1, 'the reader has it')
    reader.doc.getArray('list').push(['by HTTP'])
    await converge([typist, reader])
    assert.deepEqual(list(typist.doc), ['by socket', 'by HTTP'])
  })

  test('a socket that is refused says why by its close code', needs('dot-segments'), async t => {
    const raw = await dial(t, upgrading, '/ws/a/../b')
    const { code, reason } = await raw.untilClosed()
    assert.equal(code, 4400, reason)
  })
})

describe('behind nginx with TLS and HTTP/2', options, () => {
  const STREAMS = 50

  test(`${STREAMS} event streams on one connection all get an edit at once, and leave nothing behind`, async t => {
    const path = await create(host, 'h2/streams')
    const { next } = await read(host, path)
    const connection = await dialH2(t, secure.url, { ca: secure.ca })
    const readers = await Promise.all(Array.from({ length: STREAMS }, () => connection.listen(path, { query: { offset: next, live: 'sse' } })))
    for (const reader of readers) assert.equal(reader.status, 200)
    if (!lacks('metrics')) await untilHeld(host, STREAMS, 'all')
    const { push } = writer()
    for (let n = 1; n <= 3; n++) {
      const { status, text } = await connection.ask('POST', path, { body: framed(push(n)) })
      assert.equal(status, 204, text)
      await until(() => readers.every(reader => eventFrames(reader).length >= n), `edit ${n} arrives everywhere`, AT_ONCE)
    }
    for (const reader of readers) assert.deepEqual(list(applied(eventFrames(reader))), [1, 2, 3])
    readers.slice(0, STREAMS / 2).forEach(reader => reader.abort())
    if (lacks('metrics')) return
    await untilHeld(host, STREAMS / 2, 'half of them are reset')
    connection.session.destroy()
    await untilHeld(host, 0, 'the others go with the connection')
  })

  test('a client is told the address and scheme that it came by', needs('sweet'), async t => {
    await create(host, 'h2-address')
    const connection = await dialH2(t, secure.url, { ca: secure.ca })
    const { status, text, json } = await connection.ask('POST', '/doc/h2-address/auth', { body: '{}' })
    assert.equal(status, 200, text)
    assert.equal(json.url, secure.url.replace('https', 'wss') + '/d/h2-address/ws')
    assert.equal(json.baseUrl, secure.url + '/d/h2-address')
  })
})

function tab (t, proxy, name, liveMode) {
  const doc = new Y.Doc()
  const provider = new YjsProvider({ doc, baseUrl: proxy.url + '/v1/yjs/default', docId: name, liveMode })
  atEnd(t, () => provider.destroy())
  return { name, doc, provider }
}
