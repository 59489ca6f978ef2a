// Sessions of real clients and of applications on HTTP, drawn by a seed, whose object ends again and again: all come to
// have the same, nothing that was acknowledged is lost, and presence is of those who are there.
//
//   SEED=123 node --test eviction-random.test.mjs
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { converge, join } from '../interop/client.mjs'
import { ask } from '../interop/request.mjs'
import { at, create, framed, writer } from '../interop/streams.mjs'
import { pauseFor, until } from '../interop/waiting.mjs'
import { prng } from './packages.mjs'
import { Workerd } from './workerd.mjs'

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9))
const STEPS = 16

/** How objects end. Who reads by HTTP holds a request, on which an eviction waits. */
const SESSIONS = {
  'sockets that hibernate': { count: 6, ends: ['hibernate'], transports: ['y-websocket', 'y-sweet'] },
  'sockets that are closed or not': { count: 4, ends: ['hibernate', 'close'], transports: ['y-websocket', 'y-sweet'] },
  'everything, and objects that end in the middle of it': { count: 4, ends: ['abort'], transports: ['y-websocket', 'y-sweet', 'HTTP SSE', 'HTTP long-poll'] },
  'sockets that hibernate, and edits that are stored late': { count: 4, ends: ['hibernate'], transports: ['y-websocket', 'y-sweet'], late: true }
}

const hosts = new Map()
for (const [late, options] of [[false, []], [true, ['--commit-interval-ms', '30000']]]) {
  hosts.set(late, await Workerd.up(undefined, { probe: true, options: [...options, '--sse-seconds', '5', '--long-poll-seconds', '2'] }))
}
after(() => Promise.all([...hosts.values()].map(host => host.down())))

describe(`random sessions (SEED=${SEED})`, { concurrency: 100 }, () => {
  for (const [what, { count, late = false, ...how }] of Object.entries(SESSIONS)) {
    for (let n = 0; n < count; n++) {
      test(`${what}: ${n}`, { timeout: 170_000 }, async t => {
        const session = new Session(t, hosts.get(late), `${what.replaceAll(/\W+/g, '-')}-${n}`, how)
        await create(session.host, session.doc)
        for (let step = 0; step < STEPS; step++) await session.step()
        await session.settle()
      })
    }
  }
})

class Session {
  constructor (t, host, doc, { ends, transports }) {
    Object.assign(this, { t, host, doc, ends, transports, clients: [], promised: new Set(), written: new Set(), did: [] })
    this.random = prng.create(SEED + [...doc].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0) | 0, 0))
  }

  one (list) { return prng.oneOf(this.random, list) }
  number (to) { return prng.int32(this.random, 0, to) }

  async step () {
    if (this.clients.length < 2) await this.enter()
    const client = this.one(this.clients)
    const what = this.one(['write', 'write', 'write', 'write', 'remove', 'show', 'show', 'enter', 'leave', 'cut', 'stored', 'post', 'end', 'end', 'end', 'wait'])
    this.did.push(what)
    await this[what](client)
    if (this.number(2) === 0) await pauseFor(this.number(20)) // else it is in the middle of what the last one sent
  }

  async enter () {
    if (this.clients.length === 5) return
    const client = await join(this.t, this.host, this.doc, { transport: this.one(this.transports), state: { n: 0 } })
    this.clients.push(client)
  }

  write (client) {
    const word = `w${this.written.size}`
    this.written.add(word)
    client.doc.getMap('words').set(word, client.id)
    client.doc.getText('text').insert(this.number(client.doc.getText('text').length), word)
  }

  remove (client) {
    const text = client.doc.getText('text')
    if (text.length > 3) text.delete(this.number(text.length - 3), 3)
  }

  show (client) { client.awareness.setLocalState({ n: this.number(1000) }) }

  /** Only when what it wrote is known by others: what a tab that is closed has not sent is lost everywhere. */
  async leave (client) {
    if (this.clients.length < 3) return
    await converge(this.clients, 40_000)
    this.clients.splice(this.clients.indexOf(client), 1)
    await client.leave()
  }

  cut (client) { client.cut() }

  async stored (client) {
    if (!client.untilStored || client.transport === 'y-websocket') return
    const had = [...client.doc.getMap('words').keys()].filter(word => client.doc.getMap('words').get(word) === client.id)
    await client.untilStored(40_000)
    for (const word of had) this.promised.add(word)
  }

  async post () {
    const { doc, updates } = writer()
    const word = `w${this.written.size}`
    this.written.add(word)
    doc.getMap('words').set(word, 'post')
    for (;;) {
      const { status, text } = await ask(this.host, 'POST', at(this.doc), { body: framed(...updates) })
        .catch(error => ({ status: 0, text: error.message }))
      if (status === 204 || status === 200) return this.promised.add(word)
      assert.ok([0, 500, 503].includes(status), `POST: ${status} ${text}`)
    }
  }

  async end () {
    const how = this.one(this.ends)
    this.did.push(how)
    if (how === 'abort') await this.host.abort(this.doc)
    else await this.host.evict(this.doc, how)
  }

  wait () { return pauseFor(this.number(700)) }

  async settle () {
    const say = () => `${this.doc}: ${this.did.join(' ')}`
    const wrong = error => { throw new Error(say(), { cause: error }) }
    await until(() => this.clients.every(client => client.connected && client.synced), say, 40_000)
    const [{ doc }] = this.clients
    const missing = () => [...this.written].filter(word => !doc.getMap('words').has(word))
    await until(() => missing().length === 0, () => `${missing()} come back`, 40_000).catch(wrong)
    await converge(this.clients, 40_000).catch(wrong)
    for (const client of this.clients.filter(({ transport }) => transport !== 'y-websocket')) await client.untilStored(40_000).catch(wrong)
    // Whoever has it may have kept it: what counts is what is there without any of them.
    await this.host.abort(this.doc)
    const { words = {} } = await this.read()
    for (const word of this.promised) assert.ok(word in words, `${word} was acknowledged, and is lost; ${say()}`)
    const late = await join(this.t, this.host, this.doc)
    await converge([...this.clients, late], 40_000).catch(wrong)
    const there = [...this.clients.map(client => [client.id, client.awareness.getLocalState()])].sort(([a], [b]) => a - b)
    for (const watcher of [late, ...this.clients]) {
      const seen = () => [...watcher.awareness.getStates()].filter(([id]) => id !== late.id).sort(([a], [b]) => a - b)
      await until(() => JSON.stringify(seen()) === JSON.stringify(there), () => `${watcher.transport} sees who is there, and no ghosts: ${JSON.stringify(seen())} of ${JSON.stringify(there)}; ${say()}`, 40_000)
    }
  }

  async read () {
    for (;;) {
      const { status, json } = await ask(this.host, 'GET', `/doc/${this.doc}/json`).catch(() => ({}))
      if (status === 200) return json
    }
  }
}
