// The page at `/`, in Chromium, against the server at YONDER_URL.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { needs } from './host.mjs'
import {
  by, caretTo, choose, complaints, cuttableLine, denial, fitsIts, inState, isSaved, MAYA, newName, NOTES, open, PHONE,
  picture, readOnly, requests, server, shows, TOMAS, until, withoutWriting, write
} from './page-window.mjs'

const page = needs('page')

test('two windows edit together and converge', page, async t => {
  const document = newName()
  const maya = await open(t, document, { person: MAYA })
  const tomas = await open(t, document, { person: TOMAS })
  await write(maya, 'first\nlast')
  await shows(tomas, 'first\nlast')

  await caretTo(maya, 'first')
  await caretTo(tomas, 'last')
  await Promise.all([
    maya.keyboard.type(' from Maya, who types at the top'),
    tomas.keyboard.type(' from Tomás, who types below')
  ])

  const both = 'first from Maya, who types at the top\nlast from Tomás, who types below'
  await shows(maya, both)
  await shows(tomas, both)
})

test('each sees the cursor of the other with a name, and it goes when the window closes', page, async t => {
  const document = newName()
  const maya = await open(t, document, { person: MAYA })
  const tomas = await open(t, document, { person: TOMAS })
  await write(maya, 'Where are you?')
  await shows(tomas, 'Where are you?')
  await caretTo(tomas, 'Where')

  await maya.locator('.caret-name', { hasText: TOMAS.name }).waitFor()
  await tomas.locator('.caret-name', { hasText: MAYA.name }).waitFor()
  await maya.getByRole('button', { name: TOMAS.name }).waitFor()

  await tomas.context().close()
  await maya.locator('.caret-name').waitFor({ state: 'detached' })
  await maya.getByRole('button', { name: TOMAS.name }).waitFor({ state: 'detached' })
})

test('a name is changed in place, reaches the others, and is remembered on this device', page, async t => {
  const document = newName()
  const maya = await open(t, document)
  const tomas = await open(t, document, { person: TOMAS })
  await write(maya, 'It is me.')
  await maya.locator('#self').click()
  await maya.getByRole('textbox', { name: 'Your name' }).fill('Maya L.')
  await maya.getByRole('radio', { name: 'Violet' }).check()
  await maya.keyboard.press('Escape')
  await tomas.locator('.caret-name', { hasText: /^Maya L\.$/ }).waitFor()

  await maya.reload()
  await inState(maya, 'synced')
  await tomas.getByRole('button', { name: 'Maya L.' }).waitFor()
  await maya.locator('#self').click()
  assert.equal(await maya.getByRole('textbox', { name: 'Your name' }).inputValue(), 'Maya L.')
  assert.ok(await maya.getByRole('radio', { name: 'Violet' }).isChecked())
})

test('a second window opened with the link shows the text', page, async t => {
  const maya = await open(t, newName(), { person: MAYA })
  await write(maya, 'The same in both windows.')
  const [second] = await Promise.all([
    maya.context().waitForEvent('page'),
    maya.getByRole('link', { name: 'New window' }).click()
  ])
  await inState(second, 'synced')
  assert.equal(second.url(), maya.url())
  await shows(second, 'The same in both windows.')
})

test('the link in the clipboard is the address of the document', page, async t => {
  const maya = await open(t, newName(), { person: MAYA, permissions: ['clipboard-read', 'clipboard-write'] })
  await maya.getByRole('button', { name: 'Copy link' }).click()
  await maya.getByRole('button', { name: 'Copied' }).waitFor()
  assert.equal(await maya.evaluate(() => navigator.clipboard.readText()), maya.url())
})

test('a lost connection is shown, and what was typed meanwhile is merged when it is back', page, async t => {
  const document = newName()
  const line = await cuttableLine(t)
  const maya = await open(t, document, { person: MAYA, base: line.url, mayLoseConnection: true })
  const tomas = await open(t, document, { person: TOMAS })
  await write(maya, 'shore\nsea')
  await shows(tomas, 'shore\nsea')

  await line.cut()
  await inState(maya, 'offline')
  await maya.getByRole('status').getByText(/offline/i).waitFor()
  await tomas.getByRole('button', { name: MAYA.name }).waitFor({ state: 'detached' })
  await caretTo(maya, 'shore')
  await maya.keyboard.type(' typed offline')
  await maya.getByRole('alert').getByText(/stays in this window/).waitFor()
  await caretTo(tomas, 'sea')
  await tomas.keyboard.type(' typed online')
  await shows(maya, 'shore typed offline\nsea')
  await shows(tomas, 'shore\nsea typed online')
  await picture(maya, 'offline')

  await line.mend()
  await inState(maya, 'synced')
  await shows(maya, 'shore typed offline\nsea typed online')
  await shows(tomas, 'shore typed offline\nsea typed online')
  await maya.getByRole('status').getByText('Synced').waitFor()
  await maya.getByRole('alert').waitFor({ state: 'hidden' })
})

