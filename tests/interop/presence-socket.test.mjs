// Presence on the socket, at the level of clocks and connections: who announced what, and what goes with a connection.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { Awareness } from 'y-protocols/awareness'
import * as Y from 'yjs'
import { join, sees } from './client.mjs'
import { Host } from './host.mjs'
import { AWARENESS, dial, frame, isStep1, QUERY_AWARENESS } from './raw.mjs'
import { until } from './waiting.mjs'

const host = await Host.up()
after(() => host.down())

describe('presence on the socket', { concurrency: 8 }, () => {
  test('it goes at once when the socket is cut, for the others and for newcomers', async t => {
    const watcher = await join(t, host, 'cut')
    const raw = await dial(t, host, '/ws/cut')
    raw.awareness([71, 1, { name: 'cut' }])
    await until(() => watcher.others().has(71), 'the raw client is seen')
    raw.socket.terminate()
    await until(() => !watcher.others().has(71), 'the raw client is gone', 5_000)
    const late = await join(t, host, 'cut')
    await late.awareness.setLocalState({ name: 'late' })
    await sees(watcher, late, { name: 'late' }) // a round trip through the server
    assert.equal(late.others().has(71), false)
  })

  test('several ids over one connection all show, and exactly they go with it', async t => {
    const watcher = await join(t, host, 'ids')
    const stays = await join(t, host, 'ids', { state: { name: 'stays' } })
    const raw = await dial(t, host, '/ws/ids')
    raw.awareness([81, 1, { n: 81 }], [82, 5, { n: 82 }])
    raw.awareness([83, 1, { n: 83 }])
    await until(() => [81, 82, 83].every(id => watcher.others().get(id)?.n === id), 'all three show')
    await sees(watcher, stays, { name: 'stays' })
    raw.socket.close()
    await until(() => ![81, 82, 83].some(id => watcher.others().has(id)), () => `all three are gone: ${[...watcher.others().keys()]}`)
    assert.deepEqual([...watcher.others().keys()], [stays.doc.clientID])
    const late = await join(t, host, 'ids')
    await sees(late, stays, { name: 'stays' })
    assert.deepEqual([...late.others().keys()], [stays.doc.clientID])
  })

  test('a state that a connection only repeats from another is not removed with it', async t => {
    const owner = await join(t, host, 'repeat', { state: { name: 'owner' } })
    const watcher = await join(t, host, 'repeat')
    await sees(watcher, owner, { name: 'owner' })
    const removed = removals(watcher)
    const raw = await dial(t, host, '/ws/repeat')
    raw.awareness([91, 1, { name: 'own' }])
    await until(() => watcher.others().has(91), 'the repeating client is seen')
    raw.awareness([owner.doc.clientID, watcher.awareness.meta.get(owner.doc.clientID).clock, { name: 'owner' }])
    await raw.roundTrip()
    raw.socket.close()
    await until(() => !watcher.others().has(91), 'the repeating client is gone')
    await sees(watcher, owner, { name: 'owner' })
    assert.deepEqual(removed, [91])
  })

  test('a client whose cut socket the server still holds rejoins with its id and clock and stays, twenty times in a row', async t => {
    const watcher = await join(t, host, 'rejoin-cut')
    const [doc, awareness] = localPresence({ name: 'a' })
    let [old] = [await join(t, host, 'rejoin-cut', { ydoc: doc, awareness })]
    await until(() => watcher.others().has(doc.clientID), 'the first connection is seen')
    for (let round = 0; round < 20; round++) {
      const next = await join(t, host, 'rejoin-cut', { ydoc: doc, awareness }) // same id and clock while the old one is open
      old.cut()
      old.provider.shouldConnect = false
      await seesFor(watcher, next, { name: 'a' }, `round ${round}`)
      old = next
    }
  })

  test('a rejoin with the same id and clock, byte for byte, ends up visible', async t => {
    const watcher = await join(t, host, 'same-clock')
    for (let round = 0; round < 20; round++) {
      const client = await join(t, host, 'same-clock', { ydoc: withId(4711), state: { round } }) // clock starts again at 1
      await until(() => watcher.others().has(4711), () => `round ${round} is seen`)
      client.leave()
      await until(() => !watcher.others().has(4711), () => `round ${round} is gone`)
    }
  })

  test('awareness comes back to its sender, so that a lone client keeps its socket', async t => {
    const raw = await dial(t, host, '/ws/echo')
    raw.awareness([101, 1, { name: 'lone' }])
    await raw.got(m => m.entries?.some(([id, , state]) => id === 101 && state?.name === 'lone'), 'the state is echoed')
    raw.awareness([101, 2, { name: 'lone' }]) // the keep-alive: a new clock, the same state
    await raw.got(m => m.entries?.some(([id, clock]) => id === 101 && clock === 2), 'the renewal is echoed')
    assert.deepEqual(raw.faults, [])
  })

  test('query awareness is answered with the states of all', async t => {
    const a = await join(t, host, 'query', { state: { name: 'a' } })
    const raw = await dial(t, host, '/ws/query')
    await raw.got(isStep1, 'the server opens with step 1')
    const shows = m => m.type === AWARENESS && m.entries.some(([id, , state]) => id === a.doc.clientID && state?.name === 'a')
    await raw.got(shows, 'the states are sent at open')
    raw.messages.length = 0
    raw.send(frame(QUERY_AWARENESS))
    await raw.got(shows, 'the states are sent when asked for')
  })

  test('a forged removal or huge clock for a client that is here does not silence it', async t => {
    const [a, b] = [await join(t, host, 'forged', { state: { n: 0 } }), await join(t, host, 'forged', { state: {} })]
    await sees(b, a, { n: 0 })
    const forger = await dial(t, host, '/ws/forged')
    const { clientID } = a.doc
    const clock = () => b.awareness.meta.get(clientID).clock
    forger.awareness([clientID, clock(), null])
    await forger.roundTrip()
    await sees(b, a, { n: 0 }) // removed and back: a hears of it and raises its clock
    forger.awareness([clientID, 2 ** 40, { n: 'forged' }])
    await forger.roundTrip()
    await until(() => clock() === 2 ** 40, 'the higher clock wins, as the protocol says')
    forger.socket.close()
    a.awareness.setLocalState({ n: 1 })
    await sees(b, a, { n: 1 }, 20_000)
  })
})

/** Seen, and still seen after whatever the server had under way for both has arrived. */
async function seesFor (watcher, client, state, round) {
  await sees(watcher, client, state)
  client.doc.getMap('rounds').set('round', round)
  await until(() => watcher.doc.getMap('rounds').get('round') === round, () => `${round}: an edit arrives`)
  await sees(watcher, client, state, 3_000)
}

/** A list that fills with the ids that `watcher` sees go. */
function removals (watcher) {
  const ids = []
  watcher.awareness.on('change', ({ removed }) => ids.push(...removed))
  return ids
}

function withId (id) {
  const doc = new Y.Doc()
  doc.clientID = id
  return doc
}

function localPresence (state) {
  const doc = new Y.Doc()
  const awareness = new Awareness(doc)
  awareness.setLocalState(state)
  return [doc, awareness]
}
