// Which transport is used, and when it changes.

import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { open, saved, serve, shows, sleep, until } from './clients.mjs'

/** Stands in for a browser's. */
beforeEach(() => {
  const items = new Map()
  globalThis.localStorage = {
    getItem: key => items.get(key) ?? null,
    setItem: (key, value) => items.set(key, String(value))
  }
})

afterEach(() => { delete globalThis.localStorage })

for (const sockets of ['blocked', 'hanging', 'mute']) {
  test(`where WebSockets are ${sockets}, an event stream is used`, async t => {
    const server = await serve(t)
    server.sockets = sockets
    const began = Date.now()
    const maya = await open(t, server)
    assert.equal(maya.provider.transport, 'sse')
    assert.ok(Date.now() - began < 700)
    assert.deepEqual(maya.told('status'), ['connecting', 'connected'])
    maya.text.insert(0, 'x')
    await saved(maya)
  })
}

const heldBack = ({ query }) => query.get('live') === 'sse' ? 'buffer' : undefined

test('where event streams are held back as well, long-poll is used', async t => {
  const server = await serve(t)
  server.sockets = 'blocked'
  server.script = heldBack
  const maya = await open(t, server)
  assert.equal(maya.provider.transport, 'long-poll')
  maya.text.insert(0, 'x')
  await saved(maya)
})

test('an event stream that ends as soon as it began is no transport', async t => {
  const server = await serve(t)
  server.sockets = 'blocked'
  server.streamFor = 0
  const maya = await open(t, server)
  await until(() => maya.provider.transport === 'long-poll')
  maya.text.insert(0, 'x')
  await saved(maya)
})

test('a firewall that answers for the server is no refusal of the server', async t => {
  const server = await serve(t)
  server.sockets = 'blocked'
  server.script = ({ query }) => query.get('live') === 'sse' ? { status: 403 } : undefined
  const maya = await open(t, server)
  assert.equal(maya.provider.transport, 'long-poll')
  assert.deepEqual(maya.told('refused'), [])
})

test('what worked is remembered, used at once, and WebSockets are tried beside it', async t => {
  const server = await serve(t)
  server.sockets = 'hanging'
  const first = await open(t, server)
  assert.equal(first.provider.transport, 'sse')
  first.provider.destroy()
  const began = Date.now()
  const second = await open(t, server, { timing: { handshake: 300 } })
  assert.equal(second.provider.transport, 'sse')
  assert.ok(Date.now() - began < 200, 'nothing is waited for')
  second.provider.destroy()
  server.sockets = 'open'
  const third = await open(t, server)
  await until(() => third.provider.transport === 'websocket')
  third.provider.destroy()
  const fourth = await open(t, server)
  assert.deepEqual(fourth.told('transport'), ['websocket'])
})

test('what worked long ago counts no more, nor does what was forced', async t => {
  const server = await serve(t)
  const item = `yonder-provider:${server.url}`
  localStorage.setItem(item, JSON.stringify({ transport: 'long-poll', at: Date.now() - 5_000 }))
  const maya = await open(t, server, { timing: { memory: 1_000 } })
  assert.deepEqual(maya.told('transport'), ['websocket'])
  await open(t, server, { transports: ['sse'] })
  assert.equal(JSON.parse(localStorage.getItem(item)).transport, 'websocket')
})

test('once WebSockets work they are climbed to, and nobody sees it', async t => {
  const server = await serve(t)
  server.sockets = 'blocked'
  const maya = await open(t, server, { state: { name: 'Maya' }, timing: { climb: [30, 60] } })
  const tomas = await open(t, server, { transports: ['long-poll'], state: { name: 'Tomás' } })
  await until(() => tomas.others().includes('Maya'))
  await until(() => maya.others().includes('Tomás'))
  const changes = []
  for (const { provider } of [maya, tomas]) provider.awareness.on('change', change => changes.push(change))
  const typing = setInterval(() => maya.text.insert(maya.text.length, '.'), 3)
  t.after(() => clearInterval(typing))
  await sleep(100)
  assert.ok(server.count(/^WS/) >= 2, 'it is tried now and then')
  server.sockets = 'open'
  await until(() => maya.provider.transport === 'websocket')
  await sleep(100)
  clearInterval(typing)
  await saved(maya)
  await shows(tomas, maya.text.toString())
  assert.deepEqual(maya.told('status'), ['connecting', 'connected'])
  assert.deepEqual(maya.told('synced'), [true])
  assert.deepEqual(maya.told('connection-close').length, 1, 'that of the blocked WebSocket, at the start')
  assert.deepEqual(changes, [], 'nobody came or went')
  tomas.provider.destroy()
  await sleep(20)
  const gets = server.count(/^GET/)
  server.release()
  await sleep(50)
  assert.equal(server.count(/^GET/), gets, 'the event stream was given up')
})

