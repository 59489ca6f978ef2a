// Kill -9 in the middle of a storm of edits, again and again: was everything that was acknowledged still there?
//
//   node kill-storm.mjs --up "yonder serve --listen 127.0.0.1:{port} --data {data}" --kills 50 [--transport ws|http|sse|long-poll]
//   node kill-storm.mjs --up "yonder serve --listen 127.0.0.1:{port} --data {data} --compact-kb 1" --kills 50
//   node kill-storm.mjs --up "y-sweet serve --host 127.0.0.1 --port {port} {data}" --kills 50 --peer y-sweet
//
// Four clients insert numbered tokens into two documents as fast as they can. By `ws` they ask with message 102 after
// every few, and a token counts as acknowledged once the echo of a 102 that was sent after it came back. By the others
// they POST, and a 2xx acknowledges; `sse` and `long-poll` also have a reader for each document, and what that one is
// delivered counts as acknowledged as well, for only what is stored is delivered. The clients that wrote are gone with
// the host; what a client that knows nothing reads after the restart is what counts.
import { Agent } from 'node:http'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import * as prng from 'lib0/prng'
import * as Y from 'yjs'
import { Host } from './host.mjs'
import { isStep1, Raw } from './raw.mjs'
import { Events, Held } from './request.mjs'
import { at, create, eventFrames, framed, unframed } from './streams.mjs'
import { pauseFor, until, within } from './waiting.mjs'

const DOCS = ['storm-a', 'storm-b']
const CLIENTS = 4
/** How many edits are acknowledged before a kill. */
export const STORM = 100
const TOKENS_PER_ACK = 5
const UNANSWERED = 4 // acknowledgements that a client on a socket waits for at most before it writes on

/** A host that speaks y-sweet's API instead of the contract in host.mjs. */
class YSweet extends Host {
  async serving () {
    const url = `http://127.0.0.1:${this.port}`
    const up = await fetch(url + '/ready').then(answer => answer.ok, () => false)
    return up ? url : undefined
  }

  async create (doc) {
    const answer = await fetch(this.url + '/doc/new', {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ docId: doc })
    })
    if (!answer.ok) throw new Error(`POST /doc/new: ${answer.status} ${await answer.text()}`)
  }

  path (doc) { return `/d/${doc}/ws/${doc}` }
}

/**
 * Runs `kills` rounds; resolves with `{ kills, written, acknowledged, lost, rounds }`. Tokens of all rounds are looked
 * for after every restart, so a later loss (by compaction, say) counts as well. `report` gets each round's counts;
 * `read` gives the tokens of a document.
 */
export async function storm ({ up, kills = 5, transport = 'ws', options, peer, seed = 1, report = () => {}, read = bySocket }) {
  const { Writer, follow } = STORMS[transport]
  const random = prng.create(seed)
  const host = await (peer === 'y-sweet' ? YSweet : Host).up({ template: up, options })
  const promised = new Map(DOCS.map(doc => [doc, new Set()]))
  const lost = new Set()
  const rounds = []
  let written = 0
  try {
    for (const doc of DOCS) await host.create?.(doc)
    for (let round = 0; round < kills; round++) {
      const clients = await Promise.all(Array.from({ length: CLIENTS }, (_, i) =>
        Writer.open(host, DOCS[i % DOCS.length], `${round}.${i}`)))
      const readers = follow ? DOCS.map(doc => new Follower(host, doc, follow)) : []
      const writing = clients.map(client => client.write())
      // A storm, not a breeze, however slow the machine is.
      const storming = () => clients.every(client => client.acked > 0) && clients.reduce((sum, client) => sum + client.acked, 0) >= STORM
      await until(storming, () => `every client is acknowledged something, and all together ${STORM}: ${clients.map(client => client.acked)}`)
      await pauseFor(prng.int32(random, 50, 600))
      await host.kill()
      await Promise.all(writing)

      let acknowledged = 0
      for (const client of clients) {
        written += client.written
        acknowledged += client.acked
        for (let n = 1; n <= client.acked; n++) promised.get(client.docName).add(client.token(n))
      }
      for (const reader of readers) for (const token of await reader.delivered()) promised.get(reader.docName).add(token)
      await host.start()
      let missing = 0
      for (const [doc, tokens] of promised) {
        const found = await read(host, doc)
        for (const token of tokens) {
          if (found.has(token)) continue
          missing += 1
          lost.add(token)
        }
      }
      rounds.push({ round, acknowledged, missing })
      report({ round, acknowledged, missing })
    }
    await host.kill()
  } finally {
    await host.down()
  }
  const acknowledged = [...promised.values()].reduce((sum, tokens) => sum + tokens.size, 0)
  return { kills, written, acknowledged, lost: lost.size, rounds }
}

class SocketWriter {
  static async open (host, docName, name) {
    const client = Object.assign(new this(), { docName, name, written: 0 })
    client.asks = new Map() // number of a 102 -> tokens written before it
    client.raw = await connected(host, docName)
    await client.raw.got(isStep1, 'the server asks what we have')
    client.raw.step2() // nothing yet
    return client
  }

