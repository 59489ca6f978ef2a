// @y-sweet/sdk and @y-sweet/client as applications use them: connection strings, client tokens, status, read-only, offline.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { createYjsProvider, YSweetProvider } from '@y-sweet/client'
import { createDoc, decodeClientToken, DocumentManager, encodeClientToken, getClientToken, getOrCreateDocAndToken, YSweetError } from '@y-sweet/sdk'
import { WebSocket } from 'ws'
import * as Y from 'yjs'
import { converge, join, sees } from './client.mjs'
import { atEnd } from './ending.mjs'
import { Host, needs } from './host.mjs'
import { Line } from './line.mjs'
import { mint, seconds } from './token.mjs'
import { connectionString } from './transport-sweet.mjs'
import { never, until } from './waiting.mjs'

const SECRET = 'a secret for the tests of y-sweet, long enough'
const KEY = `k1:${SECRET}`
const serverToken = mint(SECRET, { prefix: '', perm: 'admin', exp: seconds(3600), sub: 'backend' }, { kid: 'k1' })

const lacking = needs('sweet', 'ack')
const host = lacking.skip ? undefined : await Host.up()
const keyed = lacking.skip || needs('auth').skip ? undefined : await Host.up({ keys: [KEY] })
after(async () => { await host?.down(); await keyed?.down() })

const update = text => {
  const doc = new Y.Doc()
  doc.getText('text').insert(0, text)
  return Y.encodeStateAsUpdate(doc)
}
const textOf = bytes => {
  const doc = new Y.Doc()
  Y.applyUpdate(doc, bytes)
  return doc.getText('text').toString()
}

describe('@y-sweet/sdk', { concurrency: 4, ...lacking }, () => {
  for (const [what, server, token] of [['without keys', host], ['with a server token', keyed, serverToken]]) {
    test(`manages documents ${what}`, { skip: server === undefined && 'no keys on this host' }, async () => {
      const manager = new DocumentManager(connectionString(server, token))
      assert.deepEqual(await manager.checkStore(), { ok: true })
      assert.deepEqual(await manager.createDoc('managed'), { docId: 'managed' })
      assert.deepEqual(await manager.createDoc('managed'), { docId: 'managed' })
      const { docId } = await manager.createDoc()
      assert.match(docId, /^[\w-]+$/)
      const clientToken = await manager.getClientToken('managed')
      assert.equal(clientToken.docId, 'managed')
      assert.equal(clientToken.authorization, 'full')
      assert.equal(typeof clientToken.token, token === undefined ? 'undefined' : 'string')
      assert.deepEqual(decodeClientToken(encodeClientToken(clientToken)), clientToken)
      await manager.updateDoc('managed', update('from the backend'))
      assert.equal(textOf(await manager.getDocAsUpdate('managed')), 'from the backend')
      const connection = await manager.getDocConnection('managed', { authorization: 'read-only' })
      assert.equal(textOf(await connection.getAsUpdate()), 'from the backend')
      const created = await manager.createDocWithContent(update('at once'))
      assert.equal(textOf(await manager.getDocAsUpdate(created.docId)), 'at once')
      assert.equal((await getOrCreateDocAndToken(connectionString(server, token), 'other')).docId, 'other')
      assert.equal((await createDoc(connectionString(server, token), 'third')).docId, 'third')
      assert.equal((await getClientToken(connectionString(server, token), 'third')).docId, 'third')
    })
  }

  test('names its errors', async () => {
    const manager = new DocumentManager(connectionString(host))
    await fails(manager.getClientToken('nowhere'), { code: 'ServerError', status: 404 })
    await fails(manager.getDocAsUpdate('nowhere'), { code: 'ServerError', status: 404 })
    await fails(manager.createDoc('no id'), { code: 'ServerError', status: 400 })
    await manager.createDoc('errors')
    await fails(manager.updateDoc('errors', Uint8Array.of(255, 255)), { code: 'ServerError', status: 400 })
  })

  test('is told when its token is missing, wrong or too weak', needs('auth'), async () => {
    await fails(new DocumentManager(connectionString(keyed)).createDoc('x'), { code: 'NoAuthProvided' })
    await fails(new DocumentManager(connectionString(keyed)).checkStore(), { code: 'NoAuthProvided' })
    await fails(new DocumentManager(connectionString(keyed, 'nonsense')).createDoc('x'), { code: 'InvalidAuthProvided' })
    const backend = new DocumentManager(connectionString(keyed, serverToken))
    await backend.createDoc('weak')
    const full = await backend.getClientToken('weak')
    const reading = await backend.getDocConnection('weak', { authorization: 'read-only' })
    await fails(reading.updateDoc(update('x')), { code: 'ServerError', status: 403 })
    for (const action of [manager => manager.createDoc('weak'), manager => manager.getClientToken('weak'), manager => manager.checkStore()]) {
      await fails(action(new DocumentManager(connectionString(keyed, full.token))), { code: 'ServerError', status: 403 })
    }
  })
})

