// Makes updates and the JSON that the core must show for them, always the same: `node make-json-corpus.mjs` writes
// ../corpus/json, for each document NAME.bin (one update) and NAME.json (what `Y.Doc.toJSON()` of yjs gives).
//
// What differs from `JSON.stringify(doc.toJSON())` is written down here: an update does not tell of which type a root
// is, so a root that holds nothing is left out; and JSON has no bytes, no BigInt and no subdocuments.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import * as encoding from 'lib0/encoding'
import * as prng from 'lib0/prng'
import * as Y from 'yjs'

export const FOLDER = fileURLToPath(new URL('../corpus/json/', import.meta.url))
const HISTORIES = 8

/** All documents: name, update, and the value expected. */
function * documents () {
  yield ['empty', Y.encodeStateAsUpdate(new Y.Doc()), {}]
  yield * texts()
  yield * maps()
  yield * arrays()
  yield * xml()
  yield * states()
  for (let seed = 1; seed <= HISTORIES; seed++) yield history(seed)
}

function * texts () {
  yield made('text', doc => doc.getText('text').insert(0, 'Grüße, "Welt" \\ 🚀\n\t\u0001\u007f\u2028'))
  yield made('text-with-formats-and-embeds', doc => {
    const text = doc.getText('text')
    text.insert(0, 'bold and plain')
    text.format(0, 4, { bold: true })
    text.insertEmbed(4, { image: 'x.png' })
    text.delete(8, 3)
  })
  yield made('text-with-attributes', doc => {
    doc.getText('text').insert(0, 'the attributes are not shown')
    doc.getText('text').setAttribute('lang', 'en')
  })
  yield made('text-with-types-inside', doc => {
    doc.getText('text').insert(0, 'one two')
    doc.getText('text').insertEmbed(3, new Y.Map([['a', 1]]))
  })
  yield made('text-of-types-alone-looks-like-an-array', doc => {
    doc.getText('text').insertEmbed(0, new Y.Map([['a', 1]]))
  }, { text: [{ a: 1 }] })
  yield made('text-with-split-characters', doc => {
    const text = doc.getText('text')
    text.insert(0, '😀😀😀')
    text.insert(1, 'x')
    text.delete(4, 1)
  })
  yield made('text-emptied', doc => {
    doc.getText('text').insert(0, 'gone')
    doc.getText('text').delete(0, 4)
  }, {})
}

function * maps () {
  yield made('map-of-all-values', doc => {
    const map = doc.getMap('map')
    values().forEach((value, index) => map.set(`value ${String(index).padStart(2, '0')}`, value))
    map.set('object', { z: undefined, b: [undefined, null], a: { 'ä': 1n, Z: Uint8Array.of(255), '"': NaN } })
    map.set('undefined', undefined)
  })
  yield made('map-of-types', doc => {
    const map = doc.getMap('map')
    map.set('map', new Y.Map([['array', Y.Array.from([new Y.Text('text'), new Y.Map()])]]))
    map.set('element', new Y.XmlElement('P'))
    map.set('fragment', new Y.XmlFragment())
    map.get('fragment').push([new Y.XmlText('text'), new Y.XmlElement('hr')])
    map.set('gone', new Y.Text('gone'))
    map.delete('gone')
  })
  yield made('map-overwritten-by-several', doc => {
    const [one, other] = [client(1), client(2)]
    doc.getMap('map')
    for (const [each, name] of [[one, 'one'], [other, 'other']]) {
      for (const key of ['a', 'b']) for (let n = 0; n < 3; n++) each.getMap('map').set(key, `${name} ${n}`)
    }
    one.getMap('map').delete('b')
    for (const each of [one, other]) Y.applyUpdate(doc, Y.encodeStateAsUpdate(each))
  })
  yield made('map-emptied', doc => {
    doc.getMap('map').set('a', 1)
    doc.getMap('map').delete('a')
  }, {})
}

function * arrays () {
  yield made('array-of-all-values', doc => doc.getArray('array').push([...values(), [undefined, [1n]]]))
  yield made('array-of-types', doc => {
    doc.getArray('array').push([1, Y.Array.from([[]]), new Y.Text('text'), new Y.Map([['a', null]]), 'x'])
    doc.getArray('array').delete(0, 1)
  })
  yield made('array-nested-100-levels-deep', doc => {
    for (let level = 0, array = doc.getArray('array'); level < 100; level++) {
      array.insert(0, [new Y.Array(), level])
      array = array.get(0)
    }
  })
  yield made('array-and-entries', doc => {
    doc.getArray('both').push(['x', 1])
    Y.applyUpdate(doc, entry('both', 'key', '\x77\x05value'))
  }, { both: { '': ['x', 1], key: 'value' } })
}

