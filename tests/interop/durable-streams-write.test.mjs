// The Durable Streams Yjs protocol: writing. What is acknowledged is stored, what is refused leaves no trace.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { after, describe, test } from 'node:test'
import * as Y from 'yjs'
import { converge, join } from './client.mjs'
import { atEnd } from './ending.mjs'
import { Host, lacks, needs } from './host.mjs'
import { FOLDER } from './make-corpus.mjs'
import { dial } from './raw.mjs'
import { ask } from './request.mjs'
import { applied, create, framed, list, post, read, readDocument, refused, writer } from './streams.mjs'
import { until } from './waiting.mjs'

const lacking = needs('streams')
const host = lacking.skip ? undefined : await Host.up()
after(() => host?.down())

const PRODUCER = { 'producer-id': 'p', 'producer-epoch': '0', 'producer-seq': '0' }

describe('writing', { concurrency: 4, ...lacking }, () => {
  test('an update is stored when it is acknowledged: 204 and its offset', async () => {
    const path = await create(host, 'one')
    const answer = await ask(host, 'POST', path, { body: framed(writer().push(1)) })
    assert.equal(answer.status, 204)
    assert.equal(answer.bytes.length, 0)
    const { next, frames } = await read(host, path)
    assert.equal(answer.headers['stream-next-offset'], next)
    assert.deepEqual(list(applied(frames)), [1])
  })

  test('one POST may hold many updates, in any order', async () => {
    const path = await create(host, 'many')
    const { doc, push, updates } = writer()
    for (let n = 0; n < 50; n++) push(n)
    await post(host, path, updates.toReversed())
    assert.deepEqual(list(await readDocument(host, path)), list(doc))
  })

  test('the content type is not looked at', async () => {
    const path = await create(host, 'type')
    const { push, updates } = writer()
    for (const type of ['application/octet-stream', 'application/json', 'text/plain;charset=utf-8', 'x']) {
      push(type)
      await post(host, path, [updates.at(-1)], { headers: { 'content-type': type } })
    }
    assert.equal(list(await readDocument(host, path)).length, 4)
  })

  test('a body in chunks, without its length, is taken', async () => {
    const path = await create(host, 'chunks')
    const body = framed(writer().push('x'.repeat(5000)))
    const answer = await fetch(host.url + path, { method: 'POST', duplex: 'half', body: new ReadableStream({
      async start (controller) {
        for (let at = 0; at < body.length; at += 700) controller.enqueue(body.slice(at, at + 700))
        controller.close()
      }
    }) })
    assert.equal(answer.status, 204)
    assert.equal(list(await readDocument(host, path))[0].length, 5000)
  })

  test('the same POST again harms nothing', async () => {
    const path = await create(host, 'again')
    const { doc, push, updates } = writer()
    push('a')
    push('b')
    for (let n = 0; n < 5; n++) await post(host, path, updates)
    const raced = await Promise.all(Array.from({ length: 10 }, () => post(host, path, updates)))
    assert.equal(raced.length, 10)
    assert.deepEqual(list(await readDocument(host, path)), list(doc))
  })

  test('the empty update is acknowledged and changes nothing', async () => {
    const path = await create(host, 'nothing')
    const { next } = await read(host, path)
    const { headers } = await post(host, path, [Uint8Array.of(0, 0)])
    assert.equal(headers['stream-next-offset'], next)
  })

  test('hundreds of POSTs at once are all there', async () => {
    const path = await create(host, 'parallel')
    const writers = Array.from({ length: 200 }, () => writer())
    const answers = await Promise.all(writers.map(({ push }, n) => post(host, path, [push(n)])))
    assert.deepEqual(list(await readDocument(host, path)).sort((a, b) => a - b), Array.from({ length: 200 }, (_, n) => n))
    assert.equal(answers.length, 200)
  })

  test('it reaches a WebSocket client live', async t => {
    const path = await create(host, 'to-ws')
    const client = await join(t, host, 'to-ws')
    const { doc, push } = writer()
    await post(host, path, [push(1, 2, 3)])
    await converge([client, { doc, name: 'writer', report: '' }])
  })

  test('an update whose predecessor is missing is kept, and shows once that one comes', async () => {
    const path = await create(host, 'pending')
    const { doc, push, updates } = writer()
    for (const word of ['one', 'two', 'three']) push(word)
    await post(host, path, [updates[2]])
    assert.deepEqual(list(await readDocument(host, path)), [])
    await post(host, path, updates.slice(0, 2))
    assert.deepEqual(list(await readDocument(host, path)), list(doc))
  })
})