test('the way to the server can be chosen, and the text goes through each', page, async t => {
  const document = newName()
  const maya = await open(t, document, { person: MAYA })
  const tomas = await open(t, document, { person: TOMAS })
  await by(maya, 'websocket')
  await tomas.getByRole('button', { name: MAYA.name }).waitFor()
  const gone = tomas.getByRole('button', { name: MAYA.name }).waitFor({ state: 'detached' }).then(() => true, () => false)
  let text = ''
  for (const [label, transport] of [['Event stream', 'sse'], ['Long-poll', 'long-poll'], ['WebSocket', 'websocket'], ['Long-poll', 'long-poll']]) {
    await choose(maya, label)
    await by(maya, transport)
    await maya.getByRole('button', { name: `How this window is connected: ${label}` }).waitFor()
    await inState(maya, 'synced')
    await write(maya, `${transport} `)
    text += `${transport} `
    await shows(tomas, text)
    await write(tomas, 'yes ')
    text += 'yes '
    await shows(maya, text)
    await isSaved(maya)
  }
  await picture(maya, 'transport')
  assert.equal(await Promise.race([gone, false]), false, 'she was never gone')

  await maya.reload()
  await by(maya, 'long-poll')
  await shows(maya, text)
  await choose(maya, 'Automatic')
  await by(maya, 'websocket')
})