  /** Writes until its socket is gone. */
  async write () {
    const doc = new Y.Doc()
    doc.on('update', update => this.raw.update(update))
    const tokens = doc.getArray('tokens')
    while (this.open) {
      if (this.raw.asked - this.raw.acked < UNANSWERED) {
        for (let i = 0; i < TOKENS_PER_ACK && this.open; i++) {
          tokens.push([this.token(this.written + 1)])
          this.written += 1
        }
        if (this.open) this.asks.set(this.raw.ask(), this.written)
      }
      await pauseFor(2)
    }
    this.raw.socket.terminate()
    await this.raw.closed
    doc.destroy()
  }

  get open () { return this.raw.socket.readyState === 1 }

  /** The highest acknowledged token. */
  get acked () { return this.asks.get(this.raw.acked) ?? 0 }

  token (n) { return `${this.name}:${n}` }
}

class PostWriter {
  static async open (host, docName, name) {
    await create(host, docName)
    return Object.assign(new this(), { host, docName, name, written: 0, acked: 0 })
  }

  /** Writes until a request fails: one request at a time, so that what is acknowledged lacks no predecessor. */
  async write () {
    const agent = new Agent({ keepAlive: true })
    const doc = new Y.Doc()
    const updates = []
    doc.on('update', update => updates.push(update))
    try {
      for (;;) {
        for (let i = 0; i < TOKENS_PER_ACK; i++) doc.getArray('tokens').push([this.token(++this.written)])
        const { status, text } = await new Held(this.host, 'POST', at(this.docName), { body: framed(...updates.splice(0)), agent }).ended
        if (status !== 204) throw new Error(`POST: ${status} ${text}`)
        this.acked = this.written
      }
    } catch (error) {
      if (error.code === undefined) throw error // not the connection's end
    } finally {
      agent.destroy()
      doc.destroy()
    }
  }

  token (n) { return `${this.name}:${n}` }
}

/** Reads a document from its beginning and on, by `live`, until the host is gone. */
class Follower {
  constructor (host, docName, live) {
    Object.assign(this, { host, docName, live, doc: new Y.Doc() })
    this.over = live === 'sse' ? this.#listen() : this.#poll()
  }

  /** The tokens that it was delivered. */
  async delivered () {
    await this.over
    return this.doc.getArray('tokens').toArray()
  }

  async #listen () {
    const held = new Held(this.host, 'GET', at(this.docName), { query: { offset: '-1', live: 'sse' } })
    await held.ended.catch(() => {})
    for (const update of eventFrames(new Events(held))) Y.applyUpdate(this.doc, update)
  }

  async #poll () {
    for (let offset = '-1'; ;) {
      const held = new Held(this.host, 'GET', at(this.docName), { query: { offset, live: 'long-poll' } })
      const answer = await held.ended.catch(() => {})
      if (!answer) return
      for (const update of unframed(answer.bytes)) Y.applyUpdate(this.doc, update)
      offset = answer.headers['stream-next-offset']
    }
  }
}

/** By `--transport`; `needs`: capabilities of the host. */
export const STORMS = {
  ws: { Writer: SocketWriter, needs: ['ack'] },
  http: { Writer: PostWriter, needs: ['streams'] },
  sse: { Writer: PostWriter, follow: 'sse', needs: ['streams'] },
  'long-poll': { Writer: PostWriter, follow: 'long-poll', needs: ['streams'] }
}

async function connected (host, doc) {
  const raw = new Raw(host.url.replace(/^http/, 'ws'), host.path(doc))
  await within(raw.opened, `a socket on ${doc} opens`)
  return raw
}

/** The tokens that a client which knows nothing gets. */
async function bySocket (host, doc) {
  const raw = await connected(host, doc)
  const copy = new Y.Doc()
  Y.applyUpdate(copy, await raw.roundTrip(30_000))
  raw.socket.terminate()
  return new Set(copy.getArray('tokens').toArray())
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      up: { type: 'string', default: process.env.YONDER_UP },
      kills: { type: 'string', default: '50' },
      transport: { type: 'string', default: 'ws' },
      peer: { type: 'string' },
      seed: { type: 'string', default: '1' }
    }
  })
  if (!(values.transport in STORMS)) throw new Error(`--transport is one of ${Object.keys(STORMS).join(', ')}`)
  const result = await storm({
    ...values,
    kills: Number(values.kills),
    seed: Number(values.seed),
    report: ({ round, acknowledged, missing }) => console.error(`kill ${round + 1}: ${acknowledged} acknowledged / ${missing} missing in all`)
  })
  delete result.rounds
  console.log(JSON.stringify(result))
  console.log(`acknowledged / lost: ${result.acknowledged} / ${result.lost} in ${result.kills} kills by ${values.transport} (${result.written} written)`)
  process.exitCode = result.lost === 0 || values.peer ? 0 : 1 // a peer's losses are a finding, not a failure
}
