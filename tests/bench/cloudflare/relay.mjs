// Live delivery: one writer, 1 and 10 readers of one document, in an open loop. Each latency counts from the appointed
// time of the edit, so that a server that stalls cannot hide it.
import { Worker } from 'node:worker_threads'
import * as Y from 'yjs'
import { Client, pause, within } from './client.mjs'
import { typed } from './edits.mjs'
import { frame, message, SYNC } from './wire.mjs'

const RATE = 50 // edits a second
const WARM_UP = 3000 // edits
const GRACE = 3000 // milliseconds for late deliveries

export const title = 'Relay: one writer, 50 edits a second, readers of one document'

export async function run (plan, report) {
  const running = await plan.startAll('relay')
  const [seconds, rounds] = [plan.pick(2, 10), plan.pick(3, 6)]
  for (const workerd of running) await warm(workerd)
  for (const readers of [1, 10]) {
    const load = `${readers} reader${readers > 1 ? 's' : ''}`
    for (let number = 0; number < rounds; number++) {
      for (const workerd of plan.turns(running, number)) record(report, load, workerd.server.key, await round(workerd, `relay-${readers}-${number}`, readers, seconds))
    }
    report.note(`${load}: ${rounds} rounds of ${RATE * seconds} edits each, so ${RATE * seconds * readers} deliveries in a round; p99 within a round, then the median of rounds.`)
  }
  report.note(`Each worker has taken ${WARM_UP.toLocaleString('en')} edits before, so that its code is compiled. y-partyserver sends every edit back to its writer as well; that is not a delivery.`)
  await plan.stopAll(running)
}

/** Sends edits as fast as they are taken: JavaScript and Wasm are compiled in steps, by how often they have run. */
async function warm (workerd) {
  const url = workerd.socket('warm')
  const [writer, reader] = [await Client.join(url), await Client.join(url)]
  const updates = typed(WARM_UP)
  for (let at = 0; at < WARM_UP; at += 10) {
    const last = new Promise(resolve => { reader.hear = data => { if (clocks(data).includes(at + 9)) resolve() } })
    for (const update of updates.slice(at, at + 10)) writer.send(frame(SYNC, 2, update))
    await within(last)
  }
  await Promise.all([writer.leave(), reader.leave()])
}

function record (report, load, key, { latencies, lags, cpu, expected }) {
  report.add(load, 'p50', 'seconds', key, quantile(latencies, 0.5) / 1e3)
  report.add(load, 'p99', 'seconds', key, quantile(latencies, 0.99) / 1e3)
  report.add(load, 'CPU of workerd per delivery', 'seconds', key, cpu / Math.max(1, latencies.length))
  report.add(load, 'missing deliveries', 'count', key, expected - latencies.length)
  report.add(load, 'generator: sent late, p99', 'neutral', key, quantile(lags, 0.99) / 1e3)
}

async function round (workerd, doc, readers, seconds) {
  const first = RATE // those of a second, in which the document is made, are not measured
  const count = first + RATE * seconds
  const url = workerd.socket(doc)
  const frames = typed(count).map(update => frame(SYNC, 2, update))
  const writer = new Worker(new URL('writer.mjs', import.meta.url), { workerData: { url, frames, rate: RATE } })
  await said(writer)
  const clients = []
  for (let reader = 0; reader < readers; reader++) clients.push(await Client.join(url))

  const latencies = []
  const expected = (count - first) * readers
  let start
  let done
  const all = new Promise(resolve => { done = resolve })
  for (const client of clients) {
    let next = first
    client.hear = data => {
      const time = process.hrtime.bigint()
      for (const clock of clocks(data)) {
        if (clock < next) continue
        next = clock + 1
        latencies.push(Number(time - start) / 1e6 - clock * 1000 / RATE)
        if (latencies.length === expected) done()
      }
    }
  }
  await pause(200)
  start = process.hrtime.bigint() + 50_000_000n
  writer.postMessage(start)
  await pause(50 + first * 1000 / RATE)
  const before = workerd.cpu()
  const lags = await said(writer)
  await within(all, GRACE)
  const cpu = workerd.cpu() - before
  writer.postMessage('leave')
  await Promise.all(clients.map(client => client.leave()))
  return { latencies, lags: lags.slice(first), cpu, expected }
}

/** The clocks of the characters that a frame tells of. */
function clocks (data) {
  const { type, step, payload } = message(data)
  if (type !== SYNC || step === 0) return []
  return Y.decodeUpdate(payload).structs.flatMap(({ id, length }) => Array.from({ length }, (_none, at) => id.clock + at))
}

function said (worker) {
  return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
}

function quantile (list, share) {
  const sorted = list.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
}