function * xml () {
  yield made('xml', doc => {
    const fragment = doc.getXmlFragment('xml')
    fragment.push([new Y.XmlElement('Paragraph'), new Y.XmlText('<not escaped> & "so"')])
    fragment.get(0).push([new Y.XmlText('inner'), new Y.XmlElement('br')])
    fragment.get(0).setAttribute('z', 'last')
    fragment.get(0).setAttribute('a', 'first')
    fragment.get(0).setAttribute('gone', 'x')
    fragment.get(0).removeAttribute('gone')
  })
  yield made('xml-with-attributes-of-all-values', doc => {
    const element = new Y.XmlElement('e')
    doc.getXmlFragment('xml').push([element])
    values().forEach((value, index) => element.setAttribute(`v${String(index).padStart(2, '0')}`, value))
    element.setAttribute('list', [1, null, [undefined, 'x'], {}, true])
    element.setAttribute('type', new Y.Text('text'))
  })
  yield made('xml-text-with-formats', doc => {
    const text = new Y.XmlText()
    doc.getXmlFragment('xml').push([text])
    text.insert(0, 'plain bold link')
    text.format(6, 4, { b: true, i: {} })
    text.format(11, 4, { a: { target: '_blank', href: 'x', n: 1.5 }, list: ['x', 'y'], string: 'ab' })
    text.insertEmbed(5, { image: 'x' }, { b: true })
    text.insertEmbed(0, new Y.XmlElement('inside'))
  })
  yield made('xml-element-as-a-root', doc => {
    doc.get('element', Y.XmlElement).setAttribute('id', 'x')
    doc.get('element', Y.XmlElement).push([new Y.XmlText('text')])
  })
  yield made('xml-text-as-a-root', doc => {
    // As in Lexical: texts in a text.
    const root = doc.get('root', Y.XmlText)
    root.insert(0, 'some ')
    root.insertEmbed(5, new Y.XmlText('inner'))
    root.format(0, 4, { b: {} })
  })
}

function * states () {
  const names = ['b', 'ä', 'a"', 'B', '__proto__', '😀', '\uffee']
  yield made('roots-in-the-order-of-their-names', doc => {
    for (const name of names) doc.getText(name).insert(0, name)
  }, Object.fromEntries(names.map(name => [name, name])))
  yield made('subdocuments', doc => {
    doc.getMap('map').set('doc', new Y.Doc({ guid: 'first', meta: { x: 1 } }))
    doc.getArray('array').push([new Y.Doc({ guid: 'second "quoted"' })])
  })
  yield made('garbage-collected', doc => {
    doc.getArray('array').push(['kept', new Y.Map([['gone', new Y.Text('gone')]]), 'kept too'])
    doc.getArray('array').delete(1, 1)
    doc.getArray('array').insert(1, ['new'])
  })
  const steps = client(1)
  const updates = []
  steps.on('update', update => updates.push(update))
  for (const letter of 'abcd') steps.getText('text').insert(steps.getText('text').length, letter)
  yield ['missing-updates', Y.mergeUpdates([updates[0], updates[1], updates[3]]), { text: 'ab' }]
  yield ['missing-everything', updates[2], {}]
  // What very old versions of yjs wrote: ContentJSON.
  const json = ['{"b":1,"a":"x"}', 'undefined', '[1.50,2e3]', '"text"']
  yield ['values-as-json', one(client => {
    encoding.writeUint8(client, 2)
    root(client, 'array')
    encoding.writeVarUint(client, json.length)
    for (const value of json) encoding.writeVarString(client, value)
  }), { array: [{ a: 'x', b: 1 }, undefined, [1.5, 2000], 'text'] }]
}

