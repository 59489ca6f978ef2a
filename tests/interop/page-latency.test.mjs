// The page at `/latency`, in Chromium: it is served by the server at YONDER_URL, and measures that and others.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { atEnd } from './ending.mjs'
import { freePort, Host, needs } from './host.mjs'
import { complaints, fitsIts, inState, openAt, PHONE, picture, requests, server, until } from './page-window.mjs'
import { matches } from './schema.mjs'
import { mint } from './token.mjs'

const page = needs('page')
const closed = needs('page', 'auth')
const SECRET = 'a secret that is long enough for a test'
const token = permission => mint(SECRET, { prefix: '', perm: permission, exp: Math.floor(Date.now() / 1000) + 3600 })
const WAYS = ['WebSocket', 'Event stream', 'Long-poll']

test('two servers are measured by each way, from a page of one of them, and the result can be kept', closed, async t => {
  const other = await started(t, { keys: [SECRET] })
  const window = await opened(t, [server, other.url], { rate: 50, duration: 2 })
  await window.getByRole('textbox', { name: 'Token for server 2' }).fill(token('admin'))
  await measure(window)
  assert.deepEqual(await problems(window), [])

  for (const metric of ['Propagation', 'Stored']) {
    const lines = await figures(window, metric)
    assert.deepEqual(lines.map(({ Server, By }) => [By, Server]), WAYS.flatMap(way => [server, other.url].map(url => [way, url])))
    for (const line of lines) {
      assert.deepEqual([line.Measured, line.Failed], ['100', '0'], JSON.stringify(line))
      const [median, p90, p99, longest] = ['Median', 'p90', 'p99', 'Longest'].map(name => Number(line[name]))
      assert.ok(median > 0 && median <= p90 && p90 <= p99 && p99 <= longest, JSON.stringify(line))
    }
    // Each is drawn, with its percentiles.
    assert.equal(await window.locator('.ridge .fill').count(), 6)
    assert.equal(await window.locator('.ridge .point').count(), 18)
  }
  for (const line of await figures(window, 'Round trip')) assert.ok(Number(line.Measured) >= 2, JSON.stringify(line))
  // The page of one server is told by the other where the time went.
  const first = (await figures(window, 'First byte')).filter(({ Server, By }) => Server === other.url && By !== 'WebSocket')
  assert.ok(first.some(({ Measured }) => Number(Measured) > 0), JSON.stringify(first))
  const fresh = (await figures(window, 'Connect')).filter(({ By }) => By === 'WebSocket')
  assert.ok(fresh.every(({ Measured }) => Number(Measured) >= 4), JSON.stringify(fresh))

  const { outcome, name } = await kept(window)
  assert.match(name, /^yonder-latency-[-0-9T]+\.json$/)
  const schema = JSON.parse(await readFile(new URL('../../latency/schema.json', import.meta.url), 'utf8'))
  matches(schema, outcome)
  assert.throws(() => matches(schema, { ...outcome, hosts: [{ ...outcome.hosts[0], url: 1 }] }), /\/hosts\/0\/url must be string/)
  assert.equal(outcome.tool, 'yonder page')
  assert.deepEqual(outcome.hosts.map(({ url }) => url), [server, other.url])
  assert.match(outcome.hosts[1].server, /^yonder \d/)
  const { propagation } = outcome.hosts[1].transports.sse
  assert.equal(propagation.histogram.reduce((sum, [, count]) => sum + count, 0), 100)
  assert.equal(propagation.series.reduce((sum, [, , count]) => sum + count, 0), 100)
  assert.ok(!JSON.stringify(outcome).includes(token('admin').split('.')[0]), 'no token is kept')
  assert.ok(!window.url().includes('token'), 'nor is one in the address')

  const listed = await fetch(`${other.url}/docs?prefix=latency/`, { headers: { authorization: `Bearer ${token('admin')}` } })
  assert.deepEqual((await listed.json()).docs, [], 'no document is left behind')
})

