// What goes wrong on the way with HTTP, and what must come of it.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import * as Y from 'yjs'
import { QUICK, open, saved, serve, shows, sleep, until } from './clients.mjs'
import { unframe } from './server.mjs'

const posts = /^POST [^?]*$/

for (const transport of ['sse', 'long-poll']) {
  const transports = [transport]
  const isEdit = ({ method, query }) => method === 'POST' && !query.has('awareness')

  test(`${transport}: an edit whose answer was lost is sent again, and is there once`, async t => {
    const server = await serve(t)
    const maya = await open(t, server, { transports })
    let faults = 2
    server.script = asked => isEdit(asked) && faults-- > 0 ? (faults === 1 ? 'lose' : 'drop') : undefined
    maya.text.insert(0, 'once')
    await saved(maya)
    assert.equal(server.count(posts), 3)
    assert.equal(server.document('notes').ydoc.getText('content').toString(), 'once')
    assert.equal(maya.provider.connected, true)
    assert.equal(maya.told('connection-error').length, 2)
  })

  test(`${transport}: a server that is busy is given the time that it asks for`, async t => {
    const server = await serve(t)
    const maya = await open(t, server, { transports })
    let refusedAt = 0
    let servedAt = 0
    server.script = asked => {
      if (!isEdit(asked)) return
      if (refusedAt) servedAt = Date.now()
      else {
        refusedAt = Date.now()
        return { status: 429, error: ['RATE_LIMITED', 'later'], headers: { 'retry-after': '1' } }
      }
    }
    maya.text.insert(0, 'x')
    await saved(maya)
    assert.ok(servedAt - refusedAt >= 1000, `${servedAt - refusedAt} ms`)
  })

  test(`${transport}: edits made while one is on its way go together`, async t => {
    const server = await serve(t)
    const maya = await open(t, server, { transports })
    server.script = async asked => { if (isEdit(asked)) await sleep(50) }
    for (const letter of 'abcdefghijklmnopqrst') {
      maya.text.insert(maya.text.length, letter)
      await sleep(2)
    }
    await saved(maya)
    assert.ok(server.count(posts) <= 4, `${server.count(posts)} requests`)
    assert.equal(server.document('notes').ydoc.getText('content').toString(), 'abcdefghijklmnopqrst')
  })

  test(`${transport}: bodies are bounded, and smaller where something on the way takes less`, async t => {
    const server = await serve(t)
    const maya = await open(t, server, { transports, connect: false, timing: { bodyBytes: 10_000 } })
    maya.provider.connect()
    await until(() => maya.provider.synced)
    server.most = 3_000
    const sizes = []
    let hold = 1
    server.script = async asked => {
      if (!isEdit(asked)) return
      sizes.push(asked.body.length)
      if (hold-- > 0) await sleep(30)
    }
    for (let i = 0; i < 30; i++) maya.doc.transact(() => maya.text.insert(maya.text.length, 'x'.repeat(1000)))
    await saved(maya)
    assert.ok(sizes.every(size => size < 11_000), sizes.join())
    assert.equal(server.document('notes').ydoc.getText('content').length, 30_000)
  })

  test(`${transport}: an edit that is too large for the way is reported, stays unsaved, and is tried again now and then`, async t => {
    const server = await serve(t)
    const maya = await open(t, server, { transports, timing: { refused: [40, 40] } })
    server.most = 1_000
    maya.text.insert(0, 'x'.repeat(5_000))
    await until(() => maya.told('connection-error').length === 1)
    assert.match(maya.told('connection-error')[0].message, /5\d\d\d bytes/)
    maya.text.insert(0, 'y')
    await sleep(10)
    assert.equal(maya.provider.saved, false)
    server.most = 10_000
    await saved(maya)
    assert.equal(server.document('notes').ydoc.getText('content').length, 5_001)
  })

  test(`${transport}: nothing is sent that the server has`, async t => {
    const server = await serve(t)
    const maya = await open(t, server, { transports })
    maya.text.insert(0, 'one two')
    maya.text.delete(0, 4)
    await saved(maya)
    const before = server.count(posts)
    maya.provider.disconnect()
    maya.provider.connect()
    await until(() => maya.provider.synced)
    const doc = new Y.Doc()
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(maya.doc))
    const tomas = await open(t, server, { transports, doc })
    await saved(tomas)
    await sleep(30)
    assert.equal(server.count(posts), before)
  })

  test(`${transport}: the catch-up goes on from what is known, and presence comes on the same request`, async t => {
    const server = await serve(t)
    const maya = await open(t, server, { transports, state: { name: 'Maya' } })
    maya.text.insert(0, 'x')
    await saved(maya)
    await until(() => server.count(/live=.*presence=now|presence=now.*live=/) === 1)
    server.asked.length = 0
    maya.provider.disconnect()
    maya.provider.connect()
    await until(() => maya.provider.synced)
    await until(() => server.count(/live=/) > 0)
    assert.equal(server.count(/^PUT/), 0, 'it is known to be there')
    assert.equal(server.count(/offset=-1/), 0)
    assert.equal(server.count(/^GET .*awareness/), 0)
  })

  test(`${transport}: presence is followed apart where the server does not send it beside the document`, async t => {
    const server = await serve(t)
    server.presence = false
    const maya = await open(t, server, { transports, state: { name: 'Maya' } })
    const tomas = await open(t, server, { transports, state: { name: 'Tomás' } })
    await until(() => server.count(/offset=0.*live=/) >= 2)
    // The first answer to a held request tells that there is none beside it.
    server.release()
    await until(() => tomas.others().includes('Maya'))
    await until(() => maya.others().includes('Tomás'))
    assert.ok(server.count(/^GET .*awareness=default.*live=/) >= 2)
  })

  test(`${transport}: the end of a held request is no change of status`, async t => {
    const server = await serve(t)
    const maya = await open(t, server, { transports })
    const tomas = await open(t, server, { transports })
    await until(() => server.count(/live=/) >= 2)
    for (let i = 0; i < 3; i++) {
      await sleep(QUICK.held)
      server.release()
      tomas.text.insert(0, `${i}`)
      await shows(maya, tomas.text.toString())
    }
    assert.deepEqual(maya.told('status'), ['connecting', 'connected'])
    assert.deepEqual(maya.told('connection-error'), [])
  })

  test(`${transport}: a held request that is cut is no change of status if the next one is held`, async t => {
    const server = await serve(t)
    const maya = await open(t, server, { transports })
    const tomas = await open(t, server, { transports: ['websocket'] })
    await until(() => server.count(/live=/) >= 1)
    for (const letter of 'abc') {
      await sleep(QUICK.held + 10)
      const held = server.count(/live=/)
      for (const socket of sockets(server)) socket.destroy()
      await until(() => server.count(/live=/) > held)
      tomas.text.insert(0, letter)
      await shows(maya, tomas.text.toString())
    }
    assert.deepEqual(maya.told('status'), ['connecting', 'connected'])
  })

  test(`${transport}: a gateway that does not let anything be held for long is lived with`, async t => {
    const server = await serve(t)
    const maya = await open(t, server, { transports })
    const tomas = await open(t, server, { transports: ['websocket'] })
    server.script = async ({ query }) => {
      if (!query.has('live')) return
      await sleep(QUICK.held + 20)
      return { status: 504 }
    }
    server.release()
    for (const letter of 'abc') {
      await sleep(QUICK.held)
      tomas.text.insert(0, letter)
      await shows(maya, tomas.text.toString())
    }
    assert.deepEqual(maya.told('status'), ['connecting', 'connected'])
  })

  test(`${transport}: presence is sent no more often than it can be`, async t => {
    const server = await serve(t)
    const maya = await open(t, server, { transports, state: { name: 'Maya', at: 0 } })
    server.script = async ({ method, query }) => { if (method === 'POST' && query.has('awareness')) await sleep(30) }
    for (let at = 1; at <= 50; at++) {
      maya.provider.awareness.setLocalStateField('at', at)
      await sleep(1)
    }
    const { presence } = server.document('notes')
    await until(() => presence.getStates().get(maya.doc.clientID)?.at === 50)
    assert.ok(server.count(/^POST .*awareness/) < 15, `${server.count(/^POST .*awareness/)} requests`)
  })

  test(`${transport}: a presence that did not arrive is sent again`, async t => {
    const server = await serve(t)
    let faults = 2
    server.script = ({ method, query }) => method === 'POST' && query.has('awareness') && faults-- > 0 ? 'drop' : undefined
    await open(t, server, { transports, state: { name: 'Maya' } })
    const tomas = await open(t, server, { transports })
    await until(() => tomas.others().includes('Maya'))
  })

  test(`${transport}: one who may only read is told so when writing, and goes on reading`, async t => {
    const server = await serve(t)
    server.document('notes')
    const tomas = await open(t, server, { transports })
    const maya = await open(t, server, { transports, token: 'reader' })
    server.script = asked => isEdit(asked) && asked.headers.authorization === 'Bearer reader'
      ? { status: 403, error: ['FORBIDDEN', 'this token may only read'] }
      : undefined
    maya.text.insert(0, 'mine')
    await until(() => maya.told('refused').length === 1)
    assert.deepEqual(maya.told('refused')[0], { scope: 'edits', code: 4403, reason: 'this token may only read' })
    const asked = server.count(posts)
    maya.text.insert(0, 'also ')
    tomas.text.insert(0, 'theirs')
    await until(() => maya.text.toString().includes('theirs'))
    assert.equal(maya.provider.saved, false)
    assert.equal(server.count(posts), asked + 1, 'what is refused is not asked for again')
  })

  test(`${transport}: a refusal is told with its reason, and not asked for at once again`, async t => {
    const server = await serve(t)
    server.script = () => ({ status: 403, error: ['FORBIDDEN', 'this token is for another document'] })
    const maya = await open(t, server, { transports, wait: false })
    await until(() => maya.told('refused').length === 1)
    assert.deepEqual(maya.told('refused')[0], { scope: 'document', code: 4403, reason: 'this token is for another document' })
    await sleep(100)
    assert.equal(server.asked.length, 1)
    server.script = () => undefined
    maya.provider.connect()
    await until(() => maya.provider.synced)
  })

  test(`${transport}: a token that has expired is asked for anew, and nothing is lost`, async t => {
    const server = await serve(t)
    let good = 1
    let asked = 0
    server.script = ({ headers }) => headers.authorization === `Bearer ${good}`
      ? undefined
      : { status: 401, error: ['UNAUTHORIZED', 'the token has expired'] }
    const maya = await open(t, server, { transports, token: async () => `${Math.min(++asked, 2)}` })
    good = 2
    maya.text.insert(0, 'kept')
    await saved(maya)
    assert.equal(asked, 2)
    assert.deepEqual(maya.told('refused'), [])
    good = 3
    maya.text.insert(0, 'and ')
    await until(() => maya.told('refused').length === 1)
    assert.equal(asked, 3)
    assert.equal(maya.told('refused')[0].code, 4401)
  })

  test(`${transport}: an offset that the server does not know any more leads to the whole document`, async t => {
    const server = await serve(t)
    const maya = await open(t, server, { transports })
    maya.text.insert(0, 'x')
    await saved(maya)
    maya.provider.disconnect()
    server.script = ({ method, query }) => method === 'GET' && query.get('offset') !== '-1' && !query.has('live')
      ? { status: 410, error: ['OFFSET_EXPIRED', 'too old'] }
      : undefined
    maya.provider.connect()
    await until(() => maya.provider.synced)
    assert.equal(server.count(/offset=-1/), 2)
  })

  test(`${transport}: a log that was set back is noticed by what was acknowledged, if not by what was read`, async t => {
    const server = await serve(t)
    const maya = await open(t, server, { transports })
    maya.text.insert(0, 'one')
    await saved(maya)
    await sleep(30)
    server.script = ({ query }) => query.has('live') ? 'hang' : undefined
    server.release()
    await sleep(30)
    maya.text.insert(3, ' two')
    await saved(maya)
    await server.cut(true)
    await until(() => !maya.provider.connected)
    const kept = server.document('notes').updates.slice(0, 1)
    server.documents.clear()
    server.document('notes').append(kept)
    server.script = () => undefined
    await server.back()
    await until(() => server.document('notes').ydoc.getText('content').toString() === 'one two')
    await saved(maya)
  })

  test(`${transport}: a page that is not the server is no server`, async t => {
    const server = await serve(t)
    server.script = () => ({ status: 200 })
    const maya = await open(t, server, { transports, wait: false })
    await until(() => maya.told('connection-error').length > 1)
    assert.equal(maya.provider.synced, false)
    assert.match(maya.told('connection-error')[0].message, /not a server for this protocol/)
  })
}

