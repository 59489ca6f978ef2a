// The store fails at the first thing that a request asks of it, at the second, and so on: once, and what was asked is not
// done, or done all the same; or from there on. What is answered then is right or a clear error, and nothing that was
// acknowledged is lost.
//
// The module for this counts what it asks of the store, and takes from the header `x-store-fails` which of it fails.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { exchange, good, GRIP_URL } from '../grip/forged.mjs'
import { ACK, awarenessUpdate, frame, SYNC } from '../interop/raw.mjs'
import { ask } from '../interop/request.mjs'
import { applied, at, create, entriesOf, eventFrames, framed, list, post, readDocument, refused, stream, unframed, writer } from '../interop/streams.mjs'
import { until } from '../interop/waiting.mjs'
import { up } from './fastly.mjs'

/** So few, that a document is compacted again and again. */
const COMPACTED = 5
/** The next request meets an instance that knows nothing. */
const LAST = { 'x-instance-ends': '1' }

const service = (t, vars) => up(t, { words: ['--no-fanout', '--faulty', '--compact-updates', COMPACTED], vars })

let named = 0

/** What one request asked of the store, also for what it left to be done: `act(headers)` sends it. */
async function asked (host, act) {
  const name = `request-${++named}.`
  const answer = await act({ 'x-name': name })
  const line = await until(() => host.output.split('\n').find(line => line.startsWith('store: reads') && line.endsWith(name)), `${name} has ended`)
  const [reads, writes, lists, deletes] = line.match(/\d+/g).map(Number)
  return { answer, reads, writes, lists, deletes, all: reads + writes + lists + deletes, failed: host.output.includes(`fails: ${name}`) }
}

/**
 * Sends requests until one asks less of the store than would let it fail: `request(headers)`, for each operation and each way
 * in which it fails, of an instance that has served others and of one that knows nothing; then `verify(answer, what)` each time.
 * Resolves with how many operations a request asked for that failed. `least`: where not all requests ask the same, so many.
 */
async function oneByOne (host, request, verify, least = 0) {
  let most = 0
  for (const fresh of [false, true]) {
    for (const how of ['*', '+', '']) {
      for (let n = 1; ; n++) {
        assert.ok(n < 100, 'a request asks a hundred things of the store')
        if (fresh) await ask(host, 'GET', at('another'), { query: { offset: '-1' }, headers: LAST })
        const { answer, failed } = await asked(host, headers => request({ 'x-store-fails': `${n}${how}`, ...headers }))
        const what = `operation ${n}${how} of ${fresh ? 'a new' : 'an'} instance`
        if (!failed) assert.ok(answer.status < 300, `${what} is not asked, and all the same: ${answer.status} ${answer.text}`)
        else if (answer.status >= 300) {
          assert.ok(answer.status >= 500, `${what}: ${answer.status} ${answer.text}`)
          refused(answer, answer.status, answer.json.error.code)
        }
        await verify(answer, what)
        // Who is refused for good has waited for a while first.
        if (failed) most = Math.max(most, n)
        if (!failed && n >= least || how === '*' && n === 2) break
      }
    }
  }
  assert.ok(most > 0, 'nothing failed')
  return most
}

/** A document of more edits than one compaction takes. */
async function document (host, name, edits = 2 * COMPACTED + 2) {
  const path = await create(host, name)
  const { doc, push } = writer()
  for (let n = 0; n < edits; n++) await post(host, path, [push(`before ${n}`)])
  return { path, doc }
}

