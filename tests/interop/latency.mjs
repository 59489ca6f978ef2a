// How late an edit arrives by each transport, and what a waiting reader costs where the host has metrics: `node latency.mjs`,
// with YONDER_UP as for the tests (a release build). Prints tables in Markdown.
//
// One writer edits one document at a fixed rate; readers of all transports follow it at the same time, in this process,
// on one clock. Edits leave at their appointed times whatever comes back, and each latency counts from the appointed
// time, so that a stall is not hidden. What this process itself delays is in every figure alike, and shown.
import { Agent, request } from 'node:http'
import { readFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import * as decoding from 'lib0/decoding'
import { WebSocket } from 'ws'
import * as Y from 'yjs'
import { Host, lacks } from './host.mjs'
import { untilHeld } from './metrics.mjs'
import { frame, SYNC } from './raw.mjs'
import { create, framed, read, unframed } from './streams.mjs'
import { pauseFor, until } from './waiting.mjs'

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '20' }, // edits a second
    seconds: { type: 'string', default: '30' },
    readers: { type: 'string', default: '10' }, // of each transport
    held: { type: 'string', default: '1000' } // waiting readers whose memory is measured
  }
})
const [RATE, SECONDS, READERS, HELD] = ['rate', 'seconds', 'readers', 'held'].map(name => Number(values[name]))
const WARM_UP = RATE * 2 // edits that are not measured
const EDITS = WARM_UP + RATE * SECONDS

/** A reader calls `got(update)` for each update that arrives; `ready` resolves once it follows the document. */
const READING = {
  WebSocket: (host, doc, next, got) => {
    const socket = new WebSocket(`${host.ws}/${doc}`, { perMessageDeflate: false })
    socket.on('message', data => {
      const decoder = decoding.createDecoder(new Uint8Array(data))
      if (decoding.readVarUint(decoder) === SYNC && decoding.readVarUint(decoder) === 2) got(decoding.readVarUint8Array(decoder))
    })
    return { ready: new Promise((resolve, reject) => socket.once('message', resolve).once('error', reject)), leave: () => socket.terminate() }
  },
  'event stream': (host, doc, next, got) => {
    const reader = { leave: () => reader.sent.destroy() }
    let text = ''
    const follow = offset => {
      reader.sent = ask(host, doc, `?offset=${offset}&live=sse`, false, answer => answer.setEncoding('latin1').on('data', chunk => {
        text += chunk
        const blocks = text.split('\n\n')
        text = blocks.pop()
        for (const block of blocks) {
          const data = /^data: ?(.*)$/m.exec(block)?.[1]
          if (block.startsWith('event: data')) unframed(new Uint8Array(Buffer.from(data, 'base64'))).forEach(got)
          if (block.startsWith('event: control')) offset = JSON.parse(data).streamNextOffset
        }
      }).on('end', () => follow(offset)))
    }
    follow(next)
    return reader
  },
  'long-poll': (host, doc, next, got) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const reader = { leave: () => { agent.destroy(); reader.sent.destroy() } }
    const follow = offset => {
      reader.sent = ask(host, doc, `?offset=${offset}&live=long-poll`, agent, answer => {
        const chunks = []
        answer.on('data', chunk => chunks.push(chunk)).on('end', () => {
          follow(answer.headers['stream-next-offset']) // before its updates are looked at, as a client that wants the next one
          unframed(new Uint8Array(Buffer.concat(chunks))).forEach(got)
        })
      })
    }
    follow(next)
    return reader
  }
}

/** A writer sends an update and does not wait. */
const WRITING = {
  WebSocket: async (host, doc) => {
    const socket = new WebSocket(`${host.ws}/${doc}`, { perMessageDeflate: false })
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
    return { write: update => socket.send(frame(SYNC, 2, update)), leave: () => socket.terminate() }
  },
  POST: async (host, doc) => {
    const agent = new Agent({ keepAlive: true })
    const write = update => ask(host, doc, '', agent, answer => {
      if (answer.statusCode !== 204) throw new Error(`a POST is answered ${answer.statusCode}`)
      answer.resume()
    }, framed(update))
    return { write, leave: () => agent.destroy() }
  }
}

