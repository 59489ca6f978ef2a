// What holds between a real Pushpin, the core's GRIP and real clients. Every request has a room of its own.
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, before, test } from 'node:test'
import { WebsocketClient } from '../interop/transport-websocket.mjs'
import { pauseFor, until, within } from '../interop/waiting.mjs'
import { Socket, up } from './pushpin.mjs'

const EVENTS = 'application/websocket-events'
const endings = []
let all

before(async () => { all = await up({ after: ending => endings.push(ending) }) })
after(async () => { for (const ending of endings.reverse()) await ending() })

const open = (t, path) => Socket.open(t, all.proxy.ws + path)
const text = message => message.data.toString()

/** A y-websocket client, which leaves with the test. */
function join (t, doc, state) {
  const client = new WebsocketClient({ url: all.proxy.url, ws: all.proxy.ws + '/ws' }, doc, {})
  t.after(() => client.leave())
  if (state) client.awareness.setLocalState(state)
  client.connect()
  return client
}

/** POSTs events as a proxy would. */
const post = (base, path, body, headers = {}) =>
  fetch(base + path, { method: 'POST', body, headers: { 'content-type': EVENTS, 'connection-id': 'c', ...headers } })

test('two y-websocket clients edit together', async t => {
  const [a, b] = [join(t, 'together'), join(t, 'together')]
  await until(() => a.synced && b.synced, () => `both are synced; ${a.report} | ${b.report}`)
  a.doc.getText('t').insert(0, 'hello')
  await until(() => b.doc.getText('t').toString() === 'hello', 'an edit arrives')
  b.doc.getText('t').insert(5, ' you')
  await until(() => a.doc.getText('t').toString() === 'hello you', 'an edit comes back')
  const late = join(t, 'together')
  await until(() => late.synced, 'a third client is synced')
  assert.equal(late.doc.getText('t').toString(), 'hello you')
})

test('an edit of 100 KB, which is not published, arrives at once all the same', async t => {
  const [a, b] = [join(t, 'large'), join(t, 'large')]
  await until(() => a.synced && b.synced, 'both are synced')
  // Well below the interval of the keep-alive, which would bring it as well.
  const start = performance.now()
  a.doc.getText('t').insert(0, 'x'.repeat(100_000))
  await until(() => b.doc.getText('t').length === 100_000, 'the edit arrives', 10_000)
  t.diagnostic(`after ${Math.round(performance.now() - start)} ms`)
})

test('presence is seen by those who are there, and goes with its client', async t => {
  const watcher = join(t, 'presence')
  await until(() => watcher.synced, 'the watcher is synced')
  const client = join(t, 'presence', { name: 'ada' })
  const id = client.doc.clientID
  await until(() => watcher.awareness.getStates().get(id)?.name === 'ada', 'the newcomer is seen')
  client.provider.disconnect()
  await until(() => !watcher.awareness.getStates().has(id), 'its leaving is seen', 10_000)
})

test('a client that is cut off is gone for the others', async t => {
  const watcher = join(t, 'cut')
  await until(() => watcher.synced, 'the watcher is synced')
  const client = join(t, 'cut', { name: 'ada' })
  const id = client.doc.clientID
  await until(() => watcher.awareness.getStates().has(id), 'the newcomer is seen')
  client.provider.shouldConnect = false
  client.cut()
  await until(() => !watcher.awareness.getStates().has(id), 'its leaving is seen', 10_000)
})

test('an edit of which no word came is there with the next request', async t => {
  const [a, b] = [join(t, 'unpublished'), join(t, 'unpublished', { name: 'b' })]
  await until(() => a.synced && b.synced, 'both are synced')
  a.doc.getText('t').insert(0, 'unheard of')
  await until(() => all.host.lines.filter(line => line.startsWith('answered /ws/unpublished')).length >= 5, 'it is stored')
  await pauseFor(200)
  assert.equal(b.doc.getText('t').length, 0, 'no word came')
  b.awareness.setLocalState({ name: 'b moves' })
  await until(() => b.doc.getText('t').toString() === 'unheard of', 'the edit arrives', 10_000)
})

test('who does nothing asks nothing', async t => {
  const clients = [join(t, 'idle'), join(t, 'idle')]
  await until(() => clients.every(client => client.synced), 'both are synced')
  clients[0].doc.getText('t').insert(0, 'x')
  await until(() => clients[1].doc.getText('t').length === 1, 'an edit arrives')
  await pauseFor(500)
  const asked = () => all.host.lines.filter(line => line.startsWith('answered /ws/idle')).length
  const before = asked()
  await pauseFor(2_000)
  assert.equal(asked() - before, 0, all.host.report)
})

test('a silent connection is asked after by the keep-alive, with its session', async t => {
  const socket = await open(t, '/echo/silent')
  assert.equal(text(await within(socket.next(), 'the keep-alive', 30_000)), 'asked again')
})

test('a session of the largest size goes from request to request', async t => {
  const socket = await open(t, '/echo/session')
  socket.say('parked')
  assert.equal(text(await socket.next()), 'new')
  const state = 'x'.repeat(1536)
  socket.say('park ' + state)
  await until(() => all.host.lines.some(line => line.startsWith('answered /echo/session') && line.includes('frame(1541)')), 'it is parked')
  socket.say('parked')
  assert.equal(text(await socket.next()), state)
})

