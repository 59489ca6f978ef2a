// Documents: what one real client writes, every other one gets, in whatever order they come, go and edit.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import * as prng from 'lib0/prng'
import * as Y from 'yjs'
import { converge, join, same, taken, TRANSPORTS, transports } from './client.mjs'
import { Host, needs, SHORT_DEADLINES } from './host.mjs'
import { dial, isStep1, isStep2 } from './raw.mjs'
import { until } from './waiting.mjs'

const seed = Number(process.env.SEED ?? 20_240_601)
const host = await Host.up({ options: SHORT_DEADLINES })
after(() => host.down())

for (const transport of transports()) {
  const { acknowledges, keepsEdits, needs: names } = TRANSPORTS[transport]
  describe(`sync by ${transport}`, { concurrency: 4, ...needs(...names) }, () => {
    /** Each transport has documents of its own. */
    const enter = (t, doc, options) => join(t, host, nameOf(transport, doc), { transport, ...options })
    const pair = (t, doc) => Promise.all([enter(t, doc), enter(t, doc)])

    test('an empty document gives synced', async t => {
      const client = await enter(t, 'empty')
      assert.equal(client.doc.store.clients.size, 0)
      const again = await enter(t, 'empty')
      assert.equal(again.doc.store.clients.size, 0)
    })

    test('two clients converge on text, formatting, map, array, XML and nested types', async t => {
      const [a, b] = await pair(t, 'types')
      const text = a.doc.getText('text')
      text.insert(0, 'Hello, wörld 🚀')
      text.format(0, 5, { bold: true })
      text.insertEmbed(5, { image: 'x.png' })
      b.doc.getText('text').insert(0, 'b: ')
      a.doc.getMap('map').set('any', { deep: [1, -2.5, null, true, 'x', { y: [] }], big: 2 ** 52, bytes: 1 })
      a.doc.getMap('map').set('bytes', Uint8Array.of(0, 1, 255))
      b.doc.getMap('map').set('gone', 1)
      b.doc.getMap('map').delete('gone')
      a.doc.getArray('array').push([1, 2, 3, 4])
      b.doc.getArray('array').insert(0, ['zero'])
      const element = new Y.XmlElement('p')
      element.setAttribute('class', 'lead')
      element.insert(0, [new Y.XmlText('inside'), new Y.XmlElement('br')])
      a.doc.getXmlFragment('xml').insert(0, [element])
      const nested = new Y.Map()
      a.doc.getMap('nested').set('child', nested)
      nested.set('list', new Y.Array())
      nested.get('list').push([new Y.Text('leaf')])
      await converge([a, b])
      a.doc.getArray('array').delete(1, 2)
      b.doc.getMap('nested').get('child').get('list').get(0).insert(4, '!')
      await converge([a, b])

      const c = await enter(t, 'types')
      await converge([a, b, c])
      for (const { doc } of [a, b, c]) {
        assert.equal(doc.getText('text').toString().replace('b: ', ''), 'Hello, wörld 🚀')
        assert.deepEqual(doc.getMap('map').get('any'), { deep: [1, -2.5, null, true, 'x', { y: [] }], big: 2 ** 52, bytes: 1 })
        assert.deepEqual([...doc.getMap('map').get('bytes')], [0, 1, 255])
        assert.equal(doc.getMap('map').has('gone'), false)
        assert.equal(doc.getArray('array').length, 3)
        assert.equal(doc.getXmlFragment('xml').toString(), '<p class="lead">inside<br></br></p>')
        assert.equal(doc.getMap('nested').get('child').get('list').get(0).toString(), 'leaf!')
        assert.deepEqual(doc.getText('text').toDelta(), a.doc.getText('text').toDelta())
      }
    })

    test('an update of 1 MB arrives whole, live and for a late joiner', needs('large-frames'), async t => {
      const [a, b] = await pair(t, 'large')
      const random = prng.create(1)
      const words = Array.from({ length: 100_000 }, () => prng.word(random, 10, 10)).join('')
      a.doc.getText('text').insert(0, words)
      await converge([a, b], 30_000)
      assert.equal(b.doc.getText('text').toString(), words)
      const late = await enter(t, 'large')
      assert.equal(late.doc.getText('text').toString(), words)
    })

    test('a late joiner has everything when synced, also after everybody left', async t => {
      const a = await enter(t, 'late')
      for (let i = 0; i < 200; i++) a.doc.getArray('array').push([i])
      if (acknowledges) {
        await a.untilStored()
      } else { // else nothing says that its last frames are there before the next socket opens
        const witness = await enter(t, 'late')
        await converge([a, witness])
        await witness.leave()
      }
      const b = await enter(t, 'late')
      assert.deepEqual(b.doc.getArray('array').toJSON(), Array.from({ length: 200 }, (_, i) => i))
      b.doc.getArray('array').delete(0, 100)
      await converge([a, b])
      a.leave()
      b.leave()
      const c = await enter(t, 'late')
      assert.deepEqual(c.doc.getArray('array').toJSON(), Array.from({ length: 100 }, (_, i) => 100 + i))
    })

    if (keepsEdits) {
      test('edits made offline on both sides merge when both are back', async t => {
        const [a, b] = await pair(t, 'offline')
        a.doc.getText('text').insert(0, 'base ')
        await converge([a, b])
        a.offline()
        b.offline()
        a.doc.getText('text').insert(5, 'from a ')
        b.doc.getText('text').insert(5, 'from b ')
        b.doc.getText('text').delete(0, 5)
        assert.equal(same([a, b]), false)
        a.online()
        b.online()
        await converge([a, b])
        const text = a.doc.getText('text').toString()
        assert.ok(['from a from b ', 'from b from a '].includes(text), text)
      })

      test('a deletion made offline reaches the others although it leaves the state vector unchanged', async t => {
        const [a, b] = await pair(t, 'deletion')
        a.doc.getText('text').insert(0, 'keep drop')
        await converge([a, b])
        b.offline()
        b.doc.getText('text').delete(4, 5)
        b.online()
        await until(() => a.doc.getText('text').toString() === 'keep', () => `the deletion arrives: ${a.doc.getText('text')}`)
        assert.equal((await enter(t, 'deletion')).doc.getText('text').toString(), 'keep')
      })
    }

    test('documents side by side do not leak into each other', async t => {
      const names = Array.from({ length: 25 }, (_, i) => `side/${i}`)
      const pairs = await Promise.all(names.map(name => pair(t, name)))
      for (let round = 0; round < 10; round++) {
        pairs.forEach(([a, b], i) => (round % 2 ? a : b).doc.getArray('array').push([`${i}:${round}`]))
      }
      for (const clients of pairs) await converge(clients)
      pairs.forEach(([a, b], i) => {
        const expected = Array.from({ length: 10 }, (_, round) => `${i}:${round}`)
        assert.deepEqual(a.doc.getArray('array').toJSON().sort(), expected)
        assert.equal(a.doc.share.size, 1)
        assert.ok(b.doc.store.clients.size <= 2)
      })
    })

    const seed = Number(process.env.SEED ?? 20_240_601)

    test('eight clients that edit at random, coming and going, converge', async t => {
      const random = prng.create(seed)
      const clients = await Promise.all(Array.from({ length: 8 }, (_, i) => enter(t, 'random', { ydoc: withId(1 + i) })))
      for (let step = 0; step < 600; step++) {
        const client = prng.oneOf(random, clients)
        edit(random, client.doc)
        if (keepsEdits && prng.int32(random, 0, 99) === 0) client.cut()
        if (step % 20 === 0) await new Promise(resolve => setImmediate(resolve))
      }
      await agree(clients, await enter(t, 'random'))
    })
  })
}

