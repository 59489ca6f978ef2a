// Documents share an isolate, and the memory of one Wasm module: what is sent to one of them, and what becomes of that,
// is no matter of the others.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { after, test } from 'node:test'
import { converge, join, sees } from '../interop/client.mjs'
import { dial } from '../interop/raw.mjs'
import { ask } from '../interop/request.mjs'
import { at, create, framed, writer } from '../interop/streams.mjs'
import { pauseFor, until } from '../interop/waiting.mjs'
import { Workerd } from './workerd.mjs'

const DOCS = Array.from({ length: 12 }, (_, n) => `isolate-${n}`)
const FRAMES = new URL('../corpus/frames/', import.meta.url)

const host = await Workerd.up()
after(() => host.down())

const long = 'x'.repeat(200_000)
/** Requests that are wrong in one way or another. */
const HOSTILE = doc => [
  ['POST', at(doc), { body: 'garbage' }],
  ['POST', at(doc), { body: Buffer.alloc(1000, 0xff) }],
  ['POST', at(doc), { body: framed(Uint8Array.of(1, 2, 3)) }],
  ['POST', at(doc), { body: framed(Buffer.alloc(70_000, 0x80)) }],
  ['POST', at(doc), { query: { awareness: 'default' }, body: Buffer.alloc(300, 0xfe) }],
  ['POST', at(doc), { headers: { 'content-length': '0' } }],
  ['POST', `/d/${doc}/update`, { body: Buffer.alloc(100, 0x7f) }],
  ['GET', at(doc), { query: { offset: 'nonsense' } }],
  ['GET', at(doc), { query: { offset: 'f'.repeat(5000) } }],
  ['GET', at(doc), { query: { offset: '-1', live: 'nonsense' } }],
  ['GET', at(doc), { query: { offset: 'ffffffffffffffff', live: 'long-poll', presence: '\0' } }],
  ['GET', `/doc/${doc}/versions/${long}/json`, {}],
  ['POST', `/doc/${doc}/versions`, { body: `{"name":"${long}"}` }],
  ['POST', `/doc/${doc}/versions`, { body: '{'.repeat(50_000) }],
  ['POST', `/doc/${doc}/copy`, { body: '{"docId":17}' }],
  ['DELETE', `/doc/${doc}/versions/none`, {}],
  ['PATCH', at(doc), {}],
  ['GET', '/%ff%fe', {}],
  ['GET', `/${long}`, {}]
]

test('a dozen documents are edited while one of them is fed garbage', { timeout: 120_000 }, async t => {
  const rooms = await Promise.all(DOCS.map(doc => Promise.all([0, 1].map(n => join(t, host, doc, { transport: n ? 'y-sweet' : 'y-websocket', state: { n } })))))
  let over = false
  const writing = rooms.map(async (clients, room) => {
    let written = 0
    for (; !over || written < 20; written++) {
      clients[written % 2].doc.getArray('list').push([`${room}:${written}`])
      await pauseFor(30)
    }
    return written
  })
  const [bad] = DOCS
  const files = readdirSync(FRAMES).filter(file => file.endsWith('.bin'))
  assert.ok(files.length > 50)
  for (const file of files) {
    const raw = await dial(t, host, host.path(bad))
    raw.send(readFileSync(new URL(file, FRAMES)))
    raw.step1()
    const expected = Number(file.split('-')[0])
    await until(() => raw.close || (!expected && raw.messages.some(({ type, step }) => type === 0 && step === 1)), () => `${file} is answered, or its sender closed`)
    if (expected) assert.equal(raw.close.code, expected, file)
    raw.socket.terminate()
  }
  for (const [method, path, options] of HOSTILE(bad)) {
    const answer = await ask(host, method, path, options).catch(error => ({ status: 400, text: error.code }))
    assert.ok(answer.status >= 400 && answer.status < 500, `${method} ${path.slice(0, 60)}: ${answer.status} ${answer.text.slice(0, 200)}`)
  }
  await create(host, 'of-nobody')
  over = true
  const written = await Promise.all(writing)
  for (const [room, clients] of rooms.entries()) {
    const late = await join(t, host, DOCS[room])
    const lists = () => [...clients, late].map(({ doc }) => JSON.stringify(doc.getArray('list')))
    await until(() => new Set(lists()).size === 1, () => `all have the same: ${lists().join('\n')}`, 20_000)
    assert.equal(late.doc.getArray('list').length, written[room], DOCS[room])
    await clients[1].untilStored()
    assert.deepEqual(clients.flatMap(({ closes }) => closes), [], `${DOCS[room]}: nobody was closed`)
    await sees(clients[0], clients[1], { n: 1 })
    await until(() => late.others().size === 2, () => `who is there: ${JSON.stringify([...late.others()])}`, 40_000)
  }
  assert.doesNotMatch(host.output, /unreachable|panicked|Reinitializing/, 'the module was not made anew')
})

test('an object that is made anew after an error does not take the others with it', { timeout: 60_000 }, async t => {
  const own = await Workerd.up(t, { probe: true })
  const [a, b] = await Promise.all([join(t, own, 'a'), join(t, own, 'b')])
  a.doc.getArray('list').push(['a'])
  b.doc.getArray('list').push(['b'])
  for (let n = 0; n < 5; n++) await own.abort('a')
  b.doc.getArray('list').push(['b'])
  await converge([b, await join(t, own, 'b')])
  assert.deepEqual(b.closes, [])
  await until(() => a.connected && a.synced, 'it comes back')
  await converge([a, await join(t, own, 'a')])
  assert.equal((await ask(own, 'POST', at('b'), { body: framed(writer().push('http')) })).status, 204)
})