test('a WebSocket that works and soon fails again does not swing back and forth', async t => {
  const server = await serve(t)
  server.sockets = 'blocked'
  const maya = await open(t, server, { timing: { climb: [40, 10_000] } })
  server.sockets = 'open'
  const dying = setInterval(() => { for (const client of server.wss.clients) setTimeout(() => client.terminate(), 10) }, 5)
  t.after(() => clearInterval(dying))
  await sleep(800)
  const changes = maya.told('transport')
  assert.ok(changes.length <= 11, `${changes}`)
  maya.text.insert(0, 'x')
  await saved(maya)
})

test('a WebSocket that has long worked is tried again before anything else', async t => {
  const server = await serve(t)
  const maya = await open(t, server, { timing: { steady: 50 } })
  await sleep(80)
  await server.cut()
  await until(() => maya.told('synced').length === 3)
  assert.deepEqual(maya.told('transport'), ['websocket', 'websocket'])
  assert.equal(server.count(/^PUT/), 0)
})

test('a WebSocket that has long worked and is blocked now is replaced', async t => {
  const server = await serve(t)
  const maya = await open(t, server, { timing: { steady: 50 } })
  maya.text.insert(0, 'one')
  await saved(maya)
  await sleep(60)
  server.sockets = 'blocked'
  await server.cut()
  maya.text.insert(3, ' two')
  await until(() => maya.provider.transport === 'sse')
  assert.equal(server.count(/^WS/), 3)
  assert.equal(server.count(/^PUT/), 0, 'it is known to be there')
  await saved(maya)
  assert.equal(server.document('notes').ydoc.getText('content').toString(), 'one two')
})

test('edits that no transport had acknowledged are taken along to the next one', async t => {
  const server = await serve(t)
  server.echoes = false
  const maya = await open(t, server)
  const { append } = server.document('notes')
  server.document('notes').append = () => {}
  maya.text.insert(0, 'not stored yet')
  await sleep(30)
  assert.equal(maya.provider.saved, false)
  server.document('notes').append = append
  server.sockets = 'blocked'
  await server.cut()
  await saved(maya)
  assert.equal(maya.provider.transport, 'sse')
  assert.equal(server.document('notes').ydoc.getText('content').toString(), 'not stored yet')
})

test('while nothing works everything is tried in turn, and the first that answers is used', async t => {
  const server = await serve(t)
  await server.cut(true)
  const maya = await open(t, server, { wait: false })
  maya.text.insert(0, 'kept')
  await until(() => maya.told('connection-error').length >= 6)
  assert.deepEqual(maya.told('status').slice(0, 3), ['connecting', 'disconnected', 'connecting'])
  await server.back()
  await saved(maya)
  assert.equal(server.document('notes').ydoc.getText('content').toString(), 'kept')
})

test('the transports can be changed at any time, and nobody sees it', async t => {
  const server = await serve(t)
  const maya = await open(t, server, { state: { name: 'Maya' } })
  const tomas = await open(t, server, { transports: ['websocket'], state: { name: 'Tomás' } })
  await until(() => tomas.others().includes('Maya'))
  await until(() => maya.others().includes('Tomás'))
  const changes = []
  for (const { provider } of [maya, tomas]) provider.awareness.on('change', change => changes.push(change))
  for (const transport of ['long-poll', 'sse', 'websocket', 'sse']) {
    maya.provider.transports = [transport]
    maya.text.insert(maya.text.length, transport)
    await until(() => maya.provider.transport === transport)
    await saved(maya)
    await sleep(60)
    tomas.text.insert(0, transport)
    await shows(maya, tomas.text.toString())
  }
  assert.deepEqual(maya.told('status'), ['connecting', 'connected'])
  assert.deepEqual(changes, [])
  maya.provider.transports = ['websocket', 'sse', 'long-poll']
  await until(() => maya.provider.transport === 'websocket')
})

test('a transport that is forced and does not work is waited for', async t => {
  const server = await serve(t)
  const maya = await open(t, server, { transports: ['sse'] })
  server.sockets = 'blocked'
  maya.provider.transports = ['websocket']
  await until(() => maya.provider.status === 'disconnected')
  maya.text.insert(0, 'kept')
  server.sockets = 'open'
  await until(() => maya.provider.transport === 'websocket')
  await saved(maya)
})

test('another service has no WebSockets', async t => {
  const server = await serve(t)
  const maya = await open(t, server, { service: 'other', wait: false })
  await until(() => maya.told('connection-error').length >= 2)
  assert.equal(server.count(/^WS/), 0)
  assert.ok(server.count(/^PUT \/v1\/yjs\/other\/docs\/notes/) > 0)
  await assert.rejects(open(t, server, { service: 'other', transports: ['websocket'], connect: false }), TypeError)
})
