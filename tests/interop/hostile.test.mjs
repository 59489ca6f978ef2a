// Hostile clients: whatever one socket sends, only that socket pays for it.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { after, describe, test } from 'node:test'
import * as prng from 'lib0/prng'
import * as Y from 'yjs'
import { converge, join } from './client.mjs'
import { atEnd } from './ending.mjs'
import { Host, lacks, needs } from './host.mjs'
import { corpus, FOLDER } from './make-corpus.mjs'
import { ACK, dial, frame, isStep1, isStep2, SYNC } from './raw.mjs'
import { pauseFor, until } from './waiting.mjs'

const host = await Host.up()
after(() => host.down())

/** Milliseconds until who is gone is not shown. A proxy that lets go of a connection tells nobody: it expires after 30 s. */
const GONE = lacks('direct') ? 45_000 : 20_000

describe('hostile frames', { concurrency: 3 }, () => {
  const files = readdirSync(FOLDER).filter(file => file.endsWith('.bin')).sort()

  test('the corpus is what its generator makes', () => {
    const made = corpus()
    assert.deepEqual(files, [...made.keys()].map(name => name + '.bin').sort())
    for (const [name, bytes] of made) assert.deepEqual(new Uint8Array(readFileSync(`${FOLDER}${name}.bin`)), bytes, name)
  })

  for (const file of files) {
    test(`${file.replace('.bin', '')} harms nobody but its sender`, async t => {
      const good = await pair(t, file)
      write(good, 'before')
      await converge(good)
      await send(t, host, file, file)
      await unharmed(t, host, good, file)
    })
  }

  test('all of them on one document leave exactly what its good clients wrote', async t => {
    const good = await pair(t, 'all')
    for (const [index, file] of files.entries()) {
      write(good, index)
      await send(t, host, 'all', file)
    }
    await unharmed(t, host, good, 'all')
    assert.equal(good[0].doc.getArray('good').length, 2 * files.length + 2)
  })

  test('what they left in the store does not keep a restarted host from the good content', needs('restart'), async t => {
    const own = await Host.up()
    atEnd(t, () => own.down())
    const good = await pair(t, 'stored', own)
    for (const [index, file] of files.entries()) {
      write(good, index)
      await send(t, own, 'stored', file)
    }
    await converge(good)
    await own.away('stop')
    await own.start()
    await Promise.all(good.map(client => client.untilSynced()))
    await unharmed(t, own, good, 'stored')
  })
})

