// Makes the corpus of hostile frames, always the same: `node make-corpus.mjs` writes ../corpus/frames.
//
// A file is one WebSocket frame as a client sends it, its name says what must become of the sender:
//   1003-*  closed with 1003: a message type that does not exist
//   1007-*  closed with 1007: cannot be decoded, or real clients could not decode it if it were relayed
//   any-*   whatever is harmless: refused like the above (also 1009), ignored, or taken as what it is
// In no case may another connection, the document or the process suffer.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import * as encoding from 'lib0/encoding'
import * as prng from 'lib0/prng'
import * as Y from 'yjs'
import { ACK, AUTH, awarenessFrame, AWARENESS, frame, QUERY_AWARENESS, SYNC } from './raw.mjs'

export const FOLDER = fileURLToPath(new URL('../corpus/frames/', import.meta.url))
const MUTATIONS = 24
const FULL_VARINT = bytes('ff ff ff ff ff ff ff ff ff 01') // ten bytes, 64 bits
const LARGEST = 2 ** 53 - 1

/** All frames: name to bytes. */
export function corpus () {
  return new Map([...frames(), ...syncs(), ...updates(), ...awareness(), ...mutations()])
}

function * frames () {
  yield ['any-empty-frame', bytes('')]
  yield ['1003-type-4', bytes('04')]
  yield ['1003-type-99-with-body', frame(99, text('body'))]
  yield ['1003-type-largest', frame(LARGEST)]
  yield ['1003-after-a-good-message', concat(frame(QUERY_AWARENESS), frame(77))]
  yield ['1007-type-truncated', bytes('80')]
  yield ['1007-type-of-ten-bytes', FULL_VARINT]
  yield ['1007-type-of-endless-bytes', new Uint8Array(64).fill(0xff)]
  yield ['1007-after-a-good-message', concat(frame(QUERY_AWARENESS), frame(SYNC, 2), bytes('05 00'))]
  yield ['1007-ack-without-body', frame(ACK)]
  yield ['1007-ack-longer-than-its-frame', concat(frame(ACK), bytes('20 61'))]
  yield ['any-ack-empty', frame(ACK, bytes(''))]
  yield ['any-auth-from-a-client', frame(AUTH, 0, text('denied'))]
  yield ['any-auth-of-another-kind', frame(AUTH, 9, text('?'))]
  yield ['any-query-awareness-1000-times', new Uint8Array(1000).fill(QUERY_AWARENESS)]
  yield ['any-zeros', new Uint8Array(4096)]
  yield ['any-text-in-a-binary-frame', text('{"type":"hello"}')]
}

function * syncs () {
  yield ['1007-sync-without-step', frame(SYNC)]
  yield ['any-sync-step-3', frame(SYNC, 3, bytes('00'))]
  yield ['any-sync-step-largest', frame(SYNC, LARGEST, bytes('00'))]
  for (const [step, name] of [[0, 'step-1'], [1, 'step-2'], [2, 'update']]) {
    yield [`1007-${name}-without-body`, frame(SYNC, step)]
    yield [`1007-${name}-longer-than-its-frame`, concat(frame(SYNC, step), bytes('10 01 01'))]
    yield [`1007-${name}-of-4-GiB`, concat(frame(SYNC, step), bytes('ff ff ff ff 0f'))]
    yield [`1007-${name}-of-largest-length`, concat(frame(SYNC, step), varints(LARGEST))]
    yield [`1007-${name}-length-of-ten-bytes`, concat(frame(SYNC, step), FULL_VARINT)]
    yield [`1007-${name}-of-no-bytes`, frame(SYNC, step, bytes(''))]
  }
  yield ['1007-step-1-more-entries-than-bytes', frame(SYNC, 0, varints(1_000_000, 1, 1))]
  yield ['1007-step-1-client-of-ten-bytes', frame(SYNC, 0, concat(varints(1), FULL_VARINT, varints(1)))]
  yield ['any-step-1-of-a-future', frame(SYNC, 0, varints(1, 7, 2 ** 31))]
  yield ['any-step-1-with-the-same-client-twice', frame(SYNC, 0, varints(2, 7, 1, 7, 2))]
}