test('a token that is wrong, a server that is not there, one that is not yonder: each has its line, and the rest is measured', closed, async t => {
  const shut = await started(t, { keys: [SECRET] })
  const dead = `http://127.0.0.1:${await freePort()}`
  const [silent, foreign] = await Promise.all([{}, { 'access-control-allow-origin': '*' }].map(headers => stranger(t, headers)))
  const urls = [server, `${shut.url}?token=${token('read').replace('.', '.x')}`, dead, silent, foreign, 'ftp://nowhere', 'nothing']
  const window = await opened(t, urls, { rate: 20, duration: 1, transports: ['ws', 'long-poll'] })
  await measure(window)
  const lines = await problems(window)
  const said = url => lines.filter(line => line.includes(url)).join('\n')
  assert.match(said(shut.url), /by WebSocket: 401: .*token/)
  assert.match(said(shut.url), /by Long-poll: 401: .*token/)
  assert.match(said(dead), /: no connection: nobody listens there, the name is unknown, or TLS fails/)
  assert.match(said(silent), /: somebody answers, but does not let this page read it/)
  assert.match(said(foreign), /: this is no server of yonder/)
  assert.match(said('ftp://nowhere'), /is no URL of a server/)
  assert.match(said('“nothing”'), /is no URL of a server: it begins with http/)
  assert.ok(!lines.join().includes('token='), lines.join('\n'))
  for (const line of (await figures(window, 'Propagation')).filter(({ Server }) => Server === server)) assert.equal(line.Measured, '20', JSON.stringify(line))
  assert.equal((await kept(window)).outcome.hosts[1].transports.ws.error.kind, 'unauthorized')
  await picture(window, 'latency-problems')
})

test('every edit that was due while a server was gone is counted, and the page goes on', page, async t => {
  const other = await started(t)
  const window = await opened(t, [other.url, server], { rate: 20, duration: 3, timeout: 1, transports: ['ws', 'sse'] })
  const going = measure(window)
  // Both ways of it have been measured for a second.
  await window.getByText(`Measuring ${server} by event stream`).waitFor()
  await other.kill()
  await going
  for (const metric of ['Propagation', 'Stored']) {
    for (const { Server, Measured, Failed, ...line } of await figures(window, metric)) {
      const due = Number(Measured) + Number(Failed)
      assert.equal(due, 60, JSON.stringify({ Server, Measured, Failed, ...line }))
      assert.equal(Number(Failed) > 0, Server === other.url, JSON.stringify({ Server, Measured, Failed, ...line }))
    }
  }
  const lines = await problems(window)
  for (const way of ['WebSocket', 'Event stream']) {
    assert.ok(lines.some(line => line.startsWith(`${other.url} by ${way}: nothing arrived since `)), lines.join('\n'))
  }
})

test('it can be stopped, and shows what there is by then', page, async t => {
  const window = await opened(t, [server], { duration: 600, transports: ['ws'] })
  const going = measure(window)
  await until(async () => Number((await figures(window, 'Propagation'))[0]?.Measured) >= 20, 'a second is measured')
  await window.getByRole('button', { name: 'Stop' }).click()
  await going
  await window.getByText('It was stopped: this is what there was by then.').waitFor()
  const { outcome } = await kept(window)
  const { count, failed } = outcome.hosts[0].transports.ws.propagation
  assert.ok(count >= 20 && failed === 0, `${count} measured, ${failed} failed`)
})