// One at a time: they keep this process so busy that it would be late to read its own close frames.
describe('hostile behaviour', () => {
  test('a text frame closes its sender with 1003', async t => {
    const good = await pair(t, 'text-frame')
    const raw = await dial(t, host, '/ws/text-frame')
    raw.send('{"type":"hello"}')
    await closed(raw, 1003)
    await unharmed(t, host, good, 'text-frame')
  })

  test('a frame that announces more than the limit closes its sender with 1009 before it is sent', needs('large-frames'), async t => {
    const good = await pair(t, 'announced')
    for (const announced of [1n << 30n, 1n << 40n, (1n << 63n) - 1n]) {
      const raw = await dial(t, host, '/ws/announced')
      const header = Buffer.alloc(14)
      header.writeUInt8(0x82, 0) // final, binary
      header.writeUInt8(0xff, 1) // masked, 64-bit length; the mask is zero
      header.writeBigUInt64BE(announced, 2)
      raw.socket._socket.write(Buffer.concat([header, Buffer.from(frame(SYNC, 2)), Buffer.alloc(1000)]))
      await closed(raw, 1009)
    }
    await unharmed(t, host, good, 'announced')
  })

  test('a message that grows over the limit in fragments closes its sender with 1009', needs('large-frames'), async t => {
    const good = await pair(t, 'fragments')
    const raw = await dial(t, host, '/ws/fragments')
    const part = Buffer.alloc(1 << 20)
    for (let sent = 0; sent < 512 && !raw.close && raw.socket.readyState === 1; sent++) {
      await new Promise(resolve => raw.socket.send(part, { fin: false, binary: true }, resolve))
      await new Promise(resolve => setImmediate(resolve)) // what the kernel takes at once never lets Node read
    }
    await closed(raw, 1009)
    await unharmed(t, host, good, 'fragments')
  })

  test('an awareness state of a megabyte closes its sender, and is not shown', needs('large-frames'), async t => {
    const good = await pair(t, 'big-state')
    const raw = await dial(t, host, '/ws/big-state')
    raw.awareness([121, 1, { name: 'x'.repeat(1 << 20) }])
    await closed(raw, 1009)
    await unharmed(t, host, good, 'big-state')
    assert.equal(good[0].others().has(121), false)
  })

  test('a payload of message 102 of a megabyte closes its sender, for it would have to be kept', needs('ack', 'large-frames'), async t => {
    const raw = await dial(t, host, '/ws/big-ack')
    raw.send(frame(ACK, new Uint8Array(1 << 20)))
    await closed(raw, 1009)
  })

  test('a flood of awareness ids harms nobody, and goes with its connection', async t => {
    const good = await pair(t, 'flood-ids')
    good.forEach((client, i) => client.awareness.setLocalState({ i }))
    await until(() => good.every(client => client.others().size === 1), 'they see each other')
    const raw = await dial(t, host, '/ws/flood-ids')
    for (let base = 0; base < 50_000 && raw.socket.readyState === 1; base += 1000) {
      raw.awareness(...Array.from({ length: 1000 }, (_, i) => [1_000_000 + base + i, 1, { i }]))
      if (base % 10_000 === 0) write(good, base)
    }
    await settled(raw)
    await unharmed(t, host, good, 'flood-ids')
    raw.socket.close()
    await until(() => shown(good, 1_000_000, 1_050_000) === 0, () => `the flood's ids go: ${shown(good, 1_000_000, 1_050_000)}`, GONE)
    good[1].awareness.setLocalState({ i: 'still here' })
    await until(() => good[0].others().get(good[1].doc.clientID)?.i === 'still here', 'presence still works')
    const late = await join(t, host, 'flood-ids', { state: { name: 'late' } })
    await until(() => good[0].others().has(late.doc.clientID), 'a newcomer is seen')
  })

  test('a flood of awareness changes does not stop the editing', async t => {
    const good = await pair(t, 'flood-changes')
    const raw = await dial(t, host, '/ws/flood-changes')
    for (let clock = 1; clock <= 20_000 && raw.socket.readyState === 1; clock++) {
      raw.awareness([131, clock, { clock }])
      if (clock % 1000 === 0) {
        write(good, clock)
        await new Promise(resolve => setImmediate(resolve))
      }
    }
    await settled(raw)
    await unharmed(t, host, good, 'flood-changes')
  })

  test('a thousand connections that open and vanish at once leave the document as it was', async t => {
    const good = await pair(t, 'churn')
    // A proxy answers some of a larger burst with 502.
    const atOnce = lacks('direct') ? 20 : 50
    for (let round = 0; round < 1000 / atOnce; round++) {
      const sockets = await Promise.all(Array.from({ length: atOnce }, () => dial(undefined, host, '/ws/churn')))
      sockets.forEach((raw, i) => { if (i % 2) raw.step1(); raw.awareness([9000 + i, 1, {}]); raw.socket.terminate() })
      write(good, round)
    }
    await unharmed(t, host, good, 'churn')
    await until(() => shown(good, 9000, 9050) === 0, () => `no ghosts: ${shown(good, 9000, 9050)}`, GONE)
  })

  test('a reader that stops reading is closed with 1013 while the others go on', { ...needs('slow-reader'), timeout: 120_000 }, async t => {
    const [writer, reader] = await pair(t, 'slow')
    const slow = await dial(t, host, '/ws/slow')
    slow.awareness([141, 1, { name: 'slow' }])
    await until(() => writer.others().has(141), 'the slow reader is there')
    slow.socket.pause()
    const random = prng.create(5)
    const blob = Uint8Array.from({ length: 1 << 20 }, () => prng.int32(random, 0, 255))
    let written = 0
    const began = Date.now()
    while (writer.others().has(141) && written < 96) {
      writer.doc.getMap('blobs').set('blob', blob.map(byte => byte ^ written)) // replaced, so that the document stays small
      written += 1
      await converge([writer, reader], 30_000)
      await pauseFor(10) // lets the removal through
    }
    await until(() => !writer.others().has(141), `after ${written} MiB its presence is gone`, 5_000)
    assert.ok(Date.now() - began < 28_000, 'closed because of its queue, not for its silence')
    slow.socket.resume()
    await closed(slow, 1013)
    await converge([writer, reader])
    await host.assertHealthy()
  })

  test('message 102 comes back as it was sent, in order, also when nothing was written before', needs('ack'), async t => {
    const raw = await dial(t, host, '/ws/ack')
    await raw.got(isStep1, 'the server asks what we have')
    raw.step2() // until then we might have more than we sent, and nothing is acknowledged
    const payloads = [bytesOf(0), bytesOf(1), bytesOf(2, 0), bytesOf(...Array(40).keys())]
    const echoes = () => raw.messages.filter(({ type }) => type === ACK).map(({ payload }) => [...payload])
    for (const payload of payloads) raw.send(frame(ACK, payload))
    const doc = new Y.Doc()
    doc.on('update', update => raw.update(update))
    for (let n = 1; n <= 40; n++) {
      doc.getArray('array').push([n])
      if (n % 10 === 0) raw.send(frame(ACK, bytesOf(3, n)))
    }
    await until(() => echoes().length === payloads.length + 4, () => `all are echoed: ${JSON.stringify(echoes())}`)
    assert.deepEqual(echoes(), [...payloads.map(payload => [...payload]), ...[10, 20, 30, 40].map(n => [3, n])])
    const late = await join(t, host, 'ack')
    assert.equal(late.doc.getArray('array').length, 40)
  })
})