/** Updates, by hand after yjs' UpdateEncoderV1: `clients, {structs, client, clock, {struct}*}*, deletes`. */
function * updates () {
  const update = (...parts) => frame(SYNC, 2, concat(...parts))
  const one = (client, clock, ...struct) => update(varints(1, 1, client, clock), ...struct, varints(0))
  const root = concat(varints(1), string('evil')) // a parent by name
  const item = (client, kind, ...content) => one(client, 0, Uint8Array.of(kind), root, ...content)
  const real = realUpdate()
  const deep = (levels, ...ends) => concat(varints(1), ...Array.from({ length: levels }, () => bytes('75 01')), ...ends)
  const badText = concat(varints(3), bytes('61 ff 62'))

  yield ['1007-update-of-text', frame(SYNC, 2, text('this is no update'))]
  yield ['1007-update-of-random-bytes', frame(SYNC, 2, noise(1, 300))]
  yield ['1007-update-without-deletes', update(varints(0))]
  yield ['1007-update-of-4-billion-clients', update(varints(0xffffffff))]
  yield ['1007-update-of-largest-client-count', update(varints(LARGEST))]
  yield ['1007-update-of-4-billion-structs', update(varints(1, 0xffffffff, 2001, 0))]
  yield ['1007-update-of-4-billion-deletes', update(varints(0, 1, 2001, 0xffffffff))]
  yield ['1007-update-of-4-billion-deleting-clients', update(varints(0, 0xffffffff))]
  yield ['1007-update-client-of-ten-bytes', update(varints(1, 1), FULL_VARINT, varints(0), bytes('00 01'), varints(0))]
  yield ['1007-update-unknown-content', item(2002, 31, varints(1))]
  yield ['1007-update-unknown-type', item(2003, 7, varints(99))]
  yield ['1007-update-unknown-any', item(2004, 8, varints(1), bytes('40'))]
  yield ['1007-update-any-of-4-billion-values', item(2005, 8, varints(0xffffffff), bytes('7e'))]
  yield ['1007-update-any-array-of-4-billion-values', item(2006, 8, varints(1), bytes('75'), varints(0xffffffff))]
  yield ['1007-update-any-object-of-4-billion-keys', item(2007, 8, varints(1), bytes('76'), varints(0xffffffff))]
  yield ['1007-update-any-integer-endless', item(2008, 8, varints(1), bytes('7d'), new Uint8Array(32).fill(0xff))]
  yield ['any-update-any-nested-100-deep', item(2009, 8, deep(100, bytes('7e')))]
  yield ['1007-update-any-nested-10000-deep', item(2010, 8, deep(10_000, bytes('7e')))]
  yield ['1007-update-any-nested-10000-deep-truncated', item(2011, 8, deep(10_000))]
  yield ['1007-update-text-not-utf8', item(2012, 4, badText)]
  yield ['1007-update-root-name-not-utf8', one(2013, 0, Uint8Array.of(4), varints(1), badText, string('x'))]
  yield ['1007-update-embed-not-json', item(2014, 5, string('{"half":'))]
  yield ['1007-update-embed-undefined', item(2015, 5, string('undefined'))]
  yield ['1007-update-format-not-json', item(2016, 6, string('bold'), string('tru'))]
  yield ['1007-update-json-not-json', item(2017, 2, varints(1), string('{]'))]
  yield ['1007-update-subdocument-options-null', item(2018, 9, string('guid'), bytes('7e'))]
  yield ['1007-update-subdocument-options-undefined', item(2019, 9, string('guid'), bytes('7f'))]
  yield ['1007-update-origin-is-itself', one(2020, 0, Uint8Array.of(0x84), varints(2020, 0), string('x'))]
  yield ['1007-update-origin-is-its-own-future', one(2021, 0, Uint8Array.of(0x84), varints(2021, 9), string('x'))]
  yield ['1007-update-right-origin-is-itself', one(2022, 0, Uint8Array.of(0x44), varints(2022, 0), string('x'))]
  yield ['1007-update-parent-is-itself', one(2023, 0, Uint8Array.of(0x04), varints(0, 2023, 0), string('x'))]
  yield ['any-update-string-of-no-length', item(2024, 4, string(''))]
  yield ['1007-update-deletes-of-no-length', update(varints(0, 1, 2038, 1, 0, 0))]
  yield ['1007-update-deleted-of-no-length', item(2025, 1, varints(0))]
  yield ['any-update-any-of-no-values', item(2026, 8, varints(0))]
  yield ['any-update-gc-of-no-length', one(2027, 0, bytes('00 00'))]
  yield ['any-update-skip-of-no-length', one(2028, 0, bytes('0a 00'))]
  yield ['any-update-of-no-structs', update(varints(1, 0, 2029, 5, 0))]
  yield ['any-update-clock-near-2-to-53', one(2030, LARGEST, Uint8Array.of(4), root, string('x'))]
  yield ['any-update-gc-of-2-to-53', one(2031, 0, bytes('00'), varints(LARGEST))]
  yield ['any-update-deletes-of-2-to-53', update(varints(0, 1, 2032, 1, LARGEST, LARGEST))]
  yield ['any-update-same-client-twice', update(varints(2, 1, 2033, 0), bytes('00 01'), varints(1, 2033, 0), bytes('00 02'), varints(0))]
  yield ['any-update-depends-on-what-never-comes', one(2034, 0, Uint8Array.of(0x84), varints(999_999, 3), string('x'))]
  yield ['any-update-parent-is-what-never-comes', one(2035, 0, Uint8Array.of(0x04), varints(0, 999_999, 3), string('x'))]
  yield ['any-update-two-that-wait-for-each-other', update(varints(2, 1, 2037, 0), Uint8Array.of(0x84), varints(2036, 0), string('x'),
    varints(1, 2036, 0), Uint8Array.of(0x84), varints(2037, 0), string('x'), varints(0))]
  yield ['1007-update-cut-in-the-middle', frame(SYNC, 2, real.slice(0, real.length >> 1))]
  yield ['1007-update-cut-by-one-byte', frame(SYNC, 2, real.slice(0, -1))]
  yield ['any-update-with-trailing-bytes', frame(SYNC, 2, concat(real, noise(2, 40)))]
  yield ['any-update-of-version-2', frame(SYNC, 2, Y.convertUpdateFormatV1ToV2(real))]
  yield ['1007-update-good-then-bad-in-one-frame', concat(frame(SYNC, 2, real), frame(SYNC, 2, real.slice(0, -1)))]
}

