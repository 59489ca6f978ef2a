// Durability: what was acknowledged is there after a restart and after kill -9, whatever the client speaks.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as Y from 'yjs'
import { converge, join, sees, TRANSPORTS, transports } from './client.mjs'
import { atEnd } from './ending.mjs'
import { Host, lacks, needs, SHORT_DEADLINES } from './host.mjs'
import { storm, STORM, STORMS } from './kill-storm.mjs'
import { dial, stored } from './raw.mjs'
import { at, missing, read } from './streams.mjs'
import { until } from './waiting.mjs'

const list = ({ doc }) => doc.getArray('array').toJSON()

// Three kinds of clients at a time: much of it is waiting. Where each host is a load, a dozen of them would starve each other.
describe('durability', { concurrency: lacks('light') ? 1 : 3 }, () => {
  for (const transport of transports()) describe(`durability by ${transport}`, { concurrency: 4, ...needs(...TRANSPORTS[transport].needs) }, () => scenarios(transport))
})

function scenarios (transport) {
  const { keepsEdits, acknowledges } = TRANSPORTS[transport]
  const enter = (t, host, doc = 'doc', options = {}) => join(t, host, doc, { transport, ...options })

  test('clients outlive a restart by themselves, with what they wrote', { timeout: 60_000, ...needs('restart') }, async t => {
    const host = await up(t)
    const [a, b] = await Promise.all([enter(t, host, 'doc', { state: { name: 'a' } }), enter(t, host, 'doc', { state: { name: 'b' } })])
    a.doc.getArray('array').push(['before'])
    await converge([a, b])
    await host.away('stop')
    if (keepsEdits) {
      a.doc.getArray('array').push(['meanwhile a'])
      b.doc.getArray('array').push(['meanwhile b'])
    }
    await host.start()
    await until(() => a.connected && b.connected, 'both are back', 20_000)
    b.doc.getArray('array').push(['after'])
    await converge([a, b])
    const late = await enter(t, host)
    assert.deepEqual(list(late).sort(), ['after', 'before', ...(keepsEdits ? ['meanwhile a', 'meanwhile b'] : [])])
    for (const client of [a, b]) await sees(late, client, { name: client === a ? 'a' : 'b' }, 25_000)
  })

  test('a restart keeps many documents, each with many edits and deletions, exactly', needs('restart'), async t => {
    const host = await up(t)
    const names = Array.from({ length: 8 }, (_, i) => `kept-${i}`)
    const clients = await Promise.all(names.map(name => enter(t, host, name)))
    for (let n = 0; n < 200; n++) {
      for (const { doc } of clients) {
        doc.getText('text').insert(0, `${n} `)
        if (n % 3 === 0) doc.getText('text').delete(2, 2)
      }
      if (n % 30 === 0) await new Promise(resolve => setImmediate(resolve))
    }
    for (const client of clients) await converge([client, await enter(t, host, client.name)])
    for (const name of names) await stored(host, name)
    const expected = clients.map(({ doc }) => Y.snapshot(doc))
    await Promise.all(clients.map(client => client.leave()))
    for (let restart = 0; restart < 2; restart++) {
      await host.stop()
      await host.start()
      for (const [i, name] of names.entries()) {
        const late = await enter(t, host, name)
        assert.ok(Y.equalSnapshots(Y.snapshot(late.doc), expected[i]), `${name} after restart ${restart + 1}`)
        late.leave()
      }
    }
  })

  if (keepsEdits) {
    test('after kill -9 real clients come back by themselves and everything they wrote is there', { timeout: 90_000, ...needs('kill') }, async t => {
      const host = await up(t)
      const clients = await Promise.all(Array.from({ length: 4 }, () => enter(t, host)))
      for (let round = 0; round < 3; round++) {
        for (let n = 0; n < 50; n++) clients.forEach(({ doc }, i) => doc.getArray('array').push([`${round}:${i}:${n}`]))
        await host.away('kill')
        await host.start()
        await converge(clients, 30_000)
      }
      await until(() => clients.every(client => client.connected), 'all are back', 20_000)
      const late = await enter(t, host)
      await converge([clients[0], late])
      assert.equal(new Set(list(late)).size, 3 * 4 * 50)
      assert.equal(list(late).length, 3 * 4 * 50)
    })
  }

  if (acknowledges) {
    test('what a client was told is stored is there after kill -9', { timeout: 90_000, ...needs('kill') }, async t => {
      const host = await up(t)
      const told = []
      for (let round = 0; round < 5; round++) {
        const client = await enter(t, host)
        for (let n = 0; n < 10; n++) {
          client.doc.getArray('array').push([`${round}:${n}`])
          told.push(`${round}:${n}`)
        }
        await client.untilStored()
        client.doc.getArray('array').push(['not waited for'])
        await host.kill()
        await client.leave()
        await host.start()
        const fresh = await enter(t, host)
        assert.deepEqual(list(fresh).filter(word => word !== 'not waited for'), told)
        await fresh.leave()
      }
    })
  }

  if (!keepsEdits) {
    test('of a client that drops what it cannot send, what was acknowledged survives kill -9', { timeout: 90_000, ...needs('kill') }, async t => {
      const host = await up(t)
      const clients = await Promise.all([enter(t, host), enter(t, host)])
      for (let round = 0; round < 3; round++) {
        const before = clients.map(({ acknowledged }) => acknowledged.length)
        const typing = setInterval(() => {
          clients.forEach(({ doc, connected }, i) => { if (connected) doc.getArray('array').push([`${round}:${i}`]) })
        }, 3)
        atEnd(t, () => clearInterval(typing))
        await until(() => clients.every(({ acknowledged }, i) => acknowledged.length > before[i] + 20), 'both are acknowledged something')
        await host.away('kill')
        clearInterval(typing)
        await host.start()
        await until(() => clients.every(client => client.connected), 'both are back', 20_000)
        const promised = clients.flatMap(({ acknowledged }) => acknowledged) // before the read: a late batch may still be on its way
        const { frames } = await read(host, at('doc'))
        assert.deepEqual(promised.flatMap(update => missing(update, frames)), [])
      }
    })
  }
}

