// Against a real server, which YONDER_UP starts, as for tests/interop: `yonder serve --listen 127.0.0.1:{port} --data {data}`.

import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { cpSync, rmSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { WebSocket } from 'ws'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'
import { Host } from '../../../../tests/interop/host.mjs'
import { open as openQuickly, saved, shows, sleep, until } from './clients.mjs'

const ALL = ['websocket', 'sse', 'long-poll']
const options = process.env.YONDER_UP ? {} : { skip: 'YONDER_UP names no server' }

/** The waits of the tests are for a server in this process. */
const PATIENT = { silence: 45_000, handshake: 5_000, answer: 15_000, firstEvent: 5_000, pong: 5_000, denial: 200, retry: [50, 400], handover: 300 }
const open = (t, host, { timing, ...rest } = {}) => openQuickly(t, host, { ...rest, timing: { ...PATIENT, ...timing } })

let host
let documents = 0
const newName = () => `provider/${process.pid}/${++documents}`

before(async () => { if (process.env.YONDER_UP) host = await Host.up() })
after(() => host?.down())

for (const transport of ALL) {
  const transports = [transport]

  test(`${transport}: what is saved outlives the server's death, and what is not is sent again`, options, async t => {
    const own = await Host.up()
    t.after(() => own.down())
    const name = newName()
    const maya = await open(t, own, { transports, name })
    maya.text.insert(0, 'saved')
    await saved(maya)
    await own.kill()
    await until(() => !maya.provider.connected)
    maya.text.insert(5, ', and written while it was dead')
    assert.equal(maya.provider.saved, false)
    await own.start()
    await saved(maya)
    await own.kill()
    await own.start()
    const tomas = await open(t, own, { transports, name })
    await shows(tomas, 'saved, and written while it was dead')
  })

  test(`${transport}: edits and presence go both ways with every other transport`, options, async t => {
    const name = newName()
    const maya = await open(t, host, { transports, name, state: { name: 'Maya' } })
    const others = []
    for (const other of ALL) others.push(await open(t, host, { transports: [other], name, state: { name: other } }))
    const doc = new Y.Doc()
    const socket = new WebsocketProvider(host.ws, name, doc, { WebSocketPolyfill: WebSocket, disableBc: true })
    t.after(() => {
      socket.destroy()
      doc.destroy()
    })
    socket.awareness.setLocalState({ name: 'y-websocket' })
    await until(() => socket.synced)
    for (const client of [maya, ...others]) {
      client.text.insert(0, 'x')
      await saved(client)
    }
    doc.getText('content').insert(0, 'y')
    for (const client of [maya, ...others]) await until(() => client.text.length === 5)
    await until(() => maya.others().sort().join() === 'long-poll,sse,websocket,y-websocket', () => maya.others().join())
    await until(() => [...socket.awareness.getStates().values()].some(({ name }) => name === 'Maya'))
    maya.provider.destroy()
    for (const other of others) await until(() => !other.others().includes('Maya'))
  })

  test(`${transport}: deletions made offline arrive although the state vectors are equal`, options, async t => {
    const name = newName()
    const first = await open(t, host, { transports, name })
    first.text.insert(0, 'keep this, not this')
    await saved(first)
    const doc = new Y.Doc()
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(first.doc))
    doc.getText('content').delete(9, 10)
    await saved(await open(t, host, { transports, name, doc }))
    await shows(first, 'keep this')
  })

  test(`${transport}: a server that was set back to a copy gets what it lost`, options, async t => {
    const own = await Host.up()
    t.after(() => own.down())
    const name = newName()
    const maya = await open(t, own, { transports, name })
    maya.text.insert(0, 'one')
    await saved(maya)
    await own.kill()
    const copy = `${own.data}-copy`
    t.after(() => rmSync(copy, { recursive: true, force: true }))
    cpSync(own.data, copy, { recursive: true })
    await own.start()
    await until(() => maya.provider.synced)
    for (const word of [' two', ' three']) {
      maya.text.insert(maya.text.length, word)
      await saved(maya)
    }
    await own.kill()
    await until(() => !maya.provider.connected)
    rmSync(own.data, { recursive: true })
    cpSync(copy, own.data, { recursive: true })
    await own.start()
    await until(() => maya.provider.synced)
    await saved(maya)
    const tomas = await open(t, own, { transports, name })
    await shows(tomas, 'one two three')
  })

  test(`${transport}: a deleted document is refused, and does not come back by itself`, options, async t => {
    const name = newName()
    const maya = await open(t, host, { transports, name, timing: { refused: [50, 50] } })
    maya.text.insert(0, 'gone soon')
    await saved(maya)
    const url = `${host.url}/v1/yjs/default/docs/${name}`
    assert.equal((await fetch(url, { method: 'DELETE' })).status, 204)
    await until(() => maya.told('refused').length === 1)
    assert.deepEqual([maya.told('refused')[0].scope, maya.told('refused')[0].code], ['document', 4404])
    maya.text.insert(0, 'not ')
    await sleep(300)
    assert.equal((await fetch(url, { method: 'HEAD' })).status, 404)
  })

  test(`${transport}: a token that only reads, one for another document, and one that expires`, options, async t => {
    const secret = 'a secret of at least thirty-two bytes!'
    const own = await Host.up({ keys: [secret] })
    t.after(() => own.down())
    const name = newName()
    const token = claims => mint(secret, { exp: Math.floor(Date.now() / 1000) + 60, doc: name, perm: 'write', ...claims })
    const maya = await open(t, own, { transports, name, token: token() })
    maya.text.insert(0, 'text')
    await saved(maya)

    const reader = await open(t, own, { transports, name, token: token({ perm: 'read' }), state: { name: 'reader' } })
    await shows(reader, 'text')
    await until(() => maya.others().includes('reader'), 'who reads is seen')
    reader.text.insert(0, 'no ')
    await until(() => reader.told('refused').length === 1)
    assert.equal(reader.told('refused')[0].scope, 'edits')
    await sleep(100)
    assert.equal(reader.provider.saved, false)
    assert.equal(maya.text.toString(), 'text')

    const stranger = await open(t, own, { transports, name, token: token({ doc: 'other' }), wait: false })
    await until(() => stranger.told('refused').length === 1)
    assert.deepEqual([stranger.told('refused')[0].scope, stranger.told('refused')[0].code], ['document', 4403])

    const nobody = await open(t, own, { transports, name, wait: false })
    await until(() => nobody.told('refused').length === 1)
    assert.equal(nobody.told('refused')[0].code, 4401)

    let asked = 0
    const tomas = await open(t, own, {
      transports, name, token: () => token({ exp: Math.floor(Date.now() / 1000) + (++asked === 1 ? -100 : 60) })
    })
    assert.equal(asked, 2)
    assert.deepEqual(tomas.told('refused'), [])
  })

  test(`${transport}: megabytes go through`, options, async t => {
    const name = newName()
    const doc = new Y.Doc()
    const random = () => Math.random().toString(36).slice(2)
    doc.getText('content').insert(0, Array.from({ length: 200_000 }, random).join(' '))
    const maya = await open(t, host, { transports, name, doc })
    await saved(maya)
    for (let i = 0; i < 200; i++) maya.text.insert(maya.text.length, random().repeat(500))
    await saved(maya)
    const tomas = await open(t, host, { transports, name })
    await until(() => tomas.text.length === maya.text.length)
  })
}