/** Sends one frame of the corpus and checks what its name says must become of the sender. */
async function send (t, target, doc, file) {
  const raw = await dial(t, target, target.path(doc))
  raw.send(readFileSync(FOLDER + file))
  const expected = Number(file.split('-')[0])
  if (expected) return closed(raw, expected, file)
  await settled(raw, file)
  raw.socket.terminate()
}

async function closed (raw, expected, what = '') {
  const { code, reason } = await raw.untilClosed(`${what} closes its sender with ${expected}`)
  assert.equal(code, expected, `${what}: ${reason}`)
  assert.notEqual(reason, '', `${what}: a reason is given`)
}

/** Either still in conversation or closed for cause, but not left hanging. */
async function settled (raw, what = '') {
  const answered = raw.count(isStep2)
  if (raw.socket.readyState === 1) raw.step1()
  await until(() => raw.close || raw.count(isStep2) > answered, `${what}: the sender is answered or closed`, 20_000)
  // A proxy lets go of who sends more at once than it passes on.
  const codes = [1003, 1007, 1009, 1013, 1008, ...(lacks('direct') ? [1006] : [])]
  if (raw.close) assert.ok(codes.includes(raw.close.code), `${what}: ${JSON.stringify(raw.close)}`)
}

function pair (t, doc, target = host) {
  return Promise.all([join(t, target, doc), join(t, target, doc)])
}

/** How many clients with ids from `from` to below `to` these see. */
function shown (good, from, to) {
  return good.flatMap(client => [...client.others().keys()]).filter(id => id >= from && id < to).length
}

function write (good, what) {
  good.forEach(({ doc }, i) => doc.getArray('good').push([`${i}:${what}`]))
}

/** The good clients kept their sockets, still converge, and a newcomer gets exactly what they have. */
async function unharmed (t, target, good, name) {
  write(good, 'after')
  await converge(good)
  const late = await join(t, target, name)
  await until(() => late.doc.getArray('good').length === good[0].doc.getArray('good').length, 'a newcomer has all of it')
  assert.deepEqual(late.doc.getArray('good').toJSON(), good[0].doc.getArray('good').toJSON())
  for (const client of good) assert.deepEqual(client.closes.filter(({ code }) => ![1001, 1005, 1006, 1012].includes(code)), [])
  for (const client of good) assert.deepEqual(client.faults, [])
  await target.assertHealthy()
}

function bytesOf (...values) { return Uint8Array.from(values) }
