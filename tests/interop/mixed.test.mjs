// One document, clients of every kind: they edit together, see each other, and come through failures together.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import * as Y from 'yjs'
import { converge, join, misses, same, sees, taken, TRANSPORTS, transports } from './client.mjs'
import { atEnd } from './ending.mjs'
import { Host, lacks, needs, SHORT_DEADLINES } from './host.mjs'
import { Line } from './line.mjs'
import { at, list, missing, read, readDocument } from './streams.mjs'
import { pauseFor, until } from './waiting.mjs'

const lacking = needs('streams', 'sweet', 'ack')
const host = lacking.skip ? undefined : await Host.up({ options: SHORT_DEADLINES })
after(() => host?.down())

/** Longer than YjsProvider's 15 s until it shows its presence again to a server that has forgotten it. */
const AGAIN = 25_000

// Much of it is waiting; where each host is a load they would starve each other.
describe('a room of all kinds of clients', { concurrency: lacks('light') ? 2 : 6, ...lacking }, () => {
  test('each edits, and all see each text, selection and cursor', async t => {
    const clients = await everyone(t, host, 'room')
    for (const [turn, client] of clients.entries()) {
      client.doc.getText('text').insert(client.doc.getText('text').length, `${client.transport}; `)
      client.awareness.setLocalState({ name: client.transport, cursor: { anchor: turn, head: turn + 1 } })
      await converge(clients)
      for (const watcher of clients) {
        assert.equal(watcher.doc.getText('text').toString(), taken().slice(0, turn + 1).map(name => `${name}; `).join(''))
        if (watcher !== client) await sees(watcher, client, { name: client.transport, cursor: { anchor: turn, head: turn + 1 } })
      }
    }
  })

  test('all type at once into one place, and all see the same', async t => {
    const clients = await everyone(t, host, 'typing')
    for (let n = 0; n < 30; n++) {
      for (const [i, { doc }] of clients.entries()) {
        doc.getText('text').insert(Math.floor(doc.getText('text').length / 2), `${i}`)
        if (n % 10 === 9) doc.getText('text').delete(0, 1)
      }
      await pauseFor(5)
    }
    await converge(clients)
    const texts = new Set(clients.map(({ doc }) => doc.getText('text').toString()))
    assert.equal(texts.size, 1)
    const deleted = 30 * clients.length - [...texts][0].length
    assert.ok(deleted >= 3 && deleted <= 3 * clients.length, `${deleted} of what was typed is deleted`) // several may delete one letter
  })

  test('who leaves is gone for all, who comes is seen by all', async t => {
    const clients = await everyone(t, host, 'coming')
    for (const transport of taken()) {
      const guest = await join(t, host, 'coming', { transport, state: { name: `guest by ${transport}` } })
      for (const client of clients) {
        await sees(client, guest, { name: `guest by ${transport}` })
        await sees(guest, client, { name: client.transport })
      }
      guest.leave()
      for (const client of clients) await misses(client, guest)
    }
  })

  for (const transport of transports()) describe(`a room of all kinds of clients, one of them by ${transport}`, needs(...TRANSPORTS[transport].needs), () => {
    test('its connection is cut again and again: nothing is lost, nothing repeated', { timeout: 90_000 }, async t => {
      const name = `cut-${transport.replaceAll(' ', '-')}`
      const others = await everyone(t, host, name)
      const line = await Line.to(t, host)
      const client = await join(t, line, name, { transport, state: { name: 'cut' } })
      const writers = [client, ...others].map(one => writing(one))
      for (let round = 0; round < 5; round++) {
        await pauseFor(250)
        line.cut()
        if (!TRANSPORTS[transport].keepsEdits) continue
        await until(() => client.connected, 'it is back', 15_000)
      }
      line.break()
      await pauseFor(300)
      line.mend()
      await until(() => client.connected, 'it is back', 15_000)
      for (const writer of writers) await writer.stop()
      await settled(host, name, [client, ...others])
      for (const other of others) await sees(other, client, { name: 'cut' }, AGAIN)
    })
  })

  for (const [end, capability] of [['kill', 'kill'], ['stop', 'restart']]) {
    const what = end === 'kill' ? 'kill -9' : 'a restart'
    test(`${what} in the middle of everyone's typing: all come back, nothing acknowledged is lost, nothing repeated`,
      { timeout: 150_000, ...needs(capability) }, async t => {
        const own = await Host.up({ options: SHORT_DEADLINES })
        atEnd(t, () => own.down())
        const clients = await everyone(t, own, 'doc')
        const writers = clients.map(client => writing(client))
        for (let round = 0; round < 3; round++) {
          await until(() => writers.every(writer => writer.count > (round + 1) * 20), () => `all write: ${writers.map(({ count }) => count)}`, 30_000)
          await own.away(end)
          await own.start()
          await until(() => clients.every(client => client.connected), () => `all are back: ${clients.filter(one => !one.connected).map(one => one.transport)}`, 30_000)
        }
        for (const writer of writers) await writer.stop()
        await settled(own, 'doc', clients)
        for (const watcher of clients) {
          for (const client of clients) if (client !== watcher) await sees(watcher, client, { name: client.transport }, AGAIN)
        }
      })
  }
})

function everyone (t, target, doc) {
  return Promise.all(taken().map(transport => join(t, target, doc, { transport, state: { name: transport } })))
}

/** Lets a client push numbered words until it is stopped; only while it is connected, if it forgets what it writes then. */
function writing (client) {
  const writer = { count: 0 }
  let over = false
  const run = (async () => {
    while (!over) {
      if (client.connected || TRANSPORTS[client.transport].keepsEdits) {
        client.doc.getArray('list').push([`${client.id}:${writer.count}`])
        writer.count += 1
      }
      await pauseFor(15)
    }
  })()
  writer.stop = () => { over = true; return run }
  return writer
}

/**
 * What counts after failures. Clients that keep their edits hold one document, and the server's is the same. Of the
 * others, all that was acknowledged is stored, and they have got all that is. No word shows twice.
 */
async function settled (target, doc, clients) {
  const careful = clients.filter(({ transport }) => TRANSPORTS[transport].keepsEdits)
  await converge(careful, 30_000)
  const path = at(doc)
  const server = { name: doc, report: '' }
  await until(async () => {
    server.doc = await readDocument(target, path)
    return same([careful[0], server])
  }, 'the server holds the same')
  const promised = new Map(clients.map(client => [client, [...client.acknowledged ?? []]]))
  const { frames } = await read(target, path)
  for (const client of clients) {
    await until(() => missing(Y.encodeStateAsUpdate(server.doc), [Y.encodeStateAsUpdate(client.doc)]).length === 0,
      () => `${client.transport} has all that is stored; ${client.report}`, 20_000)
    assert.deepEqual(promised.get(client).flatMap(update => missing(update, frames)), [], `acknowledged to ${client.transport} and lost`)
    const words = list(client.doc)
    assert.equal(new Set(words).size, words.length, `no word twice for ${client.transport}`)
  }
}
