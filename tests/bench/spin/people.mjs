// What a hundred people at work ask of the store in a second: platforms bound that for an application.
import { create, post, read, show, stream, writer } from '../../interop/streams.mjs'
import { pauseFor } from '../../interop/waiting.mjs'
import { Spin } from '../../spin/scenarios/spin.mjs'
import { spread } from './samples.mjs'

const PEOPLE = 100
/** So many type: each second an edit, and its cursor moves. */
const TYPISTS = [10, 20]
const SECONDS = 60

export const title = `A second of ${PEOPLE} people with event streams, of whom some type and point once a second`

export async function run (t) {
  const rows = [['documents', 'who type', 'reads', 'writes', 'of a counter', 'instances', 'an edit is acknowledged: median', '99 of 100', 'edits a second']]
  for (const documents of [1, 20]) {
    for (const typists of TYPISTS) rows.push(await work(t, documents, typists))
  }
  return rows
}

async function work (t, documents, typists) {
  const host = await Spin.up(t)
  const paths = []
  for (let n = 0; n < documents; n++) paths.push(await create(host, `people-${n}`))
  let over = false
  const reads = async n => {
    const path = paths[n % documents]
    for (let { next } = await read(host, path); !over;) {
      const events = await stream(t, host, path, next, { query: { presence: 'now' } })
      await events.ended
      next = events.controls.at(-1)?.streamNextOffset ?? next
    }
  }
  const took = []
  const types = async n => {
    const path = paths[n % documents]
    const { push } = writer(n + 1)
    await pauseFor(Math.random() * 1000)
    for (let clock = 1; !over; clock++) {
      const began = performance.now()
      await post(host, path, [push(`${n}.${clock}`)])
      took.push(performance.now() - began)
      await show(host, path, [[n + 1, clock, { at: clock }]])
      await pauseFor(Math.max(0, 1000 - (performance.now() - began)))
    }
  }
  const people = Array.from({ length: PEOPLE }, (_, n) => n)
  const reading = people.map(n => reads(n).catch(() => {})) // it ends with the host
  await pauseFor(5_000)
  const typing = people.filter(n => n % (PEOPLE / typists) === 0).map(types)
  await pauseFor(5_000)
  took.length = 0
  const spent = await host.costs(() => pauseFor(SECONDS * 1000))
  const edits = took.length
  const { alive } = await host.metrics()
  over = true
  await Promise.all(typing)
  const { gets, exists, list_keys: lists, sets, deletes, increments } = spent
  const each = [gets + exists + lists, sets + deletes, increments].map(count => (count / SECONDS).toFixed(0))
  const row = [documents, typists, ...each, alive, ...spread(took), (edits / SECONDS).toFixed(1)]
  await Promise.race([Promise.all(reading), pauseFor(30_000)])
  await host.kill()
  return row
}