describe('durability on the wire', { concurrency: 2 }, () => {
  test('an update that waits for a missing one survives a restart', needs('sockets', 'restart'), async t => {
    const host = await up(t)
    const source = new Y.Doc()
    const updates = []
    source.on('update', update => updates.push(update))
    for (let n = 0; n < 60; n++) source.getArray('array').push([n])
    const raw = await dial(t, host, '/ws/pending')
    for (const update of updates.slice(1)) raw.update(update)
    await raw.roundTrip()
    await host.stop()
    await host.start()
    const after = await dial(t, host, '/ws/pending')
    after.update(updates[0])
    await after.roundTrip()
    assert.deepEqual(list(await join(t, host, 'pending')), Array.from({ length: 60 }, (_, n) => n))
  })

  const kills = Number(process.env.KILLS ?? 3)
  for (const [transport, { needs: names }] of Object.entries(STORMS)) {
    for (const [what, options] of [['', []], [' while it compacts all the time', ['--compact-kb', '1', '--compact-updates', '10']]]) {
      test(`kill -9 in a storm of edits by ${transport}${what} loses nothing that was acknowledged (KILLS=${kills})`,
        { ...needs('kill', ...names, ...(options.length > 0 ? ['options'] : [])), timeout: 60_000 + kills * 20_000 }, async t => {
          const { acknowledged, lost, written } = await storm({ kills, transport, options })
          t.diagnostic(`acknowledged / lost: ${acknowledged} / ${lost} in ${kills} kills (${written} written)`)
          assert.equal(lost, 0, `acknowledged / lost: ${acknowledged} / ${lost}`)
          assert.ok(acknowledged >= kills * STORM, `a storm, not a breeze: ${acknowledged} acknowledged`)
        })
    }
  }
})

async function up (t) {
  const host = await Host.up({ options: SHORT_DEADLINES })
  atEnd(t, () => host.down())
  return host
}