describe('producers', { concurrency: 4, ...lacking }, () => {
  test('producer headers are echoed with 200, in any order and as often as they like', async () => {
    const path = await create(host, 'producer')
    const { doc, push } = writer()
    // A gap, a repetition, an older epoch: a Yjs update may be applied twice and in any order, so nothing is refused.
    for (const [epoch, seq] of [[0, 0], [0, 1], [0, 7], [0, 1], [3, 0], [1, 0], [2 ** 53 - 1, 2 ** 53 - 1]]) {
      const answer = await ask(host, 'POST', path, {
        body: framed(push(`${epoch}.${seq}`)),
        headers: { 'producer-id': 'writer 1', 'producer-epoch': String(epoch), 'producer-seq': String(seq) }
      })
      assert.equal(answer.status, 200, answer.text)
      assert.equal(answer.headers['producer-epoch'], String(epoch))
      assert.equal(answer.headers['producer-seq'], String(seq))
      assert.match(answer.headers['stream-next-offset'], /./)
    }
    assert.deepEqual(list(await readDocument(host, path)), list(doc))
  })

  test('some of them without the others are 400, and nothing is stored', async () => {
    const path = await create(host, 'partial')
    const names = Object.keys(PRODUCER)
    for (const left of [[0], [1], [2], [0, 1], [0, 2], [1, 2]]) {
      const headers = Object.fromEntries(left.map(n => [names[n], PRODUCER[names[n]]]))
      refused(await ask(host, 'POST', path, { body: framed(writer().push(1)), headers }), 400, 'INVALID_REQUEST')
    }
    assert.deepEqual((await read(host, path)).frames, [])
  })

  test('values that are none are 400', async () => {
    const path = await create(host, 'values')
    for (const wrong of [{ 'producer-id': '' }, { 'producer-epoch': 'x' }, { 'producer-epoch': '-1' }, { 'producer-epoch': '1.5' }, { 'producer-epoch': '' },
      { 'producer-seq': 'x' }, { 'producer-seq': '-1' }, { 'producer-seq': '0x1' }, { 'producer-seq': '9'.repeat(30) }]) {
      refused(await ask(host, 'POST', path, { body: framed(writer().push(1)), headers: { ...PRODUCER, ...wrong } }), 400, 'INVALID_REQUEST')
    }
    assert.deepEqual((await read(host, path)).frames, [])
  })

  test("YjsProvider's goodbye, an empty body with `Stream-Closed: true`, closes nothing", async () => {
    const path = await create(host, 'goodbye')
    for (const headers of [{}, PRODUCER]) {
      const answer = await ask(host, 'POST', path, { headers: { ...headers, 'stream-closed': 'true' } })
      assert.ok([200, 204].includes(answer.status), answer.text)
      assert.equal(answer.headers['stream-closed'], undefined)
    }
    await post(host, path, [writer().push('still open')])
    assert.deepEqual(list(await readDocument(host, path)), ['still open'])
  })
})

