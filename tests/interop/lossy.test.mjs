// A bad network between clients and host: whatever was acknowledged is there, once, and all clients that come back
// see the same. `YONDER_LOSSY_SEED` replays the proxy's decisions, `YONDER_LOSSY_SECONDS` runs longer.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { YjsProvider } from '@durable-streams/y-durable-streams'
import * as Y from 'yjs'
import { converge, join, same, taken, TRANSPORTS } from './client.mjs'
import { atEnd } from './ending.mjs'
import { Host, needs } from './host.mjs'
import { LossyProxy, randomNumbers } from './lossy-proxy.mjs'
import { ask } from './request.mjs'
import { applied, create, framed, list, read, unframed, writer } from './streams.mjs'
import { pauseFor, until } from './waiting.mjs'

const SEED = Number(process.env.YONDER_LOSSY_SEED ?? Math.floor(Math.random() * 2 ** 31))
const SECONDS = Number(process.env.YONDER_LOSSY_SECONDS ?? 10)
const DOC = 'lossy-notes'
/** Those whose edits wait until they are taken. */
const KEEPING = taken().filter(name => TRANSPORTS[name].keepsEdits)
const options = needs('streams', 'options', 'kill', ...new Set(KEEPING.flatMap(name => TRANSPORTS[name].needs)))

// Snapshots, deadlines and their races belong to it.
const HOST = ['--long-poll-seconds', '3', '--sse-seconds', '5', '--compact-updates', '40']
const host = options.skip ? undefined : await Host.up({ options: HOST })
after(() => host?.down())

// The clients' libraries report each cut; the network is meant to be bad.
for (const kind of ['warn', 'error']) {
  const report = console[kind]
  console[kind] = (...words) => /\[YjsProvider\]|\bSSE\b|^Failed to get client token/.test(String(words[0])) || report(...words)
}

describe('a lossy network', options, () => {
  test(`clients of every transport converge and nothing acknowledged is lost (seed ${SEED})`, async t => {
    try {
      await scenario(t)
    } catch (error) {
      error.message += `\nagain: YONDER_LOSSY_SEED=${SEED} YONDER_LOSSY_SECONDS=${SECONDS}`
      throw error
    }
  })
})

async function scenario (t) {
  const proxy = await LossyProxy.up(host, SEED)
  atEnd(t, () => proxy.down())
  const random = randomNumbers(SEED + 1)
  const path = await create(host, DOC)
  const keeping = await Promise.all(KEEPING.map(transport => join(t, proxy, DOC, { transport, wait: false })))
  for (const client of keeping) client.edits = []
  const tabs = ['sse', 'long-poll'].map(liveMode => new Tab(proxy, liveMode, random))
  const posting = new RetryingWriter(proxy, path)
  atEnd(t, () => { for (const one of [...tabs, posting]) one.leave() })

  const end = performance.now() + SECONDS * 1000
  while (performance.now() < end) {
    for (const client of keeping) if (random() < 0.3) edit(client)
    for (const one of [...tabs, posting]) if (random() < 0.3) one.edit()
    await pauseFor(random() * 30)
  }
  proxy.settle()
  await until(() => posting.idle, () => `the writer that tries again is through; ${proxy.state}`, 30_000)
  const kept = keeping.flatMap(({ edits }) => edits)
  const fresh = { name: DOC, doc: new Y.Doc(), report: 'read anew' }
  await until(async () => {
    fresh.doc = applied((await read(host, path)).frames)
    return missing(fresh.doc, kept).length === 0 && tabs.every(tab => tab.settled)
  }, () => `the host has all that clients kept, but not ${JSON.stringify(missing(fresh.doc, kept).slice(0, 5))}; ${proxy.state}`, 30_000)
  await converge([...keeping, ...tabs], 30_000)
  await until(async () => { // what a tab sent before it was reloaded may still have been on its way
    fresh.doc = applied((await read(host, path)).frames)
    return same([...keeping, ...tabs, fresh])
  }, () => `the host holds what all clients hold; ${proxy.state}`, 30_000)

  const acknowledged = proxy.acknowledged.filter(({ path: sent }) => sent.startsWith(path) && !sent.includes('awareness='))
    .flatMap(({ body }) => unframed(body))
  assert.ok(acknowledged.length > 20, `only ${acknowledged.length} updates were acknowledged`)
  for (const [what, count] of Object.entries(proxy.counts)) assert.ok(count > 0, `nothing was ${what}: ${proxy.state}`)
  assert.ok(tabs.every(tab => tab.edits > 0), 'each tab of YjsProvider edited')
  const check = doc => {
    assertHolds(doc, acknowledged)
    assert.deepEqual(missing(doc, kept), [])
    assert.deepEqual(list(doc).filter(item => item.startsWith('posting')), Array.from({ length: posting.made }, (_, n) => `posting ${n}`), 'each edit of the writer that tries again, once and in order')
  }
  check(fresh.doc)
  await host.kill()
  await host.start()
  check(applied((await read(host, path)).frames))
  t.diagnostic(`seed ${SEED}: ${acknowledged.length} updates acknowledged over HTTP, ${kept.length} kept by clients; ` +
    `${JSON.stringify(proxy.counts)}; tabs of YjsProvider reloaded ${tabs.map(tab => tab.reloads).join(' and ')} times`)
}