test('what is published reaches the others, and its sender if that is meant', async t => {
  const [a, b] = [await open(t, '/echo/publish'), await open(t, '/echo/publish')]
  for (const socket of [a, b]) {
    socket.say('here')
    await socket.next()
  }
  const times = []
  for (let round = 0; round < 50; round++) {
    const start = performance.now()
    a.say('publish-others 100')
    assert.equal((await b.next()).data.length, 100)
    times.push(performance.now() - start)
  }
  t.diagnostic(`median ${times.sort((one, other) => one - other)[25].toFixed(1)} ms`)
  a.say('publish 46000')
  assert.equal((await a.next()).data.length, 46_000, 'all of what came before was not for its sender')
  assert.equal((await b.next()).data.length, 46_000)
  a.say('publish-others 60000')
  assert.deepEqual([...(await b.next()).data], [3], 'who would miss it is asked for its awareness')
})

test('messages pass up to the bounds that are known', async t => {
  for (const bytes of [16_385, 100_000, 190_000]) {
    const socket = await open(t, '/echo/bounds')
    socket.ws.send(Buffer.alloc(bytes, 1))
    assert.equal((await socket.next(`the echo of ${bytes} bytes`)).data.length, bytes)
  }
  for (const bytes of [16_385, 250_000, 950_000]) {
    const socket = await open(t, '/echo/bounds')
    socket.say(`send ${bytes}`)
    const { data } = await socket.next(`${bytes} bytes`)
    assert.ok(data.length === bytes && data.every((byte, index) => byte === index % 251), `${bytes} bytes, as they were sent`)
  }
  const up = await open(t, '/echo/bounds')
  up.ws.send(Buffer.alloc(250_000, 1))
  assert.equal((await within(up.closed, 'what is too large for the proxy ends the connection')).code, 1006)
  const down = await open(t, '/echo/bounds')
  down.say('send 1000000')
  assert.equal((await within(down.closed, 'what is too large for an answer ends it')).code, 1009)
})

test('codes and reasons reach the client, and what it closed with comes back', async t => {
  for (const [code, reason] of [[1000, ''], [1009, 'too big'], [1013, 'later'], [4401, 'the token has expired'], [4404, 'gone']]) {
    const socket = await open(t, '/echo/close')
    socket.say(`close ${code} ${reason}`)
    assert.deepEqual(await within(socket.closed, `a close with ${code}`), { code, reason })
  }
  const socket = await open(t, '/echo/close')
  socket.ws.close(4001, 'bye')
  assert.deepEqual(await within(socket.closed, 'its own close'), { code: 4001, reason: 'bye' })
  const texts = await open(t, '/echo/close')
  texts.ws.send('text')
  assert.equal((await within(texts.closed, 'a close for a text')).code, 1003)
})

test('a refusal says why, as a frame and as a code', async t => {
  const socket = await open(t, '/ws/..%2F..')
  const { code, reason } = await within(socket.closed, 'the refusal')
  assert.equal(code, 4400)
  assert.match(reason, /segment/)
  assert.equal(socket.heard[0].data[0], 2, 'a refusal of y-protocols')
})

test('a ping of the client is answered', async t => {
  const socket = await open(t, '/echo/ping')
  socket.ws.ping('p')
  assert.deepEqual(await socket.next('the pong'), { pong: 'p' })
})

test('a request without a proxy in front of it is refused', async () => {
  for (const headers of [{}, { 'grip-sig': 'x' }, { 'grip-sig': forged() }]) {
    const answer = await post(all.backend, '/echo/forged', 'OPEN\r\n', headers)
    assert.equal(answer.status, 403)
    assert.match((await answer.json()).error.message, /Grip-Sig/)
  }
})

test('a plain request of a client is not taken for one of a WebSocket, although the proxy signs it', async () => {
  const session = Buffer.from('0123456789abcdef' + 'state').toString('base64url')
  for (const type of [EVENTS, 'Application/WebSocket-Events', EVENTS + ',', EVENTS + '; a=b', ['text/plain', EVENTS]]) {
    const answer = await plain('/echo/forged', 'BINARY 6\r\nparked\r\n', { 'content-type': type, 'connection-id': 'c', 'meta-session': session })
    assert.ok([403, 426].includes(answer.status), `${type}: ${answer.status}`)
    assert.ok(!answer.body.includes('state'))
  }
  assert.ok(!all.host.lines.some(line => line.startsWith('answered /echo/forged')), all.host.report)
})

test('a long-poll that the proxy holds ends when something is published, or with what was given for that', async () => {
  const poll = async seen => (await fetch(`${all.proxy.url}/held/poll?seen=${seen}`)).text()
  assert.equal(await poll(0), 'nothing')
  const waiting = poll(0)
  await until(() => all.host.lines.filter(line => line === 'held /held/poll?seen=0').length === 2, 'it is held')
  await pauseFor(200)
  await fetch(`${all.backend}/held/add`, { method: 'POST' })
  const start = performance.now()
  assert.equal(await waiting, '1')
  assert.ok(performance.now() - start < 1_500, 'at once')
  assert.equal(await poll(0), '1', 'who comes late does not wait')
})

/** A POST by way of the proxy, with headers that `fetch` would not send. */
function plain (path, body, headers) {
  return new Promise((resolve, reject) => {
    const asked = request(all.proxy.url + path, { method: 'POST', headers }, async answer => {
      const chunks = []
      for await (const chunk of answer) chunks.push(chunk)
      resolve({ status: answer.statusCode, body: Buffer.concat(chunks).toString() })
    })
    asked.once('error', reject)
    asked.end(body)
  })
}

function forged () {
  const part = value => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'none' })}.${part({ iss: 'yonder-tests', exp: 9_999_999_999 })}.`
}
