// Durability: what was acknowledged is there after a restart and after kill -9.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as Y from 'yjs'
import { converge, join } from './client.mjs'
import { atEnd } from './ending.mjs'
import { Host, needs } from './host.mjs'
import { storm } from './kill-storm.mjs'
import { dial } from './raw.mjs'
import { until } from './waiting.mjs'

describe('durability', { concurrency: 2 }, () => {
  test('clients outlive a restart by themselves, with what they wrote before, meanwhile and after', needs('restart'), async t => {
    const host = await up(t)
    const [a, b] = await Promise.all([join(t, host, 'doc', { state: { name: 'a' } }), join(t, host, 'doc', { state: { name: 'b' } })])
    a.doc.getArray('array').push(['before'])
    await converge([a, b])
    await host.stop()
    await until(() => !a.provider.wsconnected && !b.provider.wsconnected, 'both notice')
    a.doc.getArray('array').push(['meanwhile a'])
    b.doc.getArray('array').push(['meanwhile b'])
    await host.start()
    await Promise.all([a.untilSynced(), b.untilSynced()])
    b.doc.getArray('array').push(['after'])
    await converge([a, b])
    const late = await join(t, host, 'doc')
    assert.deepEqual(late.doc.getArray('array').toJSON().sort(), ['after', 'before', 'meanwhile a', 'meanwhile b'])
    await until(() => late.others().size === 2, 'a newcomer sees both present')
  })

  test('a restart keeps many documents, each with many edits and deletions, exactly', needs('restart'), async t => {
    const host = await up(t)
    const names = Array.from({ length: 12 }, (_, i) => `kept/${i}`)
    const clients = await Promise.all(names.map(name => join(t, host, name)))
    for (let n = 0; n < 300; n++) {
      for (const { doc } of clients) {
        doc.getText('text').insert(0, `${n} `)
        if (n % 3 === 0) doc.getText('text').delete(2, 2)
      }
      if (n % 30 === 0) await new Promise(resolve => setImmediate(resolve))
    }
    for (const client of clients) await converge([client, await join(t, host, client.name)])
    const expected = clients.map(({ doc }) => Y.snapshot(doc))
    clients.forEach(client => client.leave())
    for (let restart = 0; restart < 2; restart++) {
      await host.stop()
      await host.start()
      for (const [i, name] of names.entries()) {
        const late = await join(t, host, name)
        assert.ok(Y.equalSnapshots(Y.snapshot(late.doc), expected[i]), `${name} after restart ${restart + 1}`)
        late.leave()
      }
    }
  })

  test('an update that waits for a missing one survives a restart', needs('restart'), async t => {
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
    assert.deepEqual((await join(t, host, 'pending')).doc.getArray('array').toJSON(), Array.from({ length: 60 }, (_, n) => n))
  })

  test('after kill -9 real clients come back by themselves and everything they wrote is there', needs('kill'), async t => {
    const host = await up(t)
    const clients = await Promise.all(Array.from({ length: 4 }, () => join(t, host, 'doc')))
    for (let round = 0; round < 3; round++) {
      for (let n = 0; n < 50; n++) clients.forEach(({ doc }, i) => doc.getArray('array').push([`${round}:${i}:${n}`]))
      await host.kill()
      await host.start()
      await converge(clients, 30_000)
    }
    await Promise.all(clients.map(client => client.untilSynced()))
    const late = await join(t, host, 'doc')
    assert.equal(new Set(late.doc.getArray('array').toJSON()).size, 3 * 4 * 50)
    assert.equal(late.doc.getArray('array').length, 3 * 4 * 50)
  })

  const kills = Number(process.env.KILLS ?? 5)
  test(`kill -9 in a storm of edits loses nothing that was acknowledged (KILLS=${kills})`,
    { ...needs('kill', 'ack'), timeout: 60_000 + kills * 20_000 }, async t => {
      const { acknowledged, lost, written } = await storm({ kills })
      t.diagnostic(`acknowledged / lost: ${acknowledged} / ${lost} in ${kills} kills (${written} written)`)
      assert.equal(lost, 0, `acknowledged / lost: ${acknowledged} / ${lost}`)
      assert.ok(acknowledged >= kills * 100, `a storm, not a breeze: ${acknowledged} acknowledged`)
    })
})

async function up (t) {
  const host = await Host.up()
  atEnd(t, () => host.down())
  return host
}