/** An edit whether or not the client is connected: it owes the host nothing once it is again. */
function edit (client) {
  const item = `${client.transport} ${client.edits.length}`
  client.edits.push(item)
  client.doc.getArray('list').push([item])
}

/**
 * YjsProvider, in a tab that its user reloads when it has failed: it forgets what it could not send, so only what the
 * host acknowledged counts.
 */
class Tab {
  name = DOC
  edits = 0
  reloads = 0

  constructor (proxy, liveMode, random) {
    Object.assign(this, { proxy, liveMode, random })
    this.load()
  }

  load () {
    this.doc = new Y.Doc()
    const provider = new YjsProvider({ doc: this.doc, baseUrl: this.proxy.url + '/v1/yjs/default', docId: DOC, liveMode: this.liveMode })
    this.provider = provider
    provider.once('error', () => {
      if (provider !== this.provider) return
      this.provider = undefined
      setTimeout(() => provider.destroy())
      this.timer = setTimeout(() => { this.reloads++; this.load() }, 20 + this.random() * 80)
    })
  }

  edit () {
    if (!this.provider?.connected) return
    this.doc.getArray('list').push([`tab ${this.liveMode} ${this.edits++}`])
  }

  get report () { return `reloaded ${this.reloads} times` }

  /** Whether all it has was sent and came back. */
  get settled () { return this.provider?.connected === true && this.provider.synced }

  leave () {
    clearTimeout(this.timer)
    this.provider?.destroy()
    this.provider = undefined
  }
}

/** Sends one edit after the other and repeats each until it hears of success. */
class RetryingWriter {
  made = 0
  sent = 0
  queue = []

  constructor (proxy, path) {
    Object.assign(this, { proxy, path, ...writer() })
  }

  edit () {
    this.queue.push(this.push(`posting ${this.made++}`))
    this.sending ??= this.send()
  }

  get idle () { return this.queue.length === 0 && this.sending === undefined }

  async send () {
    while (this.queue.length > 0 && !this.left) {
      const some = this.queue.slice(0, 3)
      const headers = { 'producer-id': 'posting', 'producer-epoch': '0', 'producer-seq': String(this.sent) }
      const { status, text } = await ask(this.proxy, 'POST', this.path, { body: framed(...some), headers, ms: 5_000 }).catch(error => ({ text: String(error) }))
      if (status === 200) {
        this.queue.splice(0, some.length)
        this.sent++
      } else if (status !== undefined) {
        throw new Error(`a POST that was tried again is answered ${status}: ${text}`)
      }
    }
    this.sending = undefined
  }

  leave () { this.left = true }
}

/** Those of these items that the document's list has not. */
function missing (doc, items) {
  const there = new Set(list(doc))
  return items.filter(item => !there.has(item))
}

/** Fails unless everything inserted by these updates is in the document, be it still waiting for what it stands on. */
function assertHolds (doc, updates) {
  const held = insertions(Y.encodeStateAsUpdate(doc))
  for (const update of updates) {
    for (const [client, clocks] of insertions(update)) {
      for (const clock of clocks) assert.ok(held.get(client)?.has(clock), `acknowledged, and lost: clock ${clock} of client ${client}`)
    }
  }
}

/** What an update inserts: clocks by client. */
function insertions (update) {
  const found = new Map()
  for (const struct of Y.decodeUpdate(update).structs) {
    if (struct instanceof Y.Skip) continue
    const { client, clock } = struct.id
    if (!found.has(client)) found.set(client, new Set())
    for (let n = 0; n < struct.length; n++) found.get(client).add(clock + n)
  }
  return found
}
