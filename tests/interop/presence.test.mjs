// Presence: who is here is seen at once, goes at once, and is never stored.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { converge, join, misses, sees, TRANSPORTS, transports } from './client.mjs'
import { atEnd } from './ending.mjs'
import { Host, needs, SHORT_DEADLINES } from './host.mjs'
import { stored } from './raw.mjs'
import { Line } from './line.mjs'
import { never, pauseFor, until } from './waiting.mjs'

const host = await Host.up({ options: SHORT_DEADLINES })
after(() => host.down())

// All side by side: most of them wait.
describe('presence', { concurrency: true }, () => {
  for (const transport of transports()) {
    describe(`presence by ${transport}`, { concurrency: true, ...needs(...TRANSPORTS[transport].needs) }, () => {
      /** Each transport has documents of its own. */
      const enter = (t, doc, { at = host, ...options } = {}) => join(t, at, `${transport.replaceAll(' ', '-')}_${doc}`, { transport, ...options })

      test('a state appears for those who are there and for newcomers, and changes arrive', async t => {
        const a = await enter(t, 'appear', { state: { name: 'a' } })
        const b = await enter(t, 'appear', { state: { name: 'b' } })
        await sees(a, b, { name: 'b' })
        await sees(b, a, { name: 'a' })
        b.awareness.setLocalStateField('cursor', { anchor: 1, head: [2, null] })
        await sees(a, b, { name: 'b', cursor: { anchor: 1, head: [2, null] } })
        const c = await enter(t, 'appear')
        await sees(c, a, { name: 'a' }, 5_000)
        await sees(c, b, { name: 'b', cursor: { anchor: 1, head: [2, null] } }, 5_000)
      })

      test('the newest of many fast changes wins', async t => {
        const [a, b] = [await enter(t, 'fast', { state: {} }), await enter(t, 'fast')]
        for (let i = 0; i <= 300; i++) a.awareness.setLocalState({ i })
        await sees(b, a, { i: 300 })
      })

      test('it goes at once when a client leaves, and when it sets its state to null', async t => {
        const watcher = await enter(t, 'leave')
        const a = await enter(t, 'leave', { state: { name: 'a' } })
        const b = await enter(t, 'leave', { state: { name: 'b' } })
        await sees(watcher, a, { name: 'a' })
        await sees(watcher, b, { name: 'b' })
        a.leave()
        await misses(watcher, a)
        b.awareness.setLocalState(null)
        await misses(watcher, b)
        b.awareness.setLocalState({ name: 'b again' })
        await sees(watcher, b, { name: 'b again' })
      })

      test('a client without a presence of its own comes and goes without making others blink', async t => {
        const owner = await enter(t, 'viewer', { state: { name: 'owner' } })
        const watcher = await enter(t, 'viewer')
        await sees(watcher, owner, { name: 'owner' })
        const removed = []
        watcher.awareness.on('change', change => removed.push(...change.removed))
        for (let round = 0; round < 3; round++) {
          const viewer = await enter(t, 'viewer', { state: null }) // it passes on what it hears, as its first message
          await sees(viewer, owner, { name: 'owner' })
          viewer.leave()
          const next = await enter(t, 'viewer', { state: { round } })
          await sees(watcher, next, { round })
          next.leave()
          await misses(watcher, next)
        }
        assert.equal(removed.includes(owner.id), false, 'the owner was never shown as gone')
        assert.deepEqual(watcher.others().get(owner.id), { name: 'owner' })
      })

      test('a client that leaves and comes back at once is seen, and stays, ten times in a row', async t => {
        const watcher = await enter(t, 'rejoin')
        const a = await enter(t, 'rejoin', { state: { name: 'a' } })
        await sees(watcher, a, { name: 'a' })
        for (let round = 0; round < 10; round++) {
          a.offline()
          a.online()
          await a.untilSynced()
          await until(() => a.connected, 'it is connected') // an edit before that is the client's own loss
          a.doc.getMap('rounds').set('round', round)
          await until(() => watcher.doc.getMap('rounds').get('round') === round, () => `${round}: an edit arrives`)
          await sees(watcher, a, { name: 'a' })
        }
      })

      test('a client that does nothing stays connected and shown beyond 30 s', { timeout: 60_000 }, async t => {
        const idle = await enter(t, 'idle', { state: { name: 'idle' } })
        const watcher = await enter(t, 'idle')
        await sees(watcher, idle, { name: 'idle' })
        await never(() => !idle.connected || !watcher.others().has(idle.id), 'the idle client was lost', 35_000)
        const late = await enter(t, 'idle')
        await sees(late, idle, { name: 'idle' }, 5_000)
        assert.deepEqual(idle.closes, [])
      })

      test('a client that vanishes without a word is removed within 45 s', { timeout: 80_000 }, async t => {
        const watcher = await enter(t, 'vanish', { state: {} })
        const line = await Line.to(t, host)
        const lost = await enter(t, 'vanish', { at: line, state: { name: 'vanishes' } })
        await sees(watcher, lost, { name: 'vanishes' })
        line.freeze()
        await sees(await enter(t, 'vanish'), lost, { name: 'vanishes' }, 5_000)
        // The watcher's own y-protocols timeout is 30 s; who joins after that asks the server alone.
        await until(async () => {
          const late = await enter(t, 'vanish')
          await sees(late, watcher, {})
          const there = late.others().has(lost.id)
          late.leave()
          await pauseFor(500)
          return !there
        }, 'the server no longer shows it to newcomers', 45_000)
        assert.equal(watcher.others().has(lost.id), false)
      })

      test('presence is not stored: after a restart there are no ghosts', needs('restart', 'one-owner'), async t => {
        const own = await Host.up({ options: SHORT_DEADLINES })
        atEnd(t, () => own.down())
        const a = await enter(t, 'ghosts', { at: own, state: { name: 'a' } })
        const b = await enter(t, 'ghosts', { at: own, state: { name: 'b' } })
        await sees(a, b, { name: 'b' })
        a.doc.getText('text').insert(0, 'kept')
        await converge([a, b])
        await stored(own, a.name)
        for (const client of [a, b]) client.offline()
        await own.stop()
        await own.start()
        const late = await enter(t, 'ghosts', { at: own, state: { name: 'late' } })
        const later = await enter(t, 'ghosts', { at: own })
        await sees(later, late, { name: 'late' })
        assert.equal(later.doc.getText('text').toString(), 'kept')
        assert.deepEqual([...later.others().keys()], [late.id])
      })
    })
  }
})