test('transports are changed while everyone writes, and nobody sees it', options, async t => {
  const name = newName()
  const maya = await open(t, host, { name, state: { name: 'Maya' } })
  const watchers = []
  for (const transport of ALL) watchers.push(await open(t, host, { name, transports: [transport], state: { name: transport } }))
  for (const watcher of watchers) await until(() => watcher.others().length === 3)
  await until(() => maya.others().length === 3)
  const changes = []
  for (const { provider } of [maya, ...watchers]) provider.awareness.on('change', change => changes.push(change))
  const typing = setInterval(() => { for (const { text } of [maya, ...watchers]) text.insert(text.length, '.') }, 20)
  t.after(() => clearInterval(typing))
  for (const transport of ['sse', 'long-poll', 'websocket', 'long-poll', 'sse', 'websocket']) {
    maya.provider.transports = [transport]
    await until(() => maya.provider.transport === transport)
    await sleep(700)
  }
  clearInterval(typing)
  for (const client of [maya, ...watchers]) await saved(client)
  for (const watcher of watchers) await until(() => watcher.text.length === maya.text.length)
  assert.deepEqual(changes, [])
  assert.deepEqual(maya.told('status'), ['connecting', 'connected'])
})

test('in a storm of edits, deaths and changes, everyone ends with everything, and nothing saved is lost', options, async t => {
  const own = await Host.up()
  t.after(() => own.down())
  const name = newName()
  const clients = []
  for (let i = 0; i < 6; i++) clients.push(await open(t, own, { name, transports: i < 3 ? [ALL[i]] : ALL, state: { name: `${i}` } }))
  const lost = []
  let checked = 0
  const end = Date.now() + 8_000
  while (Date.now() < end) {
    for (const { text, provider } of clients) {
      if (text.length > 5 && Math.random() < 0.3) text.delete(Math.floor(Math.random() * (text.length - 1)), 1)
      else text.insert(Math.floor(Math.random() * text.length), 'abcdef'[Math.floor(Math.random() * 6)])
      const dice = Math.random()
      if (dice < 0.01) provider.disconnect()
      else if (dice < 0.1) provider.connect()
    }
    for (const { provider } of clients.slice(3)) {
      if (Math.random() < 0.01) provider.transports = ALL.slice(Math.floor(Math.random() * 3))
    }
    if (Math.random() < 0.01) {
      // Long enough for some edits to be acknowledged, and not for all.
      await sleep(Math.random() * 60)
      const held = clients.filter(({ provider }) => provider.saved).map(({ doc }) => [doc.clientID, Y.getState(doc.store, doc.clientID)])
      await own.kill()
      await own.start()
      const fresh = await open(t, own, { name, transports: ['long-poll'] })
      for (const [client, clock] of held) {
        const stored = Y.getState(fresh.doc.store, client)
        if (stored < clock) lost.push({ client, clock, stored })
        checked++
      }
      fresh.provider.destroy()
    }
    await sleep(10)
  }
  for (const { provider } of clients) provider.connect()
  await Promise.all(clients.map(saved))
  await until(() => clients.every(({ text }) => text.toString() === clients[0].text.toString()), 'all are the same', 10_000)
  const fresh = await open(t, own, { name })
  await shows(fresh, clients[0].text.toString())
  assert.deepEqual(lost, [])
  t.diagnostic(`${checked} times a client had all its edits saved when the server was killed`)
})

/** A JSON Web Token, HS256. */
const mint = (secret, claims) => {
  const part = value => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}
