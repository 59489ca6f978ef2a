// A thousand long-polls and a thousand event streams on one document, spread over as many instances as that takes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, eventFrames, list, applied, poll, post, read, writer } from '../../interop/streams.mjs'
import { Events, hold } from '../../interop/request.mjs'
import { unframed } from '../../interop/streams.mjs'
import { until, within } from '../../interop/waiting.mjs'
import { operations, Spin } from './spin.mjs'

const EACH = 1_000
/** Connections that are opened at once: less than a listener's queue. */
const WAVE = 50

test(`a write wakes ${EACH} long-polls and ${EACH} event streams`, { timeout: 200_000 }, async t => {
  const host = await Spin.up(t, { vars: { long_poll_seconds: 120, sse_seconds: 120 } })
  const path = await create(host, 'notes')
  const { next } = await read(host, path)
  await host.untilGone()
  const before = host.memory
  const streams = await inWaves(host, () => hold(t, host, path, { query: { offset: next, live: 'sse' } }))
  const atStreams = host.memory
  const polls = await inWaves(host, () => poll(t, host, path, next))
  const atAll = host.memory
  const { alive } = await host.metrics()
  t.diagnostic(`${alive} instances; memory of the host: ${kib(atStreams - before)} KiB for each event stream, ${kib(atAll - atStreams)} KiB for each long-poll, connection included`)

  const began = performance.now()
  const { given: answers, ...costs } = await host.costs(async () => {
    await post(host, path, [writer().push('to all')], { ms: 60_000 })
    return within(Promise.all(polls.map(({ ended }) => ended)), 'all long-polls are answered', 60_000)
  })
  t.diagnostic(`the last long-poll was answered ${Math.round(performance.now() - began)} ms after the edit was sent; ${operations(costs)} operations on the store`)
  for (const { status, bytes } of answers) assert.deepEqual([status, list(applied(unframed(bytes)))], [200, ['to all']])
  const has = stream => eventFrames(new Events(stream)).length > 0
  await until(() => streams.every(has), () => `all event streams have it; ${streams.filter(has).length} do`, 60_000)
  for (const stream of streams) assert.deepEqual(list(applied(eventFrames(new Events(stream)))), ['to all'])
  await post(host, path, [writer().push('afterwards')])
  await host.assertHealthy()
})

/** So many held requests, each wave when the one before is held. */
async function inWaves (host, make) {
  const { running } = await host.metrics()
  const all = []
  while (all.length < EACH) {
    all.push(...Array.from({ length: Math.min(WAVE, EACH - all.length) }, make))
    await until(async () => (await host.metrics()).running === running + all.length, () => `${all.length} are held`, 60_000)
  }
  return all
}

const kib = bytes => (bytes / EACH / 1024).toFixed(0)
