// Thousands of held requests on one document: all are answered, none is left behind however its client leaves, and
// there is a bound.
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { connect } from 'node:net'
import { after, describe, test } from 'node:test'
import { atEnd } from './ending.mjs'
import { Host, lacks, needs } from './host.mjs'
import { metric, untilHeld } from './metrics.mjs'
import { ask, Events, Held } from './request.mjs'
import { applied, at, create, eventFrames, framed, list, post, read, refused, unframed, writer } from './streams.mjs'
import { until, within } from './waiting.mjs'

const options = needs('streams', 'options')
/** Whether it can be told how many are held, and what that costs the process that was started. */
const counted = !lacks('metrics')
/** Fewer where each connection is two, and where a proxy that loses some of what it wakes at once holds one of them. */
const EACH = lacks('direct') ? 100 : lacks('light') ? 300 : 2_000
/** Connections that are opened at once: less than a listener's queue. */
const WAVE = lacks('direct') ? 30 : 100

describe('thousands of held requests', options, () => {
  test(`an edit reaches ${EACH} long-polls and ${EACH} event streams, and all of them can leave`, async t => {
    // Its own limit of open files is no reason for a server that may raise it.
    const host = await Host.up({ limit: lacks('light') ? '' : 'ulimit -Sn 256;', options: ['--long-poll-seconds', '60'] })
    atEnd(t, () => host.down())
    const path = await create(host, 'scale/notes')
    const { next } = await read(host, path)
    const { push } = writer()
    const before = counted && { memory: memory(host), files: files(host) }

    const streams = await inWaves(EACH, () => held(t, host, path, { offset: next, live: 'sse' }), ({ opened }) => opened)
    if (counted) await untilHeld(host, EACH, 'all event streams', 30_000)
    const atStreams = counted && memory(host)
    const polls = await inWaves(EACH, () => held(t, host, path, { offset: next, live: 'long-poll' }), ({ sent }) => sent)
    if (counted) await untilHeld(host, 2 * EACH, 'all', 30_000) // elsewhere some polls may come after the edit, and find it
    const atAll = counted && memory(host)
    if (counted) t.diagnostic(`${kib(atStreams - before.memory)} KiB of the server's memory for each event stream, ${kib(atAll - atStreams)} KiB for each long-poll, connection included`)

    const began = performance.now()
    await post(host, path, [push('to all')])
    const answers = await within(Promise.all(polls.map(({ ended }) => ended)), 'all long-polls are answered', 30_000)
    t.diagnostic(`the last of ${EACH} long-polls was answered ${Math.round(performance.now() - began)} ms after the edit was sent`)
    for (const { status, bytes } of answers) assert.deepEqual([status, list(applied(unframed(bytes)))], [200, ['to all']])
    await until(() => streams.every(stream => eventFrames(stream.events).length > 0), 'all event streams have it', 30_000)
    for (const { events } of streams) assert.deepEqual(list(applied(eventFrames(events))), ['to all'])
    if (counted) await untilHeld(host, EACH, 'only the event streams stay')

    for (const stream of streams) stream.abort()
    if (counted) {
      await untilHeld(host, 0, 'all have left')
      await until(() => files(host) <= before.files, () => `the server has closed its sockets: ${before.files} open files before, ${files(host)} now`)
      assert.equal(await metric(host, 'connections'), 0, 'none of them counted as a socket')
      t.diagnostic(`the server's memory: ${mib(before.memory)} MiB before, ${mib(atAll)} MiB with all, ${mib(memory(host))} MiB when they had left`)
    }
    await post(host, path, [push('afterwards')])
    assert.deepEqual(list(applied((await read(host, path)).frames)), ['to all', 'afterwards'])
  })

  test('a document holds so many requests and not one more', needs('metrics'), async t => {
    const host = await Host.up({ options: ['--max-held-per-document', '10'] })
    atEnd(t, () => host.down())
    const path = await create(host, 'scale/bounded')
    const { next } = await read(host, path)
    const ways = ['sse', 'long-poll']
    const some = Array.from({ length: 10 }, (_, n) => held(t, host, path, { offset: next, live: ways[n % 2] }))
    await untilHeld(host, 10, 'all')
    for (const live of ways) {
      const answer = await ask(host, 'GET', path, { query: { offset: next, live } })
      refused(answer, 429, 'RATE_LIMITED')
      assert.match(answer.headers['retry-after'], /^[1-9][0-9]*$/)
    }
    const presence = await ask(host, 'GET', path, { query: { offset: 'now', live: 'sse', awareness: 'default' } })
    refused(presence, 429, 'RATE_LIMITED')
    assert.equal((await read(host, path)).status, 200, 'who does not wait is answered')
    const other = held(t, host, await create(host, 'scale/other'), { offset: '-1', live: 'sse' })
    assert.equal((await within(other.opened, 'another document has its own places')).status, 200)
    some[0].abort()
    await untilHeld(host, 10, 'nine, and the one on the other document')
    const next1 = held(t, host, path, { offset: next, live: 'sse' })
    assert.equal((await within(next1.opened, 'the place that became free')).status, 200)
    await post(host, path, [writer().push('x')])
    const answers = await within(Promise.all(some.filter((_, n) => n % 2 === 1).map(({ ended }) => ended)), 'those that waited')
    for (const { status } of answers) assert.equal(status, 200)
  })
})

