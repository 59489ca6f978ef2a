// @y-sweet/react in a document object model, and @y-sweet/client's offline support on IndexedDB: what runs in a browser tab.
import 'fake-indexeddb/auto'
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { DocumentManager } from '@y-sweet/sdk'
import { Window } from 'happy-dom'
import { WebSocket } from 'ws'
import { atEnd } from './ending.mjs'
import { Host, needs } from './host.mjs'
import { Line } from './line.mjs'
import { ask } from './request.mjs'
import { connectionString } from './transport-sweet.mjs'
import { until } from './waiting.mjs'

const lacking = needs('sweet', 'ack')
const host = lacking.skip ? undefined : await Host.up()
after(() => host?.down())

// React and the provider look for these when they are loaded, so they are loaded after them.
const window = new Window({ url: 'https://app.example/' })
for (const name of ['window', 'document', 'navigator', 'HTMLElement', 'HTMLIFrameElement', 'Node', 'Element', 'Event']) {
  Object.defineProperty(globalThis, name, { value: name === 'window' ? window : window[name], configurable: true, writable: true })
}
globalThis.WebSocket = WebSocket
after(() => window.happyDOM.close())
const { createElement, useEffect } = await import('react')
const { createRoot } = await import('react-dom/client')
const { YDocProvider, useArray, useConnectionStatus, useHasLocalChanges, useMap, usePresence, usePresenceSetter, useText, useYDoc, useYjsProvider } = await import('@y-sweet/react')
const { join, TRANSPORTS } = await import('./client.mjs')

describe('@y-sweet/react', { ...lacking }, () => {
  test('two apps edit one document and see each other', async t => {
    const [maya, tomas] = [await app(t, 'app', 'Maya'), await app(t, 'app', 'Tom\u00e1s')]
    for (const one of [maya, tomas]) await one.shows({ status: 'connected' })
    maya.doc.getText('text').insert(0, 'Hello')
    maya.doc.getMap('map').set('title', 'A title')
    tomas.doc.getArray('items').push(['one', 'two'])
    for (const one of [maya, tomas]) await one.shows({ text: 'Hello', title: 'A title', items: 'one,two' })
    await maya.shows({ others: 'Tom\u00e1s' })
    await tomas.shows({ others: 'Maya' })
    tomas.doc.getText('text').insert(5, ' there')
    await maya.shows({ text: 'Hello there' })
    maya.close()
    await tomas.shows({ others: '' })
  })

  test('it shows unsaved changes until the server has stored them', async t => {
    const one = await app(t, 'unsaved', 'Maya')
    await one.shows({ status: 'connected', changes: 'saved' })
    one.doc.getText('text').insert(0, 'x')
    assert.equal(one.provider.hasLocalChanges, true)
    await until(() => !one.provider.hasLocalChanges, 'it is stored') // React may have shown nothing of it, so fast is that
    assert.ok(one.history.includes('unsaved'), 'it has shown unsaved, at the latest before it was connected')
    await one.shows({ changes: 'saved' })
    const { text } = (await ask(host, 'GET', '/doc/unsaved/as-update'))
    assert.match(text, /x/)
  })

  test('it shows that the connection is lost, and catches up when it is back', async t => {
    const line = await Line.to(t, host)
    const one = await app(t, 'lost', 'Maya', line)
    const other = await join(t, host, 'lost', { transport: 'y-sweet' })
    await one.shows({ status: 'connected' })
    line.break()
    await until(() => one.shown('status') !== 'connected', 'it shows that it is not connected')
    one.doc.getText('text').insert(0, 'mine ')
    other.doc.getText('text').insert(0, 'theirs ')
    line.mend()
    await one.shows({ status: 'connected', changes: 'saved' }, 20_000)
    await until(() => one.shown('text') === other.doc.getText('text').toString() && one.shown('text').length === 12, () => `both: ${one.shown('text')}`)
  })

  test('an app and clients of all other kinds are in one room', needs('streams'), async t => {
    const one = await app(t, 'mixed', 'Maya')
    await one.shows({ status: 'connected' })
    for (const transport of Object.keys(TRANSPORTS)) {
      const client = await join(t, host, 'mixed', { transport, state: { name: transport } })
      one.doc.getArray('items').push([transport])
      await until(() => client.doc.getArray('items').toArray().includes(transport), `${transport} gets the edit`)
      await until(() => one.shown('others').includes(transport), `${transport} is shown`)
      client.doc.getText('text').insert(0, `${transport} `)
      await until(() => one.shown('text').startsWith(transport), `the edit by ${transport} is shown`)
    }
  })
})