test('where WebSockets are blocked the text comes by an event stream, and by a WebSocket once they are not', page, async t => {
  const document = newName()
  const line = await cuttableLine(t)
  line.block(/^GET \/ws\//)
  const maya = await open(t, document, { person: MAYA, base: line.url, mayLoseConnection: true })
  const tomas = await open(t, document, { person: TOMAS })
  await by(maya, 'sse')
  await write(maya, 'by an event stream')
  await shows(tomas, 'by an event stream')
  await isSaved(maya)
  await maya.getByRole('button', { name: TOMAS.name }).waitFor()

  await maya.reload()
  await by(maya, 'sse')
  line.block(/^$/)
  await maya.evaluate(() => globalThis.dispatchEvent(new Event('online')))
  await by(maya, 'websocket')
  await write(maya, ', by a WebSocket')
  await shows(tomas, 'by an event stream, by a WebSocket')
  await isSaved(maya)
})

test('where nothing comes by WebSockets and event streams are held back, long-poll is used', page, async t => {
  const document = newName()
  const maya = await open(t, document, {
    person: MAYA,
    socket: () => {}, // It opens, and stays silent.
    requests: [/live=sse/, () => {}]
  })
  const tomas = await open(t, document, { person: TOMAS })
  await by(maya, 'long-poll')
  await write(maya, 'all the same')
  await shows(tomas, 'all the same')
  await isSaved(maya)
})

test('a window that is put aside is gone for the others, and is back with what was written last', page, async t => {
  const document = newName()
  const maya = await open(t, document, { person: MAYA })
  const tomas = await open(t, document, { person: TOMAS })
  const aside = type => maya.evaluate(type => globalThis.dispatchEvent(new PageTransitionEvent(type, { persisted: true })), type)
  for (const [label, transport] of [['WebSocket', 'websocket'], ['Event stream', 'sse']]) {
    await choose(maya, label)
    await by(maya, transport)
    await tomas.getByRole('button', { name: MAYA.name }).waitFor()
    await write(maya, transport)
    await aside('pagehide')
    await tomas.getByRole('button', { name: MAYA.name }).waitFor({ state: 'detached' })
    await tomas.locator('.cm-line', { hasText: transport }).waitFor()
    await aside('pageshow')
    await by(maya, transport)
    await isSaved(maya)
    await tomas.getByRole('button', { name: MAYA.name }).waitFor()
  }
})

test('an edit that the server has not stored yet is not called saved', page, async t => {
  const held = []
  const maya = await open(t, newName(), {
    person: MAYA,
    requests: [url => url.pathname.startsWith('/v1/yjs/') && url.search === '', route => {
      if (route.request().method() === 'POST') held.push(route)
      else route.continue()
    }]
  })
  await choose(maya, 'Long-poll')
  await by(maya, 'long-poll')
  await write(maya, 'on its way')
  await maya.locator('html[data-saved="false"]').waitFor({ state: 'attached' })
  await maya.getByRole('status').getByText('Synced, saving…').waitFor()
  await until(() => held.length === 1, 'one request')
  await held[0].continue()
  await maya.getByRole('status').getByText('Synced and saved').waitFor()
})

test('a change of the hash switches documents and leaves the old one', page, async t => {
  const [here, there] = [newName(), newName()]
  const sockets = []
  const maya = await open(t, here, { person: MAYA, onSocket: socket => sockets.push(socket) })
  const tomas = await open(t, here, { person: TOMAS })
  await write(maya, 'left behind')
  await tomas.getByRole('button', { name: MAYA.name }).waitFor()

  await maya.evaluate(hash => { location.hash = hash }, there)
  await maya.waitForFunction(name => globalThis.document.title.startsWith(name), there)
  await inState(maya, 'synced')
  await shows(maya, '')
  await tomas.getByRole('button', { name: MAYA.name }).waitFor({ state: 'detached' })
  await until(() => sockets.filter(socket => !socket.isClosed()).length === 1, 'only the new document has a connection')
  await write(maya, 'elsewhere')

  await maya.goBack()
  await inState(maya, 'synced')
  await shows(maya, 'left behind')
  await shows(tomas, 'left behind')
})

test('the name in the header opens another document, slashes and spaces included', page, async t => {
  const maya = await open(t, newName(), { person: MAYA })
  const name = `${newName()}/daily notes/ä`
  const field = maya.getByRole('textbox', { name: 'Document’s name' })
  const button = maya.getByRole('button', { name: 'Open', exact: true })
  await field.fill('something else')
  await button.waitFor()
  await field.press('Escape')
  await button.waitFor({ state: 'hidden' })
  await field.fill(name)
  await field.press('Enter')
  await maya.getByRole('textbox', { name: `Text of ${name}` }).waitFor()
  await inState(maya, 'synced')
  await button.waitFor({ state: 'hidden' })
  await write(maya, 'kept under its name')

  const tomas = await open(t, new URL(maya.url()).hash.slice(1), { person: TOMAS })
  assert.equal(await tomas.getByRole('textbox', { name: 'Document’s name' }).inputValue(), name)
  await shows(tomas, 'kept under its name')
})

test('without a name in the address a friendly one is chosen', page, async t => {
  const maya = await open(t, '', { person: MAYA })
  assert.match(new URL(maya.url()).hash, /^#[a-z]+-[a-z]+-\d+$/)
  await maya.getByText('Start writing.').waitFor()
})

test('undo takes back what I wrote and leaves what others wrote', page, async t => {
  const document = newName()
  const maya = await open(t, document, { person: MAYA })
  const tomas = await open(t, document, { person: TOMAS })
  await write(tomas, 'by Tomás\n')
  await shows(maya, 'by Tomás\n')
  await maya.locator('.cm-content').press('Control+End')
  await maya.keyboard.type('by Maya')
  await shows(tomas, 'by Tomás\nby Maya')
  await maya.keyboard.press('Control+z')
  await shows(maya, 'by Tomás\n')
  await shows(tomas, 'by Tomás\n')
})

test('a refusal by close code is shown with its reason and not retried', page, async t => {
  let asked = 0
  const maya = await open(t, newName(), {
    person: MAYA,
    state: 'refused',
    socket: socket => {
      asked += 1
      socket.close({ code: 4403, reason: 'The token is for another document.' })
    }
  })
  await maya.getByRole('alert').getByText('The token is for another document.').waitFor()
  await maya.getByRole('status').getByText('Refused').waitFor()
  assert.equal(await readOnly(maya), true)
  assert.equal(asked, 1)
  await picture(maya, 'refused')
  await maya.getByRole('button', { name: 'Try again' }).click()
  await until(() => asked === 2, 'the button asks the server again')
})

test('a refusal by an auth message is shown with its reason', page, async t => {
  const maya = await open(t, `${newName()}?token=too%20old`, {
    person: MAYA,
    state: 'refused',
    socket: socket => {
      assert.equal(new URL(socket.url()).searchParams.get('token'), 'too old')
      socket.send(denial('The token has expired.'))
      socket.close()
    }
  })
  await maya.getByRole('alert').getByText('The token has expired.').waitFor()
  assert.equal(await readOnly(maya), true)
})

test('a token that expires stops the writing and leaves the text on the screen', page, async t => {
  let line
  const maya = await open(t, newName(), {
    person: MAYA,
    socket: socket => {
      line = socket
      socket.connectToServer()
    }
  })
  await write(maya, 'long saved')
  line.send(denial('The token has expired.'))
  line.close({ code: 4401, reason: 'The token has expired.' })
  await inState(maya, 'refused')
  await maya.getByRole('alert').getByText('The token has expired.').waitFor()
  assert.equal(await readOnly(maya), true)
  await maya.locator('.cm-content').press('x')
  await shows(maya, 'long saved')
})

test('a document that may only be read says so, and gives back words that were not taken', page, async t => {
  const document = newName()
  const tomas = await open(t, document, { person: TOMAS })
  await write(tomas, 'Read me.')
  const maya = await open(t, document, {
    person: MAYA,
    permissions: ['clipboard-read', 'clipboard-write'],
    socket: withoutWriting('Your token only lets you read.')
  })
  await shows(maya, 'Read me.')
  await maya.locator('.cm-content').press('Control+End')
  await maya.keyboard.type('!')
  await maya.getByRole('status').getByText('Read-only').waitFor()
  await maya.getByRole('alert').getByText('Your token only lets you read.').waitFor()
  await shows(maya, 'Read me.')
  await inState(maya, 'synced')
  assert.equal(await readOnly(maya), true)
  await picture(maya, 'read-only')
  await maya.getByRole('button', { name: 'Copy what I wrote' }).click()
  const copied = () => maya.evaluate(() => navigator.clipboard.readText())
  await until(async () => await copied() === 'Read me.!', 'the words are in the clipboard')
})

test('the page can be used on a phone', page, async t => {
  const document = newName('a-rather-long-name-for-a-document')
  const maya = await open(t, document, { person: MAYA })
  await write(maya, NOTES)
  const tomas = await open(t, document, { person: TOMAS, ...PHONE })
  await shows(tomas, NOTES)
  await tomas.locator('.caret-name', { hasText: MAYA.name }).waitFor()
  await fitsIts(tomas, 'width')
  for (const name of ['Copy link', 'Your name and colour', MAYA.name]) {
    const box = await tomas.getByRole('button', { name }).boundingBox()
    assert.ok(box && box.x >= 0 && box.x + box.width <= 390, `${name} is on the screen`)
  }
  await picture(tomas, 'phone')

  await tomas.locator('.cm-line').first().tap()
  await tomas.keyboard.type('Tapped. ')
  await maya.locator('.cm-line', { hasText: 'Tapped. ' }).waitFor()
  await tomas.locator('#self').tap()
  await tomas.getByRole('textbox', { name: 'Your name' }).waitFor()
  await fitsIts(tomas, 'width')
})

for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
  test(`the page is ${colorScheme} where the system is`, page, async t => {
    const document = newName()
    const maya = await open(t, document, { person: MAYA, colorScheme })
    const tomas = await open(t, document, { person: TOMAS, colorScheme })
    await write(maya, NOTES)
    await shows(tomas, NOTES)
    await caretTo(tomas, 'Binoculars')
    await maya.locator('.caret-name').waitFor()
    const [paper, ink] = await maya.evaluate(() => {
      const brightness = color => color.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3
      const content = document.querySelector('.cm-content')
      return [getComputedStyle(document.body).backgroundColor, getComputedStyle(content).color].map(brightness)
    })
    assert.ok(colorScheme === 'light' ? paper > 230 && ink < 70 : paper < 40 && ink > 190, `paper ${paper}, ink ${ink}`)
    await picture(maya, colorScheme)
  })
}

test('no request leaves the host', page, () => {
  const hosts = new Set(requests.map(({ url, home }) => `${new URL(url).host} from ${home}`))
  assert.deepEqual([...hosts].filter(pair => pair.split(' from ')[0] !== pair.split(' from ')[1]), [])
  for (const path of ['/', '/assets/app.js', '/assets/app.css']) {
    assert.ok(requests.some(({ url }) => new URL(url).pathname === path), `${path} was asked for`)
  }
  assert.ok(requests.some(({ url }) => new URL(url).pathname.startsWith('/ws/')), 'a WebSocket was opened')
})

test('nothing is complained about on the console', page, () => assert.deepEqual(complaints, []))