test('an event stream is read whatever its pieces and line ends', async t => {
  const server = await serve(t)
  const maya = await open(t, server, { transports: ['websocket'] })
  maya.text.insert(0, 'in pieces')
  await saved(maya)
  const update = Y.encodeStateAsUpdate(maya.doc)
  const framed = Buffer.concat([Buffer.from([update.length]), update])
  assert.deepEqual(unframe(framed).map(part => part.length), [update.length])
  const text = ': hello\r\nevent: data\r\ndata:' + framed.toString('base64').replace(/.{20}/, '$&\r\ndata: ') +
    '\r\n\r\nevent: unknown\ndata: ü\n\nevent: control\ndata: {"streamNextOffset":"0000000000000002"}\r\r:'
  const inPieces = async () => new Response(new ReadableStream({
    start (controller) {
      for (const byte of new TextEncoder().encode(text)) controller.enqueue(new Uint8Array([byte]))
    }
  }))
  const pieces = (url, init) => {
    if (url.includes('awareness=') || init.method !== 'GET') return fetch(url, init)
    // Nothing comes but in the stream.
    return url.includes('live=') ? inPieces() : fetch(url, init).then(({ headers }) => new Response('', { headers }))
  }
  const tomas = await open(t, server, { transports: ['sse'], fetch: pieces })
  await shows(tomas, 'in pieces')
})

/** The connections of HTTP requests, not of WebSockets. */
const sockets = server => {
  const upgraded = new Set([...server.wss.clients].map(client => client._socket))
  return [...server.connections].filter(socket => !upgraded.has(socket))
}

test('sse: a worker of a browser, which has neither a window nor a Buffer to read base64, gets edits', async t => {
  const server = await serve(t)
  const maya = await open(t, server, { transports: ['sse'] })
  maya.text.insert(0, 'before')
  await saved(maya)
  const worker = `
    import * as Y from 'yjs'
    import { YonderProvider } from './dist/index.js'
    await fetch('${server.url}') // reads some base64 the first time
    const { from } = Buffer
    Buffer.from = (...what) => { if (what[1] === 'base64') throw new Error('there is no Buffer'); return from(...what) }
    const doc = new Y.Doc()
    const provider = new YonderProvider('${server.url}', 'notes', doc, { transports: ['sse'] })
    provider.once('synced', () => process.stdout.write(doc.getText('content').toString(), () => process.exit()))
  `
  const options = { cwd: new URL('..', import.meta.url), timeout: 10_000 }
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', worker], options)
  assert.equal(stdout, 'before')
})