describe('sync by all at once', { concurrency: 2, ...needs('streams', 'sweet') }, () => {
  test(`twenty clients of all kinds that edit at random, coming and going, converge (SEED=${seed})`, async t => {
    const random = prng.create(seed)
    const clients = await Promise.all(Array.from({ length: 20 }, (_, i) =>
      join(t, host, 'random-all', { transport: taken()[i % taken().length], ydoc: withId(1 + i) })))
    for (let step = 0; step < 1500; step++) {
      const client = prng.oneOf(random, clients)
      edit(random, client.doc)
      if (TRANSPORTS[client.transport].keepsEdits && prng.int32(random, 0, 99) === 0) client.cut()
      if (step % 50 === 0) await new Promise(resolve => setImmediate(resolve))
    }
    await agree(clients, await join(t, host, 'random-all'))
  })
})

describe('sync on the socket', { concurrency: 4 }, () => {
  test('the server asks for our state at once and answers every step 1, one message a frame', async t => {
    const raw = await dial(t, host, '/ws/steps')
    await raw.got(isStep1, 'the server opens with step 1')
    raw.step2() // what a client without content answers
    for (const expected of [1, 2, 3]) {
      raw.step1()
      await until(() => raw.count(isStep2) === expected, `step 1 number ${expected} is answered with step 2`)
    }
    assert.deepEqual(raw.faults, [])
  })

  test('an update that waits for a missing one is kept, and shows once that one comes', async t => {
    const source = new Y.Doc()
    const updates = []
    source.on('update', update => updates.push(update))
    for (const word of ['one ', 'two ', 'three']) source.getText('text').insert(source.getText('text').length, word)
    const raw = await dial(t, host, '/ws/pending')
    raw.update(updates[2])
    raw.update(updates[1])
    await raw.roundTrip()
    const early = await join(t, host, 'pending')
    assert.equal(early.doc.getText('text').toString(), '')
    raw.update(updates[0])
    await until(() => early.doc.getText('text').toString() === 'one two three', 'all three show')
    assert.equal((await join(t, host, 'pending')).doc.getText('text').toString(), 'one two three')
  })

  test('a client id above 32 bits is neither truncated nor lost', async t => {
    const doc = new Y.Doc()
    doc.clientID = 2 ** 52 + 12345
    doc.getText('text').insert(0, 'wide')
    const raw = await dial(t, host, '/ws/wide-id')
    raw.update(Y.encodeStateAsUpdate(doc))
    await raw.roundTrip()
    const client = await join(t, host, 'wide-id')
    assert.equal(client.doc.getText('text').toString(), 'wide')
    assert.deepEqual([...client.doc.store.clients.keys()], [2 ** 52 + 12345])
  })

  test('names with slashes, spaces, percent signs and any script are documents of their own', async t => {
    const names = ['plain', 'plain/sub', 'plain/sub/sub', 'with space', '100%', '100%25', 'a+b', 'a b', 'Ünï/cödé', '文档/🚀',
      'q?x=1', 'hash#tag', "quote'\"<>", 'UPPER', 'upper', '.hidden', 'dots...', 'a&b=c', 'back\\slash', 'trailing.', '~']
    const writers = await Promise.all(names.map(name => join(t, host, name)))
    writers.forEach(({ doc }, i) => doc.getMap('map').set('name', names[i]))
    const readers = await Promise.all(names.map(name => join(t, host, name)))
    for (const [i, reader] of readers.entries()) {
      await until(() => reader.doc.getMap('map').get('name') === names[i], () => `${names[i]} holds ${reader.doc.getMap('map').get('name')}`)
      assert.equal(reader.doc.store.clients.size, 1, names[i])
    }
  })

  test('a name is the same document whether its letters are percent-encoded or not', async t => {
    const plain = await join(t, host, 'same/name')
    plain.doc.getMap('map').set('k', 'v')
    await converge([plain, await join(t, host, 'same/name')])
    const raw = await dial(t, host, '/ws/%73ame/n%61me')
    const copy = new Y.Doc()
    Y.applyUpdate(copy, await raw.roundTrip())
    assert.equal(copy.getMap('map').get('k'), 'v')
  })
})

