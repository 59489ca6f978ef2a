// What the page at `/latency` counts with, without a browser.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readFileSync } from 'node:fs'
import { Axis, shown } from '../../clients/js/page/src/latency/axis.js'
import { Failure } from '../../clients/js/page/src/latency/failure.js'
import { Ledger } from '../../clients/js/page/src/latency/ledger.js'
import { none, Recorder } from '../../clients/js/page/src/latency/summary.js'
import { redacted, Target } from '../../clients/js/page/src/latency/target.js'
import { matches } from '../interop/schema.mjs'

const page = { protocol: 'http:' }

function recorded (count) {
  const recorder = new Recorder()
  for (let n = count; n >= 1; n--) recorder.record(Math.floor(n / 100), Math.floor(n / 100), n)
  return recorder
}

test('percentiles are those of what was recorded, and of too few they are not known', () => {
  const { p50, p90, p99, min, max, mean, count } = recorded(1000).summary
  assert.deepEqual({ p50, p90, p99, min, max, mean, count }, { p50: 500, p90: 900, p99: 990, min: 1, max: 1000, mean: 500.5, count: 1000 })
  for (const [count, known] of [[4, [false, false, false]], [5, [true, false, false]], [10, [true, true, false]], [99, [true, true, false]], [100, [true, true, true]]]) {
    const { p50, p90, p99 } = recorded(count).summary
    assert.deepEqual([p50, p90, p99].map(ms => ms !== null), known, `${count}`)
  }
})

test('what failed counts as longer than everything', () => {
  const recorder = recorded(99)
  recorder.fail('timeout')
  assert.deepEqual([recorder.summary.p99, recorder.summary.failed], [99, 1], 'the 99th of 100')
  recorder.fail('closed')
  const { p99, p50, failures } = recorder.summary
  assert.deepEqual({ p99, p50, failures }, { p99: null, p50: 51, failures: { timeout: 1, closed: 1 } }, 'the 100th of 101')
})

test('a histogram has all that was recorded, to three digits, and a series has its blocks', () => {
  const recorder = new Recorder()
  for (const ms of [0.0004, 0.5, 0.5004, 2.047, 2.048, 2.049, 12345.678]) recorder.record(0, 1.5, ms)
  recorder.record(7, 8.5, 3)
  const { histogram, series } = recorder.summary
  assert.deepEqual(histogram.map(([, count]) => count).reduce((sum, count) => sum + count), 8)
  for (const [edge] of histogram) assert.ok(histogram.filter(([other]) => other === edge).length === 1)
  assert.ok(histogram.some(([edge, count]) => edge === 0.5 && count === 2))
  assert.ok(histogram.some(([edge]) => edge >= 12345.678 && edge < 12345.678 * 1.001), JSON.stringify(histogram))
  assert.deepEqual(series, [[1.5, 2.047, 7], [8.5, 3, 1]])
})

test('summaries are of the form that the schema has', () => {
  const schema = JSON.parse(readFileSync(new URL('../../latency/schema.json', import.meta.url), 'utf8'))
  for (const summary of [none(), recorded(300).summary]) matches(schema, summary, '#/$defs/summary')
  assert.throws(() => matches(schema, { ...none(), count: -1 }, '#/$defs/summary'), /\/count must be >= 0/)
})

test('every edit that was due is counted once, whatever became of it', () => {
  const ledger = new Ledger(1000, 0)
  const now = performance.now()
  for (let number = 1; number <= 5; number++) {
    ledger.due(number, now - 10 + number, 0)
    if (number < 5) ledger.sent(number, number === 4 ? 'b' : 'a')
  }
  ledger.due(6, now, undefined)
  ledger.acked(1)
  ledger.acked(1)
  ledger.arrived('a', 2)
  ledger.broken('a', new Failure('closed', ''))
  ledger.failed(4, new Failure('forbidden', ''))
  assert.deepEqual([ledger.ack.count, ledger.ack.failed, ledger.arrival.count, ledger.arrival.failed], [1, 3, 2, 1])
  assert.ok(!ledger.isSettledBefore(Infinity) && ledger.isSettledBefore(now - 8), 'the third is not over')
  ledger.timeout = 0
  ledger.expire()
  const { failures } = ledger.arrival.summary
  assert.deepEqual([ledger.ack.count + ledger.ack.failed, ledger.arrival.count + ledger.arrival.failed], [5, 5])
  assert.deepEqual(failures, { forbidden: 1, timeout: 2 })
  assert.ok(ledger.isSettledBefore(Infinity))
})

test('a URL is shown without what is secret', () => {
  const target = new Target({ url: ' https://ann:hunter2@example.org/base/?token=s3cret#x', token: '' }, page)
  assert.deepEqual([target.shown, target.token, target.secure], ['https://example.org/base', 's3cret', true])
  assert.equal(target.stream('a/b c', { offset: '-1' }), 'https://example.org/base/v1/yjs/default/docs/a/b%20c?offset=-1&token=s3cret')
  assert.equal(new Target({ url: 'ws://[::1]:1', token: 'other' }, page).socket('x'), 'ws://[::1]:1/ws/x?token=other')
  for (const url of ['ftp://ann:hunter2@x', 'nothing?token=hunter2', '//ann:hunter2@', 'http://:hunter2@']) {
    assert.throws(() => new Target({ url, token: '' }, page), error => error.kind === 'url' && !error.message.includes('hunter2'), url)
    assert.ok(!redacted(url).includes('hunter2'), url)
  }
  const secure = { protocol: 'https:' }
  assert.throws(() => new Target({ url: 'http://example.org', token: '' }, secure), /came by https/)
  assert.ok(new Target({ url: 'http://127.0.0.1:8080', token: '' }, secure))
})

test('an axis has all that is shown, and a shape is highest where most are', () => {
  const axis = new Axis(0.7, 40)
  assert.deepEqual(axis.ticks.filter(({ labelled }) => labelled).map(({ at }) => at), [0.5, 1, 2, 5, 10, 20, 50])
  const path = axis.shape([[1, 10], [1.1, 80], [1.2, 10], [30, 20]])
  const places = path.slice(1, -1).split('L').map(place => place.split(' ').map(Number))
  const [highest] = places.toSorted(([, a], [, b]) => a - b)
  assert.ok(Math.abs(highest[0] - axis.place(1.1)) < 0.02, path)
  assert.ok(places.every(([x, y]) => x >= 0 && x <= 1 && y >= 0 && y <= 1), path)
  assert.ok(new Axis(0, 0).shape([[0, 30]]).endsWith('z') && !new Axis(0, 0).shape([[0, 30]]).includes('NaN'))
  assert.deepEqual([null, 0.004, 1, 12.345, 12345].map(shown), ['–', '0.00', '1.0', '12.3', '12,345'])
})