test('it is used by keyboard, and fits a phone', page, async t => {
  const window = await openAt(t, `${server}/latency`, PHONE)
  const url = window.getByRole('textbox', { name: 'URL of server 1' })
  assert.equal(await url.inputValue(), server)
  assert.ok(await window.getByRole('button', { name: 'Remove server 1' }).isDisabled())
  await window.getByRole('button', { name: 'Add a server' }).press('Enter')
  assert.ok(await window.getByRole('textbox', { name: 'URL of server 2' }).evaluate(field => field === document.activeElement))
  await window.getByRole('button', { name: 'Remove server 2' }).press('Enter')
  for (const way of WAYS) await window.getByRole('checkbox', { name: way }).uncheck()
  await url.press('Enter')
  assert.equal(await window.locator('html').getAttribute('data-state'), 'idle', 'without a way nothing begins')
  await window.getByRole('checkbox', { name: 'Long-poll' }).press('Space')
  await window.getByRole('spinbutton', { name: 'Seconds each' }).fill('1')
  await url.press('Enter')
  await inState(window, 'done')
  await window.getByRole('radio', { name: 'Propagation' }).press('ArrowRight')
  await window.getByText('until the server said that it is stored').waitFor()
  assert.equal((await figures(window, 'Stored'))[0].Measured, '20')
  const { needed, there } = await window.evaluate(() => ({ needed: document.documentElement.scrollWidth, there: innerWidth }))
  assert.ok(needed <= there, `${needed} pixels are needed where ${there} are there`)
  await picture(window, 'latency-phone')
})

test('the editor leads there, and it leads back', page, async t => {
  const window = await openAt(t, `${server}/#${crypto.randomUUID()}`)
  await inState(window, 'synced')
  await window.getByRole('link', { name: 'Latency' }).click()
  await window.getByRole('heading', { name: 'Latency' }).waitFor()
  await window.getByRole('link', { name: 'Editor' }).click()
  await inState(window, 'synced')
  await fitsIts(window, 'width')
})

test('the page asks for nothing that it has not been told to, and its policies hold', page, () => {
  assert.ok(requests.some(({ url }) => new URL(url).pathname === '/assets/latency-worker.js'))
  assert.deepEqual(complaints.filter(text => /Content Security Policy|Error: /.test(text)), [])
})

/** Opens the page with a plan in its address. */
function opened (t, urls, { rate = 20, duration = 2, timeout = 5, transports = ['ws', 'sse', 'long-poll'] }) {
  const asked = [...urls.map(url => ['url', url]), ...transports.map(name => ['transport', name])]
  const plan = new URLSearchParams([...asked, ['rate', rate], ['duration', duration], ['timeout', timeout]])
  return openAt(t, `${server}/latency#${plan}`)
}

/** Resolves when the run has ended. */
async function measure (window) {
  await window.getByRole('button', { name: 'Start' }).click()
  await inState(window, 'running')
  await window.locator('html[data-state="done"]').waitFor({ state: 'attached', timeout: 120_000 })
}

/** The table of a metric: a record for each line, by the words above its columns. */
async function figures (window, metric) {
  if (await window.locator('#results').isVisible()) await window.getByText(metric, { exact: true }).first().click()
  return window.evaluate(() => {
    const texts = row => [...row.cells].map(cell => cell.textContent)
    const [head, ...lines] = document.querySelectorAll('#figures tr')
    return lines.map(line => Object.fromEntries(texts(line).map((text, at) => [texts(head)[at], text])))
  })
}

const problems = window => window.locator('#problems li').allTextContents()

async function kept (window) {
  const [download] = await Promise.all([window.waitForEvent('download'), window.getByRole('link', { name: 'Download as JSON' }).click()])
  return { outcome: JSON.parse(await readFile(await download.path(), 'utf8')), name: download.suggestedFilename() }
}

async function started (t, options) {
  const host = await Host.up(options)
  atEnd(t, () => host.down())
  return host
}

/** A server that is something else. */
function stranger (t, headers) {
  const host = createServer((_request, answer) => answer.writeHead(200, { 'content-type': 'application/json', ...headers }).end('{}'))
  atEnd(t, () => new Promise(resolve => { host.close(resolve); host.closeAllConnections() }))
  return new Promise(resolve => host.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${host.address().port}`)))
}