describe('clients that leave without a word', needs('streams', 'options', 'metrics'), () => {
  const COUNT = 200
  const host = options.skip || !counted ? undefined : Host.up({ options: ['--long-poll-seconds', '4', '--sse-seconds', '4'] })
  after(async () => (await host)?.down())

  const LEAVING = {
    'close their socket': socket => socket.destroy(),
    'reset it': socket => socket.resetAndDestroy(),
    // Allowed, but nobody who waits for an answer does it: it may be answered, and it may be dropped.
    'close their half of it': socket => socket.end()
  }
  for (const [what, leave] of Object.entries(LEAVING)) {
    for (const live of ['sse', 'long-poll']) {
      test(`${live}: clients that ${what} leave nothing behind`, async t => {
        const server = await host
        const path = await create(server, `scale/leaving-${live}`)
        const { next } = await read(server, path)
        await untilHeld(server, 0, 'none from before')
        const before = files(server)
        const sockets = await inWaves(COUNT, () => bare(t, server, `GET ${path}?offset=${next}&live=${live} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`), ({ sent }) => sent)
        await untilHeld(server, COUNT, 'all')
        const began = performance.now()
        for (const socket of sockets) leave(socket)
        await untilHeld(server, 0, 'none')
        const took = performance.now() - began
        // Before its deadline, so that it was not the deadline; a half-closed one may have to wait for it.
        if (what !== 'close their half of it') assert.ok(took < 2_000, `it took ${Math.round(took)} ms`)
        for (const socket of sockets) socket.destroy()
        await until(() => files(server) <= before, () => `the server has closed its sockets: ${before} open files before, ${files(server)} now`)
      })
    }
  }

  test('clients that leave in the middle of a POST leave nothing behind, and store nothing', async t => {
    const server = await host
    const path = await create(server, 'scale/half-posts')
    const before = files(server)
    const { push } = writer()
    const body = framed(push('a'), push('b'.repeat(1000)))
    const head = `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: ${body.length}\r\n\r\n`
    const half = Buffer.concat([Buffer.from(head), body.subarray(0, body.length / 2)])
    const sockets = await inWaves(COUNT, () => bare(t, server, half), ({ sent }) => sent)
    // Connections of before may have been counted that are closed by now.
    await until(() => files(server) >= before + COUNT - 10, 'the server has taken all of them')
    sockets.forEach((socket, n) => Object.values(LEAVING)[n % 3](socket))
    await until(() => files(server) <= before, () => `the server has closed its sockets: ${before} open files before, ${files(server)} now`)
    assert.deepEqual((await read(server, path)).frames, [])
    assert.equal((await ask(server, 'GET', at('scale/half-posts'))).headers['stream-up-to-date'], 'true')
  })
})

/** A held read; `sent` resolves once its connection is there, and `events` reads it as an event stream. */
function held (t, host, path, query) {
  const one = new Held(host, 'GET', path, { query })
  atEnd(t, () => one.abort())
  one.ended.catch(() => {}) // whoever waits for it hears of it
  one.events = new Events(one)
  one.sent = new Promise((resolve, reject) => one.request.on('socket', socket => socket.on('connect', resolve)).on('error', reject))
  one.sent.catch(() => {})
  return one
}

/** A connection of its own on which `bytes` are sent; `sent` resolves once they are. */
function bare (t, host, bytes) {
  const socket = connect({ port: host.port, host: '127.0.0.1', allowHalfOpen: true })
  atEnd(t, () => socket.destroy())
  socket.on('error', () => {}).resume()
  socket.sent = new Promise((resolve, reject) => socket.write(bytes, error => error ? reject(error) : resolve()))
  return socket
}

/** `count` of what `make` gives, so many at a time, each wave when `ready` has resolved for the one before. */
async function inWaves (count, make, ready) {
  const all = []
  while (all.length < count) {
    const wave = Array.from({ length: Math.min(WAVE, count - all.length) }, make)
    await within(Promise.all(wave.map(ready)), 'a wave of connections', 20_000)
    all.push(...wave)
  }
  return all
}

/** Bytes of memory that the server's process has. */
const memory = host => Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${host.child.pid}/status`, 'utf8'))[1]) * 1024
/** Its open files, sockets among them. */
const files = host => readdirSync(`/proc/${host.child.pid}/fd`).length

const kib = bytes => (bytes / EACH / 1024).toFixed(1)
const mib = bytes => (bytes / 1024 / 1024).toFixed(1)