/** Several clients' changes, partly exchanged. */
function history (seed) {
  const random = prng.create(seed)
  const pick = (...options) => options[prng.int32(random, 0, options.length - 1)]
  const docs = [client(1), client(2), client(2 ** 32 - 1)]
  const nested = () => pick(() => new Y.Map([['in', pick(...values())]]), () => Y.Array.from([1, 'x']), () => new Y.Text('in'))()
  for (let step = 0; step < 60; step++) {
    const doc = pick(...docs)
    const [text, map, array] = [doc.getText('text'), doc.getMap('map'), doc.getArray('array')]
    const fragment = doc.getXmlFragment('xml')
    const place = type => prng.int32(random, 0, type.length)
    const erase = type => { const at = place(type); type.delete(at, Math.min(pick(1, 2, 5), type.length - at)) }
    pick(
      () => text.insert(place(text), pick('a', 'word ', 'ä', '€'), pick({}, { bold: true }, { bold: null })),
      () => text.format(place(text), 0, { bold: true }),
      () => erase(text),
      () => map.set(pick('a', 'b'), pick(...values(), nested())),
      () => map.delete(pick('a', 'b')),
      () => array.insert(place(array), [pick(...values()), nested()]),
      () => erase(array),
      () => fragment.insert(place(fragment), [pick(new Y.XmlElement('P'), new Y.XmlText('text'))]),
      () => fragment.length && fragment.get(0).setAttribute(pick('a', 'b'), pick('x', 1)),
      () => erase(fragment),
      () => Y.applyUpdate(pick(...docs), Y.encodeStateAsUpdate(doc))
    )()
  }
  const all = client(3)
  for (const type of ['getText', 'getMap', 'getArray', 'getXmlFragment']) all[type](type.slice(3).toLowerCase().replace('fragment', ''))
  const update = Y.mergeUpdates(docs.map(doc => Y.encodeStateAsUpdate(doc)))
  Y.applyUpdate(all, update)
  return [`history-${seed}`, update, shown(all)]
}

function values () {
  return [null, true, false, 0, -0, 1, -64, 2 ** 31, -(2 ** 40), 2 ** 53, 0.1, 1.5, 1e21, 123e18, 1e-7, -1.25e-9, 5e-324,
    Number.MAX_VALUE, NaN, Infinity, -Infinity, '', 'text "ä" 😀\n', Uint8Array.of(0, 1, 254, 255), [], {}, [1, [2]], { a: { b: 1 } }]
}

/** A document by what is done to it. Expected is what it shows then, unless something else is. */
function made (name, make, expected) {
  const doc = client(7)
  make(doc)
  return [name, Y.encodeStateAsUpdate(doc), expected ?? shown(doc)]
}

/** `toJSON()`, without the roots in which there is nothing. */
function shown (doc) {
  const nothing = ['""', '[]', '{}']
  return Object.fromEntries(Object.entries(doc.toJSON()).filter(([, value]) => !nothing.includes(stringify(value))))
}

function client (id) {
  const doc = new Y.Doc()
  doc.clientID = id
  return doc
}

/** A value as JSON, keys in the order of their code points. */
function stringify (value) {
  if (typeof value === 'bigint') return String(value)
  if (value instanceof Uint8Array) return stringify({ base64: Buffer.from(value).toString('base64') })
  if (value instanceof Y.Doc) return stringify({ guid: value.guid })
  if (Array.isArray(value)) return `[${value.map(stringify)}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const keys = Object.keys(value).filter(key => value[key] !== undefined)
  keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  return `{${keys.map(key => `${JSON.stringify(key)}:${stringify(value[key])}`)}}`
}

/** An update with one struct of client 9. */
function one (write) {
  const encoder = encoding.createEncoder()
  for (const value of [1, 1, 9, 0]) encoding.writeVarUint(encoder, value)
  write(encoder)
  encoding.writeVarUint(encoder, 0)
  return encoding.toUint8Array(encoder)
}

function root (encoder, name) {
  encoding.writeVarUint(encoder, 1)
  encoding.writeVarString(encoder, name)
}

/** An update that sets an entry of a root: the value is written as lib0's `any`. */
function entry (name, key, value) {
  return one(encoder => {
    encoding.writeUint8(encoder, 0x28)
    root(encoder, name)
    encoding.writeVarString(encoder, key)
    encoding.writeVarUint(encoder, 1)
    encoding.writeUint8Array(encoder, Buffer.from(value, 'latin1'))
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(FOLDER, { recursive: true })
  for (const file of readdirSync(FOLDER)) rmSync(FOLDER + file)
  let count = 0
  for (const [name, update, expected] of documents()) {
    writeFileSync(`${FOLDER}${name}.bin`, update)
    writeFileSync(`${FOLDER}${name}.json`, `${stringify(expected)}\n`)
    count++
  }
  console.log(`${count} documents in ${FOLDER}`)
}