console.log(`${READERS} readers of each transport, ${RATE} edits a second for ${SECONDS} s; milliseconds from an edit's appointed time\n`)
console.log('| the writer | readers | median | p99 | added to WebSocket\'s median | p99 |\n|---|---|---|---|---|---|')
const notes = []
for (const writing of Object.keys(WRITING)) await latencies(writing)
console.log(`\n${notes.join('\n')}\n`)
if (!lacks('metrics')) {
  console.log(`| ${HELD} readers that wait | KiB of the server's memory for each, connection included |\n|---|---|`)
  for (const reading of Object.keys(READING)) await memory(reading)
}

async function latencies (writing) {
  const host = await Host.up()
  const [doc, updates] = ['latency', typed(EDITS)]
  const { next } = await read(host, await create(host, doc))
  const found = Object.fromEntries(Object.keys(READING).map(name => [name, []]))
  let start
  const readers = Object.entries(READING).flatMap(([name, reading]) => Array.from({ length: READERS }, () => {
    const seen = new Set() // several edits may come as one, and one may come again
    return reading(host, doc, next, update => {
      const { id: { clock }, length } = Y.decodeUpdate(update).structs[0]
      for (let number = clock; number < clock + length; number++) {
        if (number >= WARM_UP && !seen.has(number)) found[name].push(performance.now() - start - number * 1000 / RATE)
        seen.add(number)
      }
    })
  }))
  await Promise.all(readers.map(({ ready }) => ready))
  if (lacks('metrics')) await pauseFor(2_000)
  else await untilHeld(host, 2 * READERS, 'all that are held')
  const { write, leave } = await WRITING[writing](host, doc)

  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  let late = 0
  start = performance.now() + 100
  for (let number = 0; number < EDITS; number++) {
    const due = start + number * 1000 / RATE
    const wait = due - performance.now()
    if (wait > 1) await pauseFor(wait)
    if (number >= WARM_UP) late = Math.max(late, performance.now() - due)
    write(updates[number])
  }
  delay.disable()
  const expected = READERS * (EDITS - WARM_UP)
  await until(() => Object.values(found).every(list => list.length >= expected), () =>
    `${expected} deliveries; ${JSON.stringify(Object.fromEntries(Object.entries(found).map(([name, list]) => [name, list.length])))}`)
  const base = figures(found.WebSocket)
  for (const [name, list] of Object.entries(found)) {
    const { median, p99 } = figures(list)
    const added = name === 'WebSocket' ? ['', ''] : [ms(median - base.median), ms(p99 - base.p99)]
    console.log(`| ${writing} | ${name} | ${ms(median)} | ${ms(p99)} | ${added.join(' | ')} |`)
  }
  notes.push(`Writer by ${writing}: the latest edit left ${ms(late)} ms after its time; this process's event loop was late by ${ms(delay.percentile(99) / 1e6 - 1)} ms at p99.`)
  leave()
  for (const reader of readers) reader.leave()
  await host.down()
}

async function memory (reading) {
  const host = await Host.up()
  const { next } = await read(host, await create(host, 'memory'))
  const before = resident(host)
  const readers = []
  while (readers.length < HELD) {
    const wave = Array.from({ length: Math.min(100, HELD - readers.length) }, () => READING[reading](host, 'memory', next, () => {}))
    readers.push(...wave)
    await Promise.all(wave.map(({ ready }) => ready))
    if (reading !== 'WebSocket') await untilHeld(host, readers.length, 'all')
  }
  console.log(`| ${reading} | ${((resident(host) - before) / HELD).toFixed(1)} |`)
  for (const reader of readers) reader.leave()
  await host.down()
}

/** A request on the document; failures other than leaving end the run. */
function ask (host, doc, query, agent, take, body) {
  const path = `/v1/yjs/default/docs/${doc}${query}`
  const sent = request({ host: '127.0.0.1', port: host.port, path, agent, method: body ? 'POST' : 'GET' }, take)
  sent.on('error', error => { if (!sent.destroyed) throw error }).end(body)
  return sent
}

/** Updates of one character each; the n-th has clock n. */
function typed (count) {
  const doc = new Y.Doc()
  const updates = []
  doc.on('update', update => updates.push(update))
  for (let n = 0; n < count; n++) doc.getText('t').insert(n, 'abcdefghij '[n % 11])
  return updates
}

function figures (list) {
  const sorted = list.toSorted((a, b) => a - b)
  const at = share => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
  return { median: at(0.5), p99: at(0.99) }
}

function ms (value) { return value.toFixed(2) }

/** KiB of memory that the server's process has. */
function resident (host) {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${host.child.pid}/status`, 'utf8'))[1])
}
