// The command measures all hosts side by side, and its report is opened in Chromium and looked at.
//
//   YONDER        the native command line
//   SCREENSHOTS   a folder for pictures, if they are wanted
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { launch } from '../interop/browser.mjs'
import { atEnd } from '../interop/ending.mjs'
import { matches } from '../interop/schema.mjs'
import { NAMES, up } from './hosts.mjs'

const WAYS = { ws: 'WebSocket', sse: 'Event stream', 'long-poll': 'Long-poll' }
const EDITS = 100
const DESK = { width: 1200, height: 900 }
const PHONE = { width: 390, height: 844 }
/** A4 without its margins. */
const PAPER = { width: 718, height: 1046 }

test('a run at all hosts', async t => {
  const all = await up(t)
  await all.ready()
  const hosts = NAMES.map((_, at) => `http://127.0.0.1:${all.port + at}`)
  const [json, report] = ['result.json', 'report.html'].map(name => join(all.data, name))
  const plan = ['--duration', '4s', '--rate', `${EDITS / 4}`, '--warm-up', '1s', '--fresh', '3']
  // One that is not there, so that what could not be measured is seen as well.
  await promisify(execFile)(process.env.YONDER, ['latency', ...hosts, 'http://127.0.0.1:1', ...plan, '--json', json, '--report', report])
  const browser = await launch()
  atEnd(t, () => browser.close())

  await t.test('every host is measured by each way, and every edit that was due is counted', () => {
    const outcome = JSON.parse(readFileSync(json, 'utf8'))
    matches(JSON.parse(readFileSync(new URL('../../latency/schema.json', import.meta.url), 'utf8')), outcome)
    const measured = outcome.hosts.filter(({ error }) => error === null)
    assert.deepEqual(measured.map(({ url }) => url), hosts)
    for (const { url, server, transports } of measured) {
      assert.match(server, /^yonder \d/)
      assert.deepEqual(Object.keys(transports).sort(), Object.keys(WAYS).sort(), url)
      for (const [way, { error, ack, propagation, converge, reconnect, cold, warm }] of Object.entries(transports)) {
        assert.equal(error, null, `${url} ${way}`)
        for (const of of [ack, propagation]) assert.deepEqual([of.count, of.failed], [EDITS, 0], `${url} ${way}: ${JSON.stringify(of.failures)}`)
        for (const of of [converge, reconnect, cold, warm]) assert.deepEqual([of.count, of.failed], [3, 0], `${url} ${way}: ${JSON.stringify(of.failures)}`)
      }
    }
  })

  await t.test('the report draws each host by each way, on paper, on a phone and in the dark as well', async t => {
    const { page, complaints, asked } = await opened(t, browser, report)
    const looks = { desk: [DESK, {}], dark: [DESK, { colorScheme: 'dark' }], phone: [PHONE, {}], print: [PAPER, { media: 'print' }] }
    for (const [name, [size, media]] of Object.entries(looks)) {
      await page.setViewportSize(size)
      await page.emulateMedia({ media: 'screen', colorScheme: 'light', ...media })
      if (process.env.SCREENSHOTS) await page.screenshot({ path: join(process.env.SCREENSHOTS, `report-${name}.png`), fullPage: true })
      const seen = await page.evaluate(look)
      assert.ok(seen.needed <= size.width, `${name}: ${seen.needed} pixels are needed where ${size.width} are there`)
      assert.deepEqual(seen.wrong, [], name)
      assert.deepEqual(seen.lines, Object.values(WAYS).flatMap(way => hosts.map(url => `${way}: ${url.slice('http://'.length)}`)), name)
      const painted = await shadesOf(page, page.locator('#propagation ~ figure .fill[clip-path]'))
      assert.equal(painted.length, hosts.length * 3, name)
      // The marks of the axis and the percentiles are grey and black.
      const isColored = shade => Math.max(...shade.split(',')) - Math.min(...shade.split(',')) > 40
      const colored = painted.map(shades => Object.keys(shades).filter(isColored).reduce((sum, shade) => sum + shades[shade], 0))
      assert.ok(colored.every(count => count > 30), `${name}: pixels of distributions: ${colored}`)
    }
    assert.match(await page.locator('.problems').innerText(), /http:\/\/127\.0\.0\.1:1: .*\(refused\)/)
    assert.ok((await page.pdf({ format: 'A4' })).length > 20_000)
    assert.deepEqual([complaints, asked], [[], [pathToFileURL(report).href]], 'it asks for nothing, and complains about nothing')
  })

  await t.test('ways can be told apart without their colours', async t => {
    const { page } = await opened(t, browser, report)
    const session = await page.context().newCDPSession(page)
    await session.send('Emulation.setEmulatedVisionDeficiency', { type: 'achromatopsia' })
    const swatches = await shadesOf(page, page.locator('#propagation ~ figure .swatch .fill'))
    const [ws, sse, polls] = swatches.map(shades => Object.keys(shades).sort())
    // One is even, the others have patterns of their own.
    assert.ok(ws.length < sse.length && ws.length < polls.length, `${ws.length}, ${sse.length}, ${polls.length} shades`)
    assert.notDeepEqual(sse, polls)
  })
})

