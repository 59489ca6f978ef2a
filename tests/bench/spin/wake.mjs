// How soon a long-poll is answered once an edit was sent, and once it was acknowledged.
import { create, framed, poll, read, writer } from '../../interop/streams.mjs'
import { ask, Held } from '../../interop/request.mjs'
import { pauseFor } from '../../interop/waiting.mjs'
import { Spin } from '../../spin/scenarios/spin.mjs'
import { spread } from './samples.mjs'

const SAMPLES = 60

/** For how long a reader has waited when the edit comes: the longer, the more seldom it reads again. */
const WAITED = { 'up to 0.3 s': 300, 'up to 3 s': 3_000 }

export const title = 'From an edit that is sent until a long-poll is answered'

export async function run (t) {
  const rows = [['the reader', 'has waited', 'median', '99 of 100', 'behind the acknowledgement: median', '99 of 100']]
  // An instance that is used up gets no writer any more, and its readers are those of another one then.
  const hosts = { 'in the same instance': ['--max-instance-reuse-count', '1000000'], 'in another instance': ['--max-instance-concurrent-reuse-count', '1'] }
  for (const [where, words] of Object.entries(hosts)) {
    const host = await Spin.up(t, { words })
    for (const [waited, most] of Object.entries(WAITED)) {
      // One document at a time where the instance is to be the same: one that is busy gets no other request.
      const documents = where === 'in another instance' ? 4 : 1
      const all = await Promise.all(Array.from({ length: documents }, (_, n) => document(t, host, `wake-${most}-${n}`, most, SAMPLES / documents)))
      const [sent, acknowledged] = [0, 1].map(at => all.flat().map(sample => sample[at]))
      rows.push([where, waited, ...spread(sent), ...spread(acknowledged)])
    }
  }
  return rows
}

async function document (t, host, name, most, count) {
  const path = await create(host, name)
  const { push } = writer()
  const samples = []
  let { next } = await read(host, path)
  while (samples.length < count) {
    const held = poll(t, host, path, next)
    await pauseFor(20 + Math.random() * most)
    const began = performance.now()
    const acknowledged = new Held(host, 'POST', path, { body: framed(push('x')) }).ended.then(({ status }) => {
      if (status !== 204) throw new Error(`an edit: ${status}`)
      return performance.now()
    })
    const answered = held.ended.then(answer => [answer, performance.now()])
    const [at, [answer, woken]] = await Promise.all([acknowledged, answered])
    if (answer.status === 200) samples.push([woken - began, Math.max(0, woken - at)])
    next = (await ask(host, 'HEAD', path)).headers['stream-next-offset'] ?? answer.headers['stream-next-offset']
  }
  return samples
}
