// What every transport must do, on each of them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as Y from 'yjs'
import { open, saved, serve, shows, sleep, until } from './clients.mjs'

for (const transport of ['websocket', 'sse', 'long-poll']) {
  const transports = [transport]

  test(`${transport}: edits go both ways, and are saved when the server has stored them`, async t => {
    const server = await serve(t)
    const maya = await open(t, server, { transports })
    const tomas = await open(t, server, { transports })
    assert.equal(maya.provider.transport, transport)
    assert.equal(maya.provider.saved, true)
    maya.text.insert(0, 'one ')
    assert.equal(maya.provider.saved, false)
    assert.equal(maya.provider.unsaved, 1)
    await shows(tomas, 'one ')
    await saved(maya)
    assert.equal(maya.provider.unsaved, 0)
    tomas.text.insert(4, 'two')
    await shows(maya, 'one two')
    await saved(tomas)
    assert.equal(server.document('notes').ydoc.getText('content').toString(), 'one two')
    assert.deepEqual(maya.told('status'), ['connecting', 'connected'])
    assert.deepEqual(maya.told('synced'), [true])
    assert.deepEqual(maya.told('saved'), [false, true])
  })

  test(`${transport}: changes of the server have the provider as their origin`, async t => {
    const server = await serve(t)
    const maya = await open(t, server, { transports })
    const tomas = await open(t, server, { transports })
    const origins = []
    maya.doc.on('update', (_update, origin) => origins.push(origin))
    tomas.text.insert(0, 'x')
    await shows(maya, 'x')
    assert.ok(origins.every(origin => origin === maya.provider))
  })

  test(`${transport}: edits made before and between connections are kept, and sent`, async t => {
    const server = await serve(t)
    const maya = await open(t, server, { transports, connect: false })
    maya.text.insert(0, 'before ')
    assert.equal(maya.provider.saved, false)
    maya.provider.connect()
    await until(() => maya.provider.synced)
    await saved(maya)
    maya.provider.disconnect()
    assert.equal(maya.provider.synced, false)
    maya.text.insert(7, 'between')
    await sleep(50)
    assert.equal(server.document('notes').ydoc.getText('content').toString(), 'before ')
    assert.equal(maya.provider.unsaved, 1)
    maya.provider.connect()
    await saved(maya)
    assert.equal(server.document('notes').ydoc.getText('content').toString(), 'before between')
  })

  test(`${transport}: a document that comes with content is not saved until the server has it`, async t => {
    const server = await serve(t)
    const doc = new Y.Doc()
    doc.getText('content').insert(0, 'from the disk')
    const maya = await open(t, server, { transports, doc, connect: false })
    assert.equal(maya.provider.saved, false)
    maya.provider.connect()
    await saved(maya)
    assert.equal(server.document('notes').ydoc.getText('content').toString(), 'from the disk')
  })

  test(`${transport}: deletions made offline arrive although the state vectors are equal`, async t => {
    const server = await serve(t)
    const first = await open(t, server, { transports })
    first.text.insert(0, 'keep this, not this')
    await saved(first)
    const doc = new Y.Doc()
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(first.doc))
    doc.getText('content').delete(9, 10)
    const second = await open(t, server, { transports, doc })
    await saved(second)
    await shows(first, 'keep this')
  })

  test(`${transport}: the server is away for a while, and all that was written meanwhile is there afterwards`, async t => {
    const server = await serve(t)
    const maya = await open(t, server, { transports, state: { name: 'Maya' } })
    const tomas = await open(t, server, { transports, state: { name: 'Tomás' } })
    maya.text.insert(0, 'a')
    await shows(tomas, 'a')
    await server.cut(true)
    await until(() => !maya.provider.connected && !tomas.provider.connected)
    assert.equal(maya.provider.transport, null)
    assert.deepEqual(maya.others(), [], 'who is there is not known')
    for (const letter of 'bcdef') {
      maya.text.insert(maya.text.length, letter)
      tomas.text.insert(tomas.text.length, letter.toUpperCase())
      await sleep(20)
    }
    await server.back()
    await Promise.all([saved(maya), saved(tomas)])
    await until(() => maya.text.toString() === tomas.text.toString() && maya.text.length === 11)
    await until(() => maya.others().includes('Tomás'), 'others are shown again at once')
    assert.deepEqual(maya.told('synced'), [true, false, true])
  })

  test(`${transport}: presence is seen, follows, and goes when its provider is destroyed`, async t => {
    const server = await serve(t)
    const maya = await open(t, server, { transports, state: { name: 'Maya' } })
    const tomas = await open(t, server, { transports, state: { name: 'Tomás' } })
    await until(() => maya.others().includes('Tomás'))
    await until(() => tomas.others().includes('Maya'))
    maya.provider.awareness.setLocalState({ name: 'Maya L.' })
    await until(() => tomas.others().includes('Maya L.'))
    maya.provider.destroy()
    await until(() => tomas.others().length === 0)
  })

  test(`${transport}: who is said to be gone says that they are not`, async t => {
    const server = await serve(t)
    const maya = await open(t, server, { transports, state: { name: 'Maya' } })
    const tomas = await open(t, server, { transports, state: { name: 'Tomás' } })
    await until(() => tomas.others().includes('Maya'))
    const document = server.document('notes')
    document.leave(new Set([maya.doc.clientID]), document.owners.get(maya.doc.clientID))
    const updates = []
    tomas.provider.awareness.on('update', ({ updated, added }) => updates.push(...updated, ...added))
    await until(() => updates.includes(maya.doc.clientID))
    assert.deepEqual(tomas.others(), ['Maya'])
  })

  test(`${transport}: what is written just before the end is sent`, async t => {
    const server = await serve(t)
    const maya = await open(t, server, { transports })
    maya.text.insert(0, 'last words')
    maya.provider.destroy()
    await until(() => server.document('notes').ydoc.getText('content').toString() === 'last words')
  })

  test(`${transport}: a server that was set back gets what it lost, and it counts as unsaved until then`, async t => {
    const server = await serve(t)
    const maya = await open(t, server, { transports })
    maya.text.insert(0, 'one')
    await saved(maya)
    maya.text.insert(3, ' two')
    await saved(maya)
    await server.cut(true)
    await until(() => !maya.provider.connected)
    const kept = server.document('notes').updates.slice(0, 1)
    server.documents.clear()
    server.document('notes').append(kept)
    await server.back()
    await until(() => maya.provider.synced)
    await until(() => server.document('notes').ydoc.getText('content').toString() === 'one two')
    await saved(maya)
    assert.deepEqual(maya.told('saved'), [false, true, false, true, false, true])
  })

  test(`${transport}: a deleted document is refused, and does not come back by itself`, async t => {
    const server = await serve(t)
    const maya = await open(t, server, { transports, timing: { refused: [10, 10] } })
    maya.text.insert(0, 'gone soon')
    await saved(maya)
    await fetch(`${server.url}/v1/yjs/default/docs/notes`, { method: 'DELETE' })
    await until(() => maya.told('refused').length === 1)
    assert.equal(maya.told('refused')[0].code, 4404)
    assert.equal(maya.told('refused')[0].scope, 'document')
    assert.equal(maya.provider.shouldConnect, false)
    const asked = server.asked.length
    maya.text.insert(0, 'not ')
    await sleep(60)
    assert.equal(server.asked.length, asked)
    assert.equal(server.documents.has('notes'), false)
  })

  test(`${transport}: after a server without documents, and none deleted, the document is made`, async t => {
    const server = await serve(t)
    const maya = await open(t, server, { transports, name: 'a/new one/ü' })
    maya.text.insert(0, 'x')
    await saved(maya)
    assert.ok(server.documents.has('a/new%20one/%C3%BC'))
  })
}

test('a name that a URL would change is refused', async t => {
  for (const name of ['..', 'a/../b', './a']) {
    await assert.rejects(open(t, { url: 'http://127.0.0.1:1' }, { name, connect: false }), TypeError)
  }
})