describe('@y-sweet/client', { concurrency: 6, ...lacking }, () => {
  test('two clients edit and see each other, through all states of a connection', async t => {
    const endpoint = () => new DocumentManager(connectionString(host)).getOrCreateDocAndToken('pair')
    const providers = [1, 2].map(n => {
      const doc = new Y.Doc()
      const provider = createYjsProvider(doc, 'pair', endpoint, { WebSocketPolyfill: WebSocket, showDebuggerLink: false, connect: false })
      const states = []
      provider.on('connection-status', state => states.push(state))
      atEnd(t, () => end(provider))
      provider.connect()
      return { doc, provider, states, n }
    })
    for (const { provider, states } of providers) {
      await until(() => provider.status === 'connected', () => states.join())
      assert.deepEqual(states, ['connecting', 'handshaking', 'connected'])
    }
    const [a, b] = providers
    a.doc.getText('text').insert(0, 'Hello')
    a.provider.awareness.setLocalState({ name: 'a' })
    await until(() => b.doc.getText('text').toString() === 'Hello', 'the text')
    await until(() => b.provider.awareness.getStates().get(a.doc.clientID)?.name === 'a', 'the presence')
  })

  test('it has local changes until they are stored, not only until they are sent', async t => {
    const client = await join(t, host, 'changes', { transport: 'y-sweet' })
    await client.untilStored()
    const changes = []
    client.provider.on('local-changes', value => changes.push(value))
    client.doc.getText('text').insert(0, 'x')
    assert.equal(client.provider.hasLocalChanges, true)
    await client.untilStored()
    assert.deepEqual(changes, [true, false])
    for (let n = 0; n < 100; n++) client.doc.getText('text').insert(0, `${n} `)
    await client.untilStored()
    assert.equal(changes.at(-1), false)
  })

  test('what it was told is stored is there after kill -9, again and again', needs('kill'), async t => {
    const own = await Host.up()
    atEnd(t, () => own.down())
    for (let round = 0; round < 4; round++) {
      const client = await join(t, own, 'told', { transport: 'y-sweet' })
      client.doc.getArray('list').push([round])
      await client.untilStored()
      await own.kill()
      client.leave()
      await own.start()
      const fresh = await join(t, own, 'told', { transport: 'y-sweet' })
      assert.deepEqual(fresh.doc.getArray('list').toJSON(), Array.from({ length: round + 1 }, (_, n) => n))
      fresh.leave()
    }
  })

  test('it is not told that all is stored while the server is out of reach', async t => {
    const line = await Line.to(t, host)
    const client = await join(t, line, 'unreachable', { transport: 'y-sweet' })
    await client.untilStored()
    line.freeze()
    client.doc.getText('text').insert(0, 'not yet')
    await never(() => !client.provider.hasLocalChanges, 'told that it is stored', 2_500)
    line.mend()
    await client.untilStored(20_000)
    assert.equal((await join(t, host, 'unreachable', { transport: 'y-sweet' })).doc.getText('text').toString(), 'not yet')
  })

  test('it notices within seconds that a connection is dead, and comes back by itself', async t => {
    const line = await Line.to(t, host)
    const client = await join(t, line, 'dead', { transport: 'y-sweet', state: { name: 'back' } })
    await client.untilStored()
    line.freeze()
    await until(() => client.provider.status !== 'connected', 'the heartbeat fails', 10_000)
    line.mend()
    await client.untilSynced(15_000)
    const other = await join(t, host, 'dead', { transport: 'y-sweet' })
    await sees(other, client, { name: 'back' })
  })

  test('a read-only client reads and is seen, and keeps its connection although it tries to write', needs('auth'), async t => {
    const { warn } = console
    console.warn = () => {} // the client warns that its edits stay local
    atEnd(t, () => { console.warn = warn })
    const backend = new DocumentManager(connectionString(keyed, serverToken))
    const [full, reading] = [await backend.getOrCreateDocAndToken('reading'), await backend.getClientToken('reading', { authorization: 'read-only' })]
    const writer = await join(t, keyed, 'reading', { transport: 'y-sweet', clientToken: full, state: { name: 'writer' } })
    const reader = await join(t, keyed, 'reading', { transport: 'y-sweet', clientToken: reading, state: { name: 'reader' } })
    writer.doc.getText('text').insert(0, 'to read')
    await converge([writer, reader])
    await sees(writer, reader, { name: 'reader' })
    await sees(reader, writer, { name: 'writer' })
    reader.doc.getText('text').insert(0, 'not ')
    await never(() => reader.provider.status !== 'connected', 'the connection was lost', 7_000) // two heartbeats and their limit
    assert.equal(writer.doc.getText('text').toString(), 'to read')
    writer.doc.getText('text').insert(7, ' on')
    await until(() => reader.doc.getText('text').toString() === 'not to read on', 'it still reads')
  })

  test('a token that has expired is replaced by a new one from the backend', { timeout: 60_000, ...needs('auth', 'expiry') }, async t => {
    const backend = new DocumentManager(connectionString(keyed, serverToken))
    let asked = 0
    const doc = new Y.Doc()
    const provider = new YSweetProvider(async () => {
      asked += 1
      return backend.getOrCreateDocAndToken('expiring', { validForSeconds: asked === 1 ? 2 : 600 })
    }, 'expiring', doc, { WebSocketPolyfill: WebSocket, showDebuggerLink: false })
    atEnd(t, () => end(provider))
    await until(() => provider.status === 'connected', 'connected')
    await until(() => provider.status !== 'connected', 'the token expires', 12_000)
    doc.getText('text').insert(0, 'meanwhile')
    await until(() => provider.status === 'connected' && !provider.hasLocalChanges, 'connected again', 20_000)
    assert.ok(asked >= 2)
    assert.equal(textOf(await backend.getDocAsUpdate('expiring')), 'meanwhile')
  })

  test("a client token opens no other document, and not its own under another server's key", needs('auth'), async t => {
    const backend = new DocumentManager(connectionString(keyed, serverToken))
    const mine = await backend.getOrCreateDocAndToken('mine')
    await backend.createDoc('yours')
    const { warn } = console
    console.warn = () => {}
    atEnd(t, () => { console.warn = warn })
    for (const [docId, clientToken, code] of [
      ['yours', { ...mine, docId: 'yours', url: mine.url.replace('mine', 'yours') }, 4403],
      ['mine', { ...mine, token: mint('another secret, long enough to be a key', { doc: 'mine', perm: 'write', exp: seconds(60) }, { kid: 'k1' }) }, 4401]
    ]) {
      const client = await join(t, keyed, docId, { transport: 'y-sweet', clientToken, wait: false })
      await until(() => client.closes.length > 0, 'it is refused')
      assert.equal(client.closes[0].code, code)
      assert.notEqual(client.provider.status, 'connected')
    }
  })
})

function end (provider) {
  provider.connect = async () => {}
  provider.attemptToConnect = async () => true
  provider.destroy()
  provider.clearHeartbeat()
  provider.clearConnectionTimeout()
  provider.setStatus('offline')
  provider.awareness.destroy()
}

function fails (promise, cause) {
  return assert.rejects(promise, error => {
    assert.ok(error instanceof YSweetError, error.stack)
    for (const [key, value] of Object.entries(cause)) assert.equal(error.cause[key], value, error.message)
    return true
  })
}
