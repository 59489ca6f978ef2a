// Windows of the page in Chromium: each person in a browser profile of their own. What a window asks for, and what it
// complains about, is kept for the tests. With SCREENSHOTS set, pictures are left in that folder.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import net from 'node:net'
import { join } from 'node:path'
import { after, before } from 'node:test'
import { launch } from './browser.mjs'
import { lacks } from './host.mjs'

export const server = process.env.YONDER_URL?.replace(/\/$/, '')
const screenshots = process.env.SCREENSHOTS

export const MAYA = { name: 'Maya Lindqvist', color: '#12787c' }
export const TOMAS = { name: 'Tomás Reyes', color: '#c23a5b' }
/** How long anything may take, in milliseconds, before it counts as not happening. */
const PATIENCE = 15_000

export const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 }

/** @type {import('playwright-core').Browser} */
let browser

/** What any page asked for or complained about in the course of all tests; the last two look through it. */
export const requests = []
export const complaints = []

before(async () => {
  if (lacks('page')) return
  assert.ok(server, 'YONDER_URL names the server to test, such as http://127.0.0.1:8787')
  if (screenshots) await mkdir(screenshots, { recursive: true })
  browser = await launch()
})

after(() => browser?.close())

export const NOTES = `# Field trip to the north shore

Leaving **Saturday at 7:30** from the bus stop by the school. Bring *warm* layers.

## To bring
- Binoculars, two pairs are enough
- The tide table, see [harbour office](https://example.org/tides)

> Low tide is at 11:42.

Set the counter with \`count --from 9:00\` so that our numbers agree.`

export const newName = (prefix = 'page-test') => `${prefix}-${randomUUID()}`

/**
 * Opens a document in a new profile and waits for its state. Profiles share nothing, so that all that one window knows
 * of another came through the server.
 *
 * @param {import('node:test').TestContext} t
 */
export async function open (t, hash, { state = 'synced', base = server, ...options } = {}) {
  const page = await openAt(t, `${base}/#${hash}`, options)
  await inState(page, state)
  return page
}