describe('offline support', { ...lacking }, () => {
  test('what was written without a server is there after the tab was closed, and reaches the server later', async t => {
    const line = await Line.to(t, host)
    const tab = otherTab(t, 'offline')
    await new DocumentManager(connectionString(host)).createDoc('offline')
    const clientToken = await new DocumentManager(connectionString(line)).getClientToken('offline')
    line.break()
    const first = await join(t, line, 'offline', { transport: 'y-sweet', clientToken, offlineSupport: true, wait: false })
    await until(() => first.provider.indexedDBProvider, 'the local store is open')
    for (const [n, word] of ['one ', 'two ', 'three'].entries()) {
      first.doc.getText('text').insert(first.doc.getText('text').length, word)
      await until(() => tab.newest === n, 'it is in the local store')
    }
    first.leave()

    const second = await join(t, line, 'offline', { transport: 'y-sweet', clientToken, offlineSupport: true, connect: false })
    await until(() => second.doc.getText('text').toString() === 'one two three', 'the next tab has them without a server')
    line.mend()
    second.connect()
    await second.untilStored(20_000)
    const other = await join(t, host, 'offline', { transport: 'y-sweet' })
    assert.equal(other.doc.getText('text').toString(), 'one two three')
  })

  test('what others wrote can be read without a server, and edits of both sides merge', async t => {
    const line = await Line.to(t, host)
    const tab = otherTab(t, 'merged')
    const other = await join(t, host, 'merged', { transport: 'y-sweet' })
    other.doc.getText('text').insert(0, 'shared ')
    await other.untilStored()
    const clientToken = await new DocumentManager(connectionString(line)).getClientToken('merged')
    const options = { transport: 'y-sweet', clientToken, offlineSupport: true }
    const first = await join(t, line, 'merged', { ...options, connect: false })
    await until(() => first.provider.indexedDBProvider, 'the local store is open')
    first.connect()
    await until(() => first.doc.getText('text').toString() === 'shared ', 'it is read once')
    await until(() => tab.newest === 0, 'and kept')
    first.leave()
    line.break()

    const second = await join(t, line, 'merged', { ...options, wait: false })
    await until(() => second.doc.getText('text').toString() === 'shared ', 'it is read without a server')
    second.doc.getText('text').insert(7, 'mine ')
    other.doc.getText('text').insert(7, 'theirs ')
    line.mend()
    await second.untilStored(20_000)
    await until(() => tab.newest === 2, 'and all of it is kept')
    await until(() => second.doc.getText('text').length === 19 && second.doc.getText('text').toString() === other.doc.getText('text').toString(), 'both have both')
  })
})

/** What another tab hears of the local store: `newest`, the number of the newest update that is in it. */
function otherTab (t, docId) {
  const tab = { newest: -1 }
  const channel = new BroadcastChannel(`y-sweet-${docId}`)
  channel.onmessage = ({ data }) => { tab.newest = Math.max(tab.newest, data) }
  atEnd(t, () => channel.close())
  return tab
}

/** An application of one component, mounted; closed at the end of test `t`. */
async function app (t, docId, name, server = host) {
  const one = { history: [] }
  function Editor () {
    one.doc = useYDoc()
    one.provider = useYjsProvider()
    const setPresence = usePresenceSetter()
    const status = useConnectionStatus()
    const changes = useHasLocalChanges() ? 'unsaved' : 'saved'
    one.history.push(changes)
    useEffect(() => { setPresence({ name }) }, [setPresence, status])
    const fields = {
      status,
      changes,
      text: useText('text').toString(),
      title: useMap('map').get('title') ?? '',
      items: useArray('items').toArray().join(),
      others: [...usePresence().values()].map(state => state.name).sort().join()
    }
    return Object.entries(fields).map(([key, value]) => createElement('p', { key, className: key }, value))
  }
  const authEndpoint = () => new DocumentManager(connectionString(server)).getOrCreateDocAndToken(docId)
  const container = window.document.createElement('div')
  window.document.body.append(container)
  const root = createRoot(container)
  root.render(createElement(YDocProvider, { docId, authEndpoint, showDebuggerLink: false }, createElement(Editor)))
  one.shown = field => container.querySelector(`.${field}`)?.textContent
  one.shows = async (expected, ms) => {
    for (const [field, value] of Object.entries(expected)) {
      await until(() => one.shown(field) === value, () => `${name} is shown ${value} as ${field}: ${one.shown(field)}`, ms)
    }
  }
  one.close = () => {
    if (one.provider) {
      one.provider.connect = async () => {} // 0.9.1 connects again when its socket closes
      one.provider.attemptToConnect = async () => true
    }
    root.unmount()
    one.provider?.clearHeartbeat()
    one.provider?.clearConnectionTimeout()
    one.provider?.awareness.destroy()
    container.remove()
  }
  atEnd(t, one.close)
  await until(() => one.doc, 'the component is mounted')
  return one
}