function * awareness () {
  const state = (client, clock, json) => concat(varints(client, clock), string(json))
  const of = (...states) => frame(AWARENESS, concat(varints(states.length), ...states))
  yield ['1007-awareness-without-body', frame(AWARENESS)]
  yield ['1007-awareness-of-no-bytes', frame(AWARENESS, bytes(''))]
  yield ['1007-awareness-of-4-billion-states', frame(AWARENESS, varints(0xffffffff))]
  yield ['1007-awareness-of-largest-count', frame(AWARENESS, varints(LARGEST, 1, 1))]
  yield ['1007-awareness-cut', frame(AWARENESS, concat(varints(2), state(3001, 1, '{}')))]
  yield ['1007-awareness-client-of-ten-bytes', frame(AWARENESS, concat(varints(1), FULL_VARINT, varints(1), string('{}')))]
  yield ['1007-awareness-clock-of-ten-bytes', frame(AWARENESS, concat(varints(1, 3002), FULL_VARINT, string('{}')))]
  yield ['1007-awareness-not-json', of(state(3003, 1, '{"name":'))]
  yield ['1007-awareness-no-text', of(state(3004, 1, ''))]
  yield ['1007-awareness-undefined', of(state(3005, 1, 'undefined'))]
  yield ['1007-awareness-two-values', of(state(3006, 1, '{} {}'))]
  yield ['1007-awareness-not-utf8', frame(AWARENESS, concat(varints(1, 3007, 1, 4), bytes('22 c3 28 22')))]
  yield ['1007-awareness-good-then-bad', of(state(3008, 1, '{"name":"good"}'), state(3009, 1, 'NaN'))]
  yield ['any-awareness-nested-10000-deep', of(state(3010, 1, '['.repeat(10_000) + ']'.repeat(10_000)))]
  yield ['any-awareness-number', of(state(3011, 1, '7'))]
  yield ['any-awareness-lone-surrogate', of(state(3012, 1, '"\\ud800"'))]
  yield ['any-awareness-none', of()]
  yield ['any-awareness-same-client-twice', awarenessFrame([[3013, 1, { n: 1 }], [3013, 2, { n: 2 }]])]
  yield ['any-awareness-removes-strangers', awarenessFrame([[3014, 1, null], [3015, LARGEST, null]])]
  yield ['any-awareness-clock-largest', awarenessFrame([[3016, LARGEST, { n: 1 }]])]
  yield ['any-awareness-prototype', of(state(3017, 1, '{"__proto__":{"x":1},"constructor":null}'))]
  yield ['any-awareness-trailing-bytes', frame(AWARENESS, concat(varints(1), state(3018, 1, '{}'), noise(3, 20)))]
  yield ['any-awareness-2000-states', awarenessFrame(Array.from({ length: 2000 }, (_, i) => [4000 + i, 1, { i }]))]
}