/** The same document for all, a newcomer included, also as applications see it. */
async function agree (clients, late) {
  await converge(clients, 60_000)
  await converge([clients[0], late])
  const expected = content(clients[0].doc)
  for (const { doc } of [...clients, late]) assert.ok(isDeepStrictEqual(content(doc), expected), `client ${doc.clientID} differs`)
}

/** A name that every transport can open. */
function nameOf (transport, doc) {
  return `${transport.replaceAll(' ', '-')}_${doc}`.replaceAll('/', '_')
}

/** The order of concurrent insertions depends on the client ids, so with a seed they are given. */
function withId (id) {
  const doc = new Y.Doc()
  doc.clientID = id
  return doc
}

function content (doc) {
  return [doc.getText('text').toDelta(), doc.getArray('array').toJSON(), doc.getMap('map').toJSON()]
}

function edit (random, doc) {
  const text = doc.getText('text')
  const array = doc.getArray('array')
  const map = doc.getMap('map')
  const at = length => prng.int32(random, 0, length)
  const part = length => Math.min(length, prng.int32(random, 1, 3))
  switch (prng.int32(random, 0, 6)) {
    case 0: case 1: return text.insert(at(text.length), prng.word(random, 1, 8))
    case 2: return text.length > 5 && text.delete(at(text.length - 4), part(4))
    case 3: return array.insert(at(array.length), [prng.int32(random, 0, 1000), prng.word(random)])
    case 4: return array.length > 5 && array.delete(at(array.length - 4), part(4))
    case 5: return map.set(prng.oneOf(random, ['a', 'b', 'c']), prng.oneOf(random, [1, 'x', null, new Y.Text('t')]))
    case 6: return text.length > 5 && text.format(at(text.length - 4), part(4), { bold: prng.bool(random) || null })
  }
}