describe('refused writes', { concurrency: 4, ...lacking }, () => {
  const good = () => writer().push('good')
  const bodies = {
    'no body': () => new Uint8Array(),
    'bytes that are no frames': () => Uint8Array.from({ length: 40 }, () => 255),
    'a frame that is longer than the body': () => Uint8Array.of(10, 0, 0),
    'a length without a frame': () => Uint8Array.of(0x80, 0x80),
    'a length of 2^53': () => Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10, 0),
    'an empty frame': () => Uint8Array.of(0),
    'a frame that is no update': () => framed(Uint8Array.of(255, 255, 255)),
    'text': () => new TextEncoder().encode('{"update":"AAA="}'),
    'a good update cut short': () => framed(good().slice(0, -3)),
    'a good frame cut short': () => framed(good()).slice(0, -3),
    'an update with bytes after its end': () => framed(Uint8Array.from([...good(), 1, 2, 3])),
    'a good frame before one that is none': () => Uint8Array.from([...framed(good()), ...framed(Uint8Array.of(9, 9, 9, 9))]),
    'a good frame after one that is none': () => Uint8Array.from([...framed(Uint8Array.of(9, 9, 9, 9)), ...framed(good())]),
    'an update of version 2': () => { const { doc } = writer(); doc.getText('t').insert(0, 'two'); return framed(Y.encodeStateAsUpdateV2(doc)) }
  }
  for (const [what, body] of Object.entries(bodies)) {
    test(`${what}: 400, nothing is stored, nobody is disturbed`, async t => {
      const path = await create(host, 'refused ' + what)
      const client = await join(t, host, 'refused ' + what)
      const { next } = await read(host, path)
      refused(await ask(host, 'POST', path, { body: body() }), 400, 'INVALID_REQUEST')
      assert.equal((await read(host, path)).next, next)
      const { doc, push } = writer()
      await post(host, path, [push('after')])
      await converge([client, { doc, name: 'writer', report: '' }])
      assert.deepEqual(client.closes, [])
    })
  }

  test('the corpus of bad updates that sockets are closed for is refused here too', async () => {
    const path = await create(host, 'corpus')
    const { next } = await read(host, path)
    let refusals = 0
    for (const file of readdirSync(FOLDER).filter(file => file.startsWith('1007-'))) {
      const frame = new Uint8Array(readFileSync(FOLDER + file))
      if (frame[0] !== 0 || frame[1] !== 2) continue // an update on the socket is `[0][2]`, then the same bytes as here
      const { status, text } = await ask(host, 'POST', path, { body: frame.slice(2) })
      assert.equal(status, 400, `${file}: ${text}`)
      refusals += 1
    }
    assert.ok(refusals > 3, `only ${refusals} files of the corpus are updates`)
    assert.equal((await read(host, path)).next, next)
    await host.assertHealthy()
  })

  test('a body over the limit is 413, announced or not, and is not read to its end', async t => {
    const own = needs('options').skip ? host : await Host.up({ options: ['--max-message-mb', '1'] })
    if (own !== host) atEnd(t, () => own.down())
    const path = await create(own, 'large')
    const body = framed(writer().push('x'.repeat(40 << 20)))
    const outcome = await ask(own, 'POST', path, { body }).catch(error => error) // a reset is how a server stops a body
    if (!(outcome instanceof Error)) refused(outcome, 413, 'PAYLOAD_TOO_LARGE')
    else assert.match(outcome.code, /ECONNRESET|EPIPE/)
    if (!lacks('unread-bodies')) refused(await announced(own, path, 1 << 30), 413, 'PAYLOAD_TOO_LARGE')
    assert.deepEqual((await read(own, path)).frames, [])
    await post(own, path, [writer().push('small')])
  })

  test('a body that ends before its announced length stores nothing', async t => {
    const path = await create(host, 'truncated')
    const body = framed(writer().push('x'.repeat(1000)))
    const socket = connect(host.port, '127.0.0.1')
    atEnd(t, () => socket.destroy())
    socket.write(`POST ${path} HTTP/1.1\r\nhost: 127.0.0.1:${host.port}\r\ncontent-length: ${body.length}\r\n\r\n`)
    socket.end(body.slice(0, 500))
    await new Promise(resolve => socket.on('close', resolve).resume())
    assert.deepEqual((await read(host, path)).frames, [])
    await host.assertHealthy()
  })

  test('a document over its limit takes no more, and says so', needs('options'), async t => {
    const own = await Host.up({ options: ['--max-document-mb', '1'] })
    atEnd(t, () => own.down())
    const path = await create(own, 'full')
    let answer
    const { push } = writer()
    for (let n = 0; n < 12; n++) {
      answer = await ask(own, 'POST', path, { body: framed(push('x'.repeat(200_000) + n)) })
      if (answer.status !== 204) break
    }
    refused(answer, 413, 'PAYLOAD_TOO_LARGE')
    if (!lacks('large-frames')) await (await dial(t, own, '/ws/full')).roundTrip()
    assert.ok(list(await readDocument(own, path)).length >= 4, 'what was acknowledged is there')
    await until(() => own.ready(), 'and the host goes on')
  })
})

/** A POST that announces a body and never sends it. */
async function announced (own, path, length) {
  const socket = connect(own.port, '127.0.0.1')
  socket.write(`POST ${path} HTTP/1.1\r\nhost: 127.0.0.1:${own.port}\r\ncontent-length: ${length}\r\n\r\n`)
  let text = ''
  socket.setEncoding('utf8').on('data', data => { text += data })
  await until(() => text.includes('\r\n\r\n') && text.trim().endsWith('}'), () => `a refusal: ${text}`)
  socket.destroy()
  const [head, body] = text.split('\r\n\r\n')
  const headers = Object.fromEntries(head.split('\r\n').slice(1).map(line => line.toLowerCase().split(': ')))
  return { status: Number(head.split(' ')[1]), headers, text: body, json: JSON.parse(body.slice(body.indexOf('{'), body.lastIndexOf('}') + 1)) }
}