/** A real update with a few bits flipped: often still an update, then a different one. */
function * mutations () {
  const random = prng.create(1977)
  for (let index = 0; index < MUTATIONS; index++) {
    const update = realUpdate()
    for (let flips = prng.int32(random, 1, 4); flips > 0; flips--) {
      update[prng.int32(random, 0, update.length - 1)] ^= 1 << prng.int32(random, 0, 7)
    }
    yield [`any-mutated-update-${String(index).padStart(2, '0')}`, frame(SYNC, 2, update)]
  }
}

function realUpdate () {
  const doc = new Y.Doc()
  doc.clientID = 1001
  const evil = doc.getText('evil')
  evil.insert(0, 'some text with ünïcödé 🚀')
  evil.format(2, 6, { bold: true, link: { href: 'x' } })
  evil.insertEmbed(4, { image: 'x.png' })
  evil.delete(6, 3)
  doc.getMap('evil map').set('any', { list: [1, -2.5, null, true, 'x'], bytes: Uint8Array.of(1, 2) })
  doc.getMap('evil map').set('child', new Y.Array())
  doc.getMap('evil map').get('child').push([new Y.XmlElement('p'), 2 ** 40, 'y'])
  return Y.encodeStateAsUpdate(doc)
}

function noise (seed, length) {
  const random = prng.create(seed)
  return Uint8Array.from({ length }, () => prng.int32(random, 0, 255))
}

function bytes (hex) { return Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex')) }
function text (value) { return new TextEncoder().encode(value) }
function concat (...parts) { return Uint8Array.from(Buffer.concat(parts)) }

function varints (...values) {
  const encoder = encoding.createEncoder()
  for (const value of values) encoding.writeVarUint(encoder, value)
  return encoding.toUint8Array(encoder)
}

function string (value) {
  const encoder = encoding.createEncoder()
  encoding.writeVarString(encoder, value)
  return encoding.toUint8Array(encoder)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(FOLDER, { recursive: true })
  for (const file of readdirSync(FOLDER)) if (file.endsWith('.bin')) rmSync(FOLDER + file)
  const all = corpus()
  for (const [name, frame] of all) writeFileSync(`${FOLDER}${name}.bin`, frame)
  console.log(`${all.size} frames in ${FOLDER}`)
}