/** Opens an address of the page's in a new profile. */
export async function openAt (t, url, {
  person,
  socket, // stands in for the server, as in Playwright's routeWebSocket
  onSocket = () => {},
  requests: held, // what is done with some requests, as in Playwright's route
  mayLoseConnection = false,
  ...options
} = {}) {
  const localStorage = person ? [{ name: 'yonder.person', value: JSON.stringify(person) }] : []
  const context = await browser.newContext({
    viewport: { width: 1200, height: 750 },
    storageState: { cookies: [], origins: [{ origin: new URL(url).origin, localStorage }] },
    ...options
  })
  context.setDefaultTimeout(PATIENCE)
  t.after(() => context.close())
  const home = new URL(url).host
  context.on('request', request => /^(data|blob):/.test(request.url()) || requests.push({ url: request.url(), home }))
  context.on('page', page => {
    page.on('websocket', websocket => {
      requests.push({ url: websocket.url(), home })
      onSocket(websocket)
    })
    page.on('pageerror', error => complaints.push(`${t.name}: ${error}`))
    page.on('console', message => {
      const expected = mayLoseConnection && /WebSocket connection to|Failed to load resource: net::/.test(message.text())
      if (['error', 'warning'].includes(message.type()) && !expected) complaints.push(`${t.name}: ${message.text()}`)
    })
  })
  if (socket) await context.routeWebSocket(/\/ws\//, socket)
  if (held) await context.route(...held)
  const page = await context.newPage()
  await page.goto(url)
  return page
}

export const inState = (page, state) => page.locator(`html[data-state="${state}"]`).waitFor({ state: 'attached' })

/** Waits until the window reaches the server this way. */
export const by = (page, transport) => page.locator(`html[data-transport="${transport}"]`).waitFor({ state: 'attached' })

export const isSaved = page => page.locator('html[data-saved="true"]').waitFor({ state: 'attached' })

export async function choose (page, label) {
  await page.getByRole('button', { name: 'How this window is connected' }).click()
  await page.getByRole('radio', { name: label }).check()
  await page.keyboard.press('Escape')
}

/** Writes at the end of the document, as one paste. */
export async function write (page, text) {
  await page.locator('.cm-content').press('Control+End')
  await page.keyboard.insertText(text)
}

/** Puts the caret at the end of the first line that has these words. */
export async function caretTo (page, words) {
  await page.locator('.cm-line', { hasText: words }).first().click()
  await page.keyboard.press('End')
}

/** Waits until the window shows exactly this text. */
export async function shows (page, expected) {
  let actual
  await until(async () => (actual = await page.evaluate(shownText)) === expected, () =>
    `expected ${JSON.stringify(expected)}, shown is ${JSON.stringify(actual)}`)
}

/** The lines of the editor without what is not text: cursors with their names, and the hint of an empty document. */
function shownText () {
  return [...document.querySelectorAll('.cm-line')].map(line => {
    const copy = /** @type {Element} */ (line.cloneNode(true))
    for (const extra of copy.querySelectorAll('.caret, .cm-placeholder')) extra.remove()
    return copy.textContent?.replaceAll('\u200b', '')
  }).join('\n')
}

export async function until (condition, explanation) {
  const deadline = Date.now() + PATIENCE
  while (!await condition()) {
    if (Date.now() > deadline) assert.fail(typeof explanation === 'function' ? explanation() : explanation)
    await new Promise(resolve => setTimeout(resolve, 30))
  }
}

export const readOnly = async page => await page.locator('.cm-content').count() === 0 ||
  await page.locator('.cm-content').getAttribute('aria-readonly') === 'true'

export async function fitsIts (page, side) {
  const { needed, there } = await page.evaluate(() => ({
    needed: Math.max(...['html', 'body', 'header', '.cm-scroller'].map(part => document.querySelector(part).scrollWidth)),
    there: innerWidth
  }))
  assert.ok(needed <= there, `a ${side} of ${needed} pixels is needed where ${there} are there`)
}

export async function picture (page, name) {
  if (screenshots) await page.screenshot({ path: join(screenshots, `page-${name}.png`) })
}

/** y-protocols' refusal: message type 2, permission denied 0, and the reason as a varString. */
export function denial (reason) {
  const bytes = Buffer.from(reason)
  assert.ok(bytes.length < 128, 'the length fits in one byte')
  return Buffer.concat([Buffer.from([2, 0, bytes.length]), bytes])
}

/** Stands between page and server as one that lets nobody write: updates are answered with a refusal. */
export const withoutWriting = reason => socket => {
  const upstream = socket.connectToServer()
  socket.onMessage(message => {
    const [type, kind] = Buffer.from(message)
    if (type === 0 && kind === 2) socket.send(denial(reason))
    else if (type !== 0 || kind === 0) upstream.send(message)
  })
}

/** A way to the server that can be cut and mended, and may block some requests: a port of its own that passes bytes on. */
export async function cuttableLine (t) {
  const { hostname, port, protocol } = new URL(server)
  assert.equal(protocol, 'http:', 'the line is cut below HTTP, and does not speak TLS')
  const open = new Set()
  let blocked = /^$/
  const line = net.createServer(near => {
    const far = net.connect(Number(port || 80), hostname)
    near.on('data', bytes => { if (blocked.test(bytes.toString('latin1'))) near.destroy() })
    for (const [end, other] of [[near, far], [far, near]]) {
      open.add(end)
      end.on('error', () => other.destroy()).on('close', () => { open.delete(end); other.destroy() }).pipe(other)
    }
  })
  const listen = port => new Promise(resolve => line.listen(port, '127.0.0.1', resolve))
  const cut = () => new Promise(resolve => {
    line.close(resolve)
    for (const end of open) end.destroy()
  })
  await listen(0)
  t.after(() => line.listening && cut())
  const own = line.address().port
  return { url: `http://127.0.0.1:${own}`, cut, mend: () => listen(own), block: pattern => { blocked = pattern } }
}
