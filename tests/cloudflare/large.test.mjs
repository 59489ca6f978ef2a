// A document of 20 MB: written in pieces and as one update, read by each transport, compacted, and read again after the object
// and workerd have ended.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { join, TRANSPORTS } from '../interop/client.mjs'
import { ask } from '../interop/request.mjs'
import { at, create, post, writer } from '../interop/streams.mjs'
import { until } from '../interop/waiting.mjs'
import { prng } from './packages.mjs'
import { Workerd } from './workerd.mjs'

const SIZE = 20 << 20
const PIECES = 20
const PATIENCE = 60_000

const host = await Workerd.up()
after(() => host.down())
const random = prng.create(7)
/** What no compression makes smaller. */
const bytes = Uint8Array.from({ length: SIZE / PIECES }, () => prng.int32(random, 0, 255))
const pieces = Array.from({ length: PIECES }, (_, n) => bytes.map(byte => byte ^ n))

const WRITERS = {
  'in pieces by WebSocket': async (t, doc) => {
    await create(host, doc)
    const client = await join(t, host, doc, { transport: 'y-sweet' })
    for (let n = 0; n < PIECES; n++) client.doc.getMap('pieces').set(`${n}`, pieces[n])
    await client.untilStored(PATIENCE)
    await client.leave()
  },
  'in pieces by HTTP': async (t, doc) => {
    const path = await create(host, doc)
    const { doc: source, updates } = writer()
    for (let n = 0; n < PIECES; n++) {
      source.getMap('pieces').set(`${n}`, pieces[n])
      await post(host, path, updates.splice(0), { ms: PATIENCE })
    }
  },
  'as one update': async (t, doc) => {
    const path = await create(host, doc)
    const { doc: source, updates } = writer()
    source.transact(() => { for (let n = 0; n < PIECES; n++) source.getMap('pieces').set(`${n}`, pieces[n]) })
    assert.ok(updates[0].length > SIZE)
    await post(host, path, updates, { ms: PATIENCE })
  }
}

// One at a time: an isolate has 128 MB.
describe('a document of 20 MB', () => {
  for (const [how, write] of Object.entries(WRITERS)) {
    test(`written ${how}`, { timeout: 170_000 }, async t => {
      const doc = how.replaceAll(' ', '-')
      await write(t, doc)
      const readers = how.includes('WebSocket') ? Object.keys(TRANSPORTS) : ['y-websocket', 'HTTP SSE']
      for (const transport of readers) await reads(t, doc, transport)
      await until(async () => (await snapshot(doc)) !== undefined, 'it is compacted', 30_000)
      assert.equal(await host.evict(doc), true)
      await reads(t, doc, 'y-websocket')
      await host.kill()
      await host.start()
      await reads(t, doc, 'HTTP long-poll')
      const { status, bytes } = await ask(host, 'GET', `/d/${doc}/as-update`, { ms: PATIENCE })
      assert.equal(status, 200)
      assert.ok(bytes.length > SIZE)
      assert.equal((await ask(host, 'DELETE', `/doc/${doc}`)).status, 204)
    })
  }
})

/** The whole document, as a client of this kind gets it. */
async function reads (t, doc, transport) {
  const client = await join(t, host, doc, { transport, wait: false })
  await client.untilSynced(PATIENCE)
  const got = client.doc.getMap('pieces')
  await until(() => got.size === PIECES, () => `${transport} has ${got.size} of ${PIECES}`, PATIENCE)
  for (const [n, piece] of pieces.entries()) assert.ok(Buffer.compare(got.get(`${n}`), piece) === 0, `${transport}: piece ${n}`)
  await client.leave()
}

/** Where the newest snapshot ends; none if there is none. */
async function snapshot (doc) {
  const { status, headers } = await ask(host, 'GET', at(doc), { query: { offset: 'snapshot' } })
  assert.equal(status, 307)
  return /offset=([0-9A-F]{16})_snapshot/.exec(headers.location)?.[1]
}