async function opened (t, browser, report) {
  const page = await browser.newPage({ viewport: DESK })
  atEnd(t, () => page.close())
  const [complaints, asked] = [[], []]
  page.on('console', message => complaints.push(message.text()))
  page.on('pageerror', error => complaints.push(`${error}`))
  page.on('request', request => asked.push(request.url()))
  await page.goto(pathToFileURL(report).href)
  return { page, complaints, asked }
}

/** What somebody would see who looks: which lines there are, how wide it is, and what is cut off, covered or out of place. */
function look () {
  const wrong = []
  const box = element => element.getBoundingClientRect()
  const apart = (one, other) => one.right <= other.left + 1 || other.right <= one.left + 1 || one.bottom <= other.top + 1 || other.bottom <= one.top + 1
  const apartAll = elements => elements.forEach((one, at) => elements.slice(at + 1).forEach(other => {
    if (!apart(box(one), box(other))) wrong.push(`${one.textContent || one.tagName} and ${other.textContent || other.tagName} are one over the other`)
  }))
  for (const ridge of document.querySelectorAll('.ridge')) apartAll([...ridge.children].filter(part => box(part).width > 0))
  for (const axis of document.querySelectorAll('.axis')) apartAll([...axis.querySelectorAll('text')])
  for (const drawing of document.querySelectorAll('.ridge > svg[role=img]')) {
    const { left, right, width, height } = box(drawing)
    if (width < 150 || height < 25) wrong.push(`a drawing of ${width} by ${height} pixels`)
    const places = ['.p50', '.p90', '.p99'].flatMap(name => [...drawing.querySelectorAll(`${name}.point`)]).map(point => (box(point).left + box(point).right) / 2)
    if (places.some((place, at) => place < left - 1 || place > right + 1 || place < places[at - 1] - 1)) wrong.push(`percentiles at ${places} of ${left} to ${right}`)
  }
  for (const row of document.querySelectorAll('.figures tr')) if (box(row).height > 60) wrong.push(`a row of ${box(row).height} pixels: ${row.textContent}`)
  for (const part of document.querySelectorAll('.wide')) {
    if (matchMedia('print').matches && part.scrollWidth > part.clientWidth + 1) wrong.push('a table is cut off on paper')
  }
  const groups = [...document.querySelectorAll('#propagation ~ figure .group')]
  const lines = groups.flatMap(group => [...group.querySelectorAll('.name')].map(name => `${group.querySelector('h3').textContent}: ${name.textContent}`))
  return { wrong, lines, needed: document.documentElement.scrollWidth }
}

/** Of each element the shades that are seen of it, as `RED,GREEN,BLUE`, each with how many pixels have it. */
async function shadesOf (page, elements) {
  const pictures = []
  for (const element of await elements.all()) {
    await element.scrollIntoViewIfNeeded()
    const { x, y, width, height } = await element.boundingBox()
    pictures.push((await page.screenshot({ clip: { x, y, width, height } })).toString('base64'))
  }
  // The page itself may load nothing.
  const reader = await page.context().browser().newPage()
  try {
    return await reader.evaluate(pictures => Promise.all(pictures.map(async picture => {
      const image = new Image()
      image.src = `data:image/png;base64,${picture}`
      await image.decode()
      const { width, height } = image
      const canvas = new OffscreenCanvas(width, height).getContext('2d')
      canvas.drawImage(image, 0, 0)
      const { data } = canvas.getImageData(0, 0, width, height)
      const shades = {}
      for (let at = 0; at < data.length; at += 4) {
        const shade = `${data.slice(at, at + 3)}`
        shades[shade] = (shades[shade] ?? 0) + 1
      }
      return shades
    })), pictures)
  } finally {
    await reader.close()
  }
}
