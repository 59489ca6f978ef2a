// WebSockets: acknowledgements, refusals, silence, and the company of other providers.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WebSocket } from 'ws'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'
import { open, saved, serve, shows, sleep, until } from './clients.mjs'

const transports = ['websocket']

test('edits count as saved only once the server sends 102 back', async t => {
  const server = await serve(t)
  server.echoes = false
  const maya = await open(t, server, { transports })
  const tomas = await open(t, server, { transports })
  maya.text.insert(0, 'x')
  await shows(tomas, 'x')
  await sleep(50)
  assert.equal(maya.provider.saved, false)
  server.echoes = true
  await server.cut()
  await saved(maya)
})

test('a y-websocket tab edits along', async t => {
  const server = await serve(t)
  const maya = await open(t, server, { transports, state: { name: 'Maya' } })
  const doc = new Y.Doc()
  const tomas = new WebsocketProvider(`${server.url.replace('http', 'ws')}/ws`, 'notes', doc, { WebSocketPolyfill: WebSocket, disableBc: true })
  t.after(() => {
    tomas.destroy()
    doc.destroy()
  })
  maya.text.insert(0, 'Maya')
  await until(() => doc.getText('content').toString() === 'Maya')
  doc.getText('content').insert(4, ' and Tomás')
  await shows(maya, 'Maya and Tomás')
  await until(() => [...tomas.awareness.getStates().values()].some(({ name }) => name === 'Maya'))
})

for (const code of [4400, 4403]) {
  test(`close code ${code} is a refusal with its reason, and is not hammered`, async t => {
    const server = await serve(t)
    server.sockets = { code, reason: 'no', denial: 'no' }
    const maya = await open(t, server, { wait: false })
    await until(() => maya.told('refused').length === 1)
    assert.deepEqual(maya.told('refused')[0], { scope: 'document', code, reason: 'no' })
    assert.equal(maya.provider.status, 'disconnected')
    assert.equal(maya.provider.shouldConnect, true)
    await sleep(60)
    assert.deepEqual(server.asked, ['WS /ws/notes'], 'nor is another transport tried')
    server.sockets = 'open'
    maya.provider.connect()
    await until(() => maya.provider.synced)
  })
}

test('a refusing server is asked again after a while', async t => {
  const server = await serve(t)
  server.sockets = { code: 4403, reason: 'not yet' }
  const maya = await open(t, server, { wait: false, timing: { refused: [40, 40] } })
  await until(() => maya.told('refused').length === 1)
  server.sockets = 'open'
  await until(() => maya.provider.synced)
})

test('a denial and a close without a code is a refusal', async t => {
  const server = await serve(t)
  server.sockets = { code: 1000, denial: 'the token has expired' }
  const maya = await open(t, server, { transports, wait: false })
  await until(() => maya.told('refused').length === 1)
  assert.deepEqual(maya.told('refused')[0], { scope: 'document', code: 4403, reason: 'the token has expired' })
})

test('with close code 4401 a new token is asked for once', async t => {
  const server = await serve(t)
  server.sockets = url => url.searchParams.get('token') === 'good &?' ? 'open' : { code: 4401, reason: 'expired' }
  let asked = 0
  const maya = await open(t, server, { transports, token: () => ++asked === 1 ? 'bad' : 'good &?' })
  assert.equal(asked, 2)
  assert.deepEqual(maya.told('refused'), [])
  server.sockets = { code: 4401, reason: 'expired' }
  await server.cut()
  await until(() => maya.told('refused').length === 1)
  assert.equal(asked, 3)
  assert.equal(maya.told('refused')[0].code, 4401)
})

test('a token that cannot be had now is asked for again', async t => {
  const server = await serve(t)
  let asked = 0
  await open(t, server, {
    transports,
    token: async () => {
      if (++asked < 4) throw new Error('the backend is down')
      return 'token'
    }
  })
  assert.deepEqual(server.asked, ['WS /ws/notes?token=token'])
})

test('edits that are denied are never saved, and reading goes on', async t => {
  const server = await serve(t)
  const maya = await open(t, server, { transports })
  server.denies = 'you may only read'
  maya.text.insert(0, 'mine')
  await until(() => maya.told('refused').length === 1)
  assert.deepEqual(maya.told('refused')[0], { scope: 'edits', code: 4403, reason: 'you may only read' })
  maya.text.insert(0, 'not ')
  await sleep(30)
  assert.equal(maya.provider.saved, false)
  assert.equal(maya.told('refused').length, 1)
  const doc = new Y.Doc()
  doc.getText('content').insert(0, 'theirs')
  server.document('notes').append([Y.encodeStateAsUpdate(doc)])
  await until(() => maya.text.toString().includes('theirs'))
  await server.cut()
  await until(() => maya.provider.synced && maya.told('synced').length === 3)
  await sleep(30)
  assert.equal(maya.provider.saved, false)
})

test('a silent connection is asked for a sign of life, and replaced if there is none', async t => {
  const server = await serve(t)
  const maya = await open(t, server, { transports, timing: { ping: 40, pong: 60 } })
  await sleep(200)
  assert.deepEqual(maya.told('connection-close'), [], 'an answered 102 is a sign of life')
  server.echoes = false
  await until(() => maya.told('connection-close').length > 0)
  server.echoes = true
  await until(() => maya.provider.synced)
  assert.match(maya.told('connection-close')[0].reason, /silent/)
})

test('a server that has no room is given time', async t => {
  const server = await serve(t)
  server.sockets = { code: 1013, reason: 'too many connections' }
  const maya = await open(t, server, { wait: false })
  await until(() => maya.told('connection-close').length >= 2)
  assert.equal(server.count(/^PUT/), 0, 'it is not the transport that fails')
  assert.equal(maya.told('connection-close')[0].reason, 'too many connections')
  server.sockets = 'open'
  await until(() => maya.provider.synced)
})

test('without a WebSocket in the runtime the next transport is used', async t => {
  const server = await serve(t)
  const maya = await open(t, server, { WebSocketPolyfill: null })
  assert.equal(maya.provider.transport, 'sse')
})

test('a provider that is destroyed leaves nothing running', async t => {
  const server = await serve(t)
  const maya = await open(t, server, {})
  maya.provider.destroy()
  const asked = server.asked.length
  maya.text.insert(0, 'x')
  maya.provider.awareness.setLocalState({ name: 'Maya' })
  await until(() => server.wss.clients.size === 0)
  await sleep(50)
  assert.equal(server.asked.length, asked)
})
