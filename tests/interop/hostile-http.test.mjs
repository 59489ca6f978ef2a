// Hostile requests: whatever one connection sends or leaves unsent, only that connection pays for it.
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, describe, test } from 'node:test'
import * as prng from 'lib0/prng'
import { converge, join } from './client.mjs'
import { atEnd } from './ending.mjs'
import { Host, needs } from './host.mjs'
import { ask, hold } from './request.mjs'
import { at, create, framed, list, poll, post, read, readDocument, show, stream, writer } from './streams.mjs'
import { until, within } from './waiting.mjs'

const lacking = needs('streams')
const host = lacking.skip ? undefined : await Host.up()
after(() => host?.down())

describe('hostile requests', { concurrency: 4, ...lacking }, () => {
  test('a reader that stops reading its events is ended, while the others go on', { timeout: 120_000, ...needs('slow-reader') }, async t => {
    const path = await create(host, 'slow')
    const client = await join(t, host, 'slow')
    const slow = await stream(t, host, path, 'now')
    slow.held.response.pause()
    let gone = false
    slow.held.response.socket.on('close', () => { gone = true })
    const { doc } = writer()
    const updates = []
    doc.on('update', update => updates.push(update))
    const random = prng.create(5)
    const blob = Uint8Array.from({ length: 1 << 20 }, () => prng.int32(random, 0, 255))
    for (let n = 0; n < 64; n++) {
      doc.getMap('blobs').set('blob', blob.map(byte => byte ^ n)) // replaced, so that the document stays small
      await post(host, path, updates.splice(0))
    }
    await converge([client, { doc, name: 'writer', report: '' }], 30_000)
    slow.held.response.resume()
    await until(() => gone || slow.held.over, 'the slow reader is ended', 20_000)
    assert.ok(Buffer.concat(slow.held.chunks).length < 64 * (1 << 20), 'before it got all of it')
    assert.deepEqual(client.closes, [])
    await host.assertHealthy()
  })

  test('heads and bodies that never end do not keep others waiting, and do not last for ever', { timeout: 120_000, ...needs('slow-heads') }, async t => {
    const path = await create(host, 'slow-loris')
    const beginnings = ['GET / HT', `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1:${host.port}\r\nx-slow: `, `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1:${host.port}\r\ncontent-length: 1000\r\n\r\n\x05`,
      `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1:${host.port}\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab`]
    const sockets = beginnings.flatMap(beginning => Array.from({ length: 50 }, () => open(t, beginning)))
    await Promise.all(sockets.map(({ opened }) => opened))
    for (let n = 0; n < 20; n++) await within(post(host, path, [writer().push(n)]), 'others are served', 2_000)
    await until(() => sockets.every(({ closed }) => closed), () => `${sockets.filter(({ closed }) => !closed).length} of ${sockets.length} are still held`, 90_000)
    assert.equal(list(await readDocument(host, path)).length, 20)
  })

  test('what is no HTTP is refused and closed', async t => {
    const bytes = ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 'GARBAGE\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n', 'GET  / HTTP/1.1\r\n\r\n', `GET /${'x'.repeat(200_000)} HTTP/1.1\r\n\r\n`,
      `GET / HTTP/1.1\r\n${'a: b\r\n'.repeat(20_000)}\r\n`, 'POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx',
      'POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n', 'POST / HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n', 'POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n', '\0\0\0\0']
    for (const text of bytes) {
      const socket = open(t, text)
      await until(() => socket.closed || /^HTTP\/1\.1 4\d\d/.test(socket.text), () => `an end of ${JSON.stringify(text.slice(0, 40))}: ${socket.text}`, 40_000)
    }
    await host.assertHealthy()
  })

  test('a thousand held reads that open and vanish leave the document as it was', async t => {
    const path = await create(host, 'churn')
    const client = await join(t, host, 'churn')
    for (let round = 0; round < 20; round++) {
      const held = Array.from({ length: 50 }, (_, i) => i % 2 ? poll(t, host, path, 'now') : hold(t, host, path, { query: { offset: 'now', live: 'sse', presence: 'now' } }))
      await Promise.all(held.filter((_, i) => i % 2 === 0).map(one => one.opened))
      for (const one of held) one.abort()
      await post(host, path, [writer().push(round)])
    }
    await until(() => list(client.doc).length === 20, 'all edits arrive')
    assert.equal((await stream(t, host, path, 'now')).status, 200, 'no place is taken')
    await host.assertHealthy()
  })

  test('a flood of presence does not stop the editing, and goes', { timeout: 90_000 }, async t => {
    const path = await create(host, 'flood')
    const client = await join(t, host, 'flood', { state: { name: 'here' } })
    const flood = []
    for (let base = 0; base < 50_000; base += 1000) {
      const entries = Array.from({ length: 1000 }, (_, i) => [1_000_000 + base + i, 1, { i }])
      flood.push(show(host, path, entries).catch(error => error))
      if (base % 10_000 === 0) await post(host, path, [writer().push(base)])
    }
    await Promise.all(flood)
    await post(host, path, [writer().push('after')])
    await until(() => list(client.doc).includes('after'), 'the edit arrives')
    const late = await join(t, host, 'flood')
    await until(() => late.others().get(client.id)?.name === 'here', 'who was there is still seen')
    await host.assertHealthy()
  })

  test('a state of a megabyte is refused and not shown', async t => {
    const path = await create(host, 'big-state')
    const client = await join(t, host, 'big-state')
    const answer = await ask(host, 'POST', path, { query: { awareness: 'default' }, body: framed(Buffer.concat([Uint8Array.of(1, 9, 1, 0x82, 0x80, 0x40), Buffer.from(`"${'x'.repeat(1 << 20)}"`)])) })
    assert.ok([400, 413].includes(answer.status), `${answer.status}`)
    await show(host, path, [[2, 1, { name: 'small' }]])
    await until(() => client.others().has(2), 'the small one is shown')
    assert.equal(client.others().has(9), false)
  })

  test('many names of presence streams do not pile up without end', async () => {
    const path = await create(host, 'names')
    let refusedAt
    for (let n = 0; n < 3000 && refusedAt === undefined; n++) {
      const { status } = await ask(host, 'PUT', path, { query: { awareness: `name-${n}` } })
      if (status !== 201) refusedAt = [n, status]
    }
    assert.ok(refusedAt !== undefined, '3000 streams of one document were made')
    assert.ok(refusedAt[1] >= 400 && refusedAt[1] < 500, `${refusedAt}`)
    assert.equal((await ask(host, 'HEAD', path, { query: { awareness: 'default' } })).status, 200)
    assert.equal((await read(host, path)).status, 200)
  })

  test('a token or a parameter of a megabyte is refused', async () => {
    for (const [path, headers] of [[at('long') + '?token=' + 'x'.repeat(1 << 20), {}], [at('long'), { authorization: 'Bearer ' + 'x'.repeat(1 << 20) }], [at('long') + '?offset=' + 'f'.repeat(1 << 20), {}]]) {
      const answer = await ask(host, 'GET', path, { headers }).catch(error => error)
      assert.ok(answer instanceof Error || (answer.status >= 400 && answer.status < 500), `${answer.status}`)
    }
    await host.assertHealthy()
  })
})

/** A connection that sends `text` and no more: `closed` once the host has closed it, `text` is what it said. */
function open (t, text) {
  const connection = { text: '', closed: false }
  const socket = connect(host.port, '127.0.0.1')
  connection.opened = new Promise((resolve, reject) => { socket.once('connect', resolve).once('error', reject) })
  connection.opened.catch(() => {})
  socket.setEncoding('latin1').on('data', data => { connection.text += data })
  socket.on('error', () => {}).on('close', () => { connection.closed = true })
  socket.write(Buffer.from(text, 'latin1'))
  atEnd(t, () => socket.destroy())
  return connection
}