describe('a store that fails', { concurrency: 4 }, () => {
  test('edits are acknowledged and there, or refused, and there once they were sent again', { timeout: 120_000 }, async t => {
    const host = await service(t)
    const { path, doc } = await document(host, 'written')
    const { updates, push, doc: mine } = writer(7)
    let sent = 0
    const asks = await oneByOne(host, headers => {
      push(updates.length)
      return ask(host, 'POST', path, { body: framed(...updates.slice(sent)), headers })
    }, async (answer, what) => {
      if (answer.status < 300) sent = updates.length
      // What was refused may be there, and what was not is.
      const found = list(await readDocument(host, path))
      const acknowledged = [...list(doc), ...list(mine).slice(0, sent)]
      assert.deepEqual(acknowledged.filter(edit => !found.includes(edit)), [], `${what}: acknowledged, and lost`)
      assert.equal(new Set(found).size, found.length, `${what}: there twice`)
    }, 3 * COMPACTED)
    assert.equal(sent, updates.length)
    t.diagnostic(`${updates.length} edits; the one that asked most, with compaction, ${asks} times`)
  })

  const READS = {
    'a reader that catches up': [{ offset: '-1' }, unframed],
    'a long-poll that has something to tell': [{ offset: '-1', live: 'long-poll' }, unframed],
    'the state': [undefined, bytes => [bytes]]
  }

  for (const [what, [query, updatesOf]] of Object.entries(READS)) {
    test(`${what} gets all of a document, or an error`, { timeout: 120_000 }, async t => {
      const host = await service(t)
      const { path, doc } = await document(host, 'read')
      const from = query ? path : '/d/read/as-update'
      const asks = await oneByOne(host, headers => ask(host, 'GET', from, { query, headers }), async (answer, what) => {
        if (answer.status < 300) assert.deepEqual(list(applied(updatesOf(answer.bytes))), list(doc), what)
      })
      assert.deepEqual(list(await readDocument(host, path)), list(doc))
      t.diagnostic(`${asks} things are asked of the store`)
    })
  }

  test('a document is made, or is not there', { timeout: 120_000 }, async t => {
    const host = await service(t)
    let made = 0
    await oneByOne(host, headers => ask(host, 'PUT', at(`made-${++made}`), { headers }), async (answer, what) => {
      const there = await ask(host, 'HEAD', at(`made-${made}`))
      assert.ok(there.status === 200 || there.status === 404 && answer.status >= 500, `${what}: ${answer.status}, then ${there.status}`)
      await create(host, `made-${made}`)
      await post(host, at(`made-${made}`), [writer().push('works')])
    })
  })

  test('a document that was deleted stays so; one that was not is whole, and can be', { timeout: 180_000 }, async t => {
    const host = await service(t)
    let made = 0
    let current
    await oneByOne(host, async headers => {
      current = await document(host, `deleted-${++made}`, COMPACTED + 1)
      return ask(host, 'DELETE', current.path, { headers })
    }, async (answer, what) => {
      const { path, doc } = current
      const there = await ask(host, 'GET', path, { query: { offset: '-1' } })
      if (answer.status < 300) assert.ok(there.status === 404 || there.status === 410, `${what}: ${there.status}`)
      else if (there.status === 200) {
        assert.deepEqual(list(applied(unframed(there.bytes))), list(doc), what)
        assert.equal((await ask(host, 'DELETE', path)).status, 204)
      }
    })
  })

  test('a version is whole, or there is none', { timeout: 120_000 }, async t => {
    const host = await service(t)
    const { doc } = await document(host, 'kept')
    const kept = []
    await oneByOne(host, headers => ask(host, 'POST', '/doc/kept/versions', { body: { name: 'a version' }, headers }), async (answer, what) => {
      if (answer.status < 300) kept.push(answer.json.versionId)
      const { versions } = (await ask(host, 'GET', '/doc/kept/versions')).json
      assert.deepEqual(kept.filter(id => !versions.some(({ versionId }) => versionId === id)), [], `${what}: kept, and lost`)
      for (const { versionId: id } of versions.slice(0, 2)) {
        const { status, bytes, text } = await ask(host, 'GET', `/doc/kept/versions/${encodeURIComponent(id)}/as-update`)
        assert.equal(status, 200, `${what}: ${text}`)
        assert.deepEqual(list(applied([bytes])), list(doc), what)
      }
    })
  })

  test('presence is shown, or its writer is told that it is not', { timeout: 120_000 }, async t => {
    const host = await service(t)
    const { path } = await document(host, 'shown')
    let clock = 0
    const shown = headers => ask(host, 'POST', path, { query: { awareness: 'default' }, body: framed(awarenessUpdate([[5, ++clock, { n: clock }]])), headers })
    const seen = async () => {
      const events = await stream(t, host, path, 'now', { query: { awareness: 'default' } })
      await until(() => eventFrames(events).length > 0, 'somebody is there')
      events.abort()
      return entriesOf(eventFrames(events)).map(([id, , { n }]) => [id, n])
    }
    await oneByOne(host, shown, async (answer, what) => {
      if (answer.status < 300) assert.deepEqual(await seen(), [[5, clock]], what)
    })
    assert.equal((await shown({})).status, 204)
    assert.deepEqual(await seen(), [[5, clock]])
  })

  test('a socket is told that an edit is stored only if it is', { timeout: 180_000 }, async t => {
    const host = await service(t, { grip_url: GRIP_URL })
    const { path, doc } = await document(host, 'socket')
    const { push, updates, doc: mine } = writer(9)
    let [sent, acknowledged, opened] = [0, 0, 0]
    const asked = () => frame(ACK, Uint8Array.of(sent % 128))
    const events = (...frames) => new Uint8Array(Buffer.concat(frames.flatMap(bytes => [`BINARY ${bytes.length.toString(16)}\r\n`, bytes, '\r\n']).map(part => Buffer.from(part))))
    let session
    const exchanged = async what => {
      const answer = await exchange(host, 'socket', good(), { ...session, ...what })
      session['meta-session'] = answer.headers['set-meta-session'] ?? session['meta-session']
      return answer
    }
    await oneByOne(host, async headers => {
      sent += 1
      const edit = push(sent)
      if (!session) {
        session = { connection: `c-${++opened}` }
        await exchanged({})
        // The question is answered with what it had written before it came.
        await exchanged({ events: events(...updates.slice(0, -1).map(update => frame(SYNC, 1, update)), frame(SYNC, 1, Uint8Array.of(0, 0))) })
      }
      return exchanged({ events: events(frame(SYNC, 2, edit), asked()), ...headers })
    }, async (answer, what) => {
      const found = list(await readDocument(host, path))
      if (answer.status < 300 && Buffer.from(answer.bytes).includes(asked())) {
        acknowledged += 1
        assert.ok(found.includes(sent), `${what}: acknowledged, and lost`)
      } else {
        assert.ok(answer.status >= 500 || /CLOSE|DISCONNECT/.test(answer.text), `${what}: ${answer.status} ${answer.text}`)
        session = undefined // its client comes again, with all that it has
      }
    })
    assert.ok(acknowledged > 4, `${acknowledged} of ${sent} were acknowledged`)
    assert.deepEqual(list(await readDocument(host, path)).sort(), [...list(doc), ...list(mine)].sort())
    t.diagnostic(`${acknowledged} of ${sent} were acknowledged, on ${opened} sockets`)
  })

  test('what each request asks of the store', { timeout: 120_000 }, async t => {
    const host = await up(t, { words: ['--no-fanout', '--faulty', '--long-poll-seconds', '5'] })
    const path = await create(host, 'costs')
    const { push } = writer()
    const anew = () => ask(host, 'GET', at('another'), { query: { offset: '-1' }, headers: LAST })
    const costs = {}
    const counted = async (what, act) => { costs[what] = await asked(host, act) }
    const edit = item => headers => post(host, path, [push(item)], { headers })
    const catchUp = headers => ask(host, 'GET', path, { query: { offset: '-1' }, headers })
    await counted('an edit', edit('first'))
    for (let n = 0; n < 500; n++) await post(host, path, [push(n)], { headers: { 'x-name': 'many' } })
    // The last of what it has said.
    const sums = host.output.split('\n').filter(line => /^store: reads.* many$/.test(line)).map(line => line.match(/\d+/g).map(Number).reduce((sum, n) => sum + n))
    t.diagnostic(`an edit of ${sums.length}: ${(sums.reduce((sum, n) => sum + n) / sums.length).toFixed(1)} operations, at most ${Math.max(...sums)}, compaction included`)
    assert.ok(Math.max(...sums) < 32)
    await anew()
    await counted('a cold load after 501 edits', catchUp)
    await anew()
    await counted('the same again', catchUp)
    await counted('by an instance that has it', catchUp)
    await counted('an edit of it', edit('warm'))
    await anew()
    await counted('an edit by an instance that knows nothing', edit('cold'))
    const { headers: { 'stream-next-offset': offset } } = await catchUp({})
    await counted('a poll that waits for 5 s', headers => ask(host, 'GET', path, { query: { offset, live: 'long-poll' }, headers }))
    for (const [what, { reads, writes, lists, deletes, all }] of Object.entries(costs)) {
      t.diagnostic(`${what}: reads ${reads}, writes ${writes}, lists ${lists}, deletes ${deletes}`)
      if (/cold load|again/.test(what)) assert.ok(all < 24, what)
    }
  })
})
