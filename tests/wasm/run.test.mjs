// The core at work as a Wasm module: frames in, frames and storage out, byte for byte.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Probe, TARGETS } from './probe.mjs'

const NOW = 1_800_000_000_000
const EMPTY_STATE_VECTOR = [0]

const ascii = text => [...Buffer.from(text)]
const sized = bytes => [bytes.length, ...bytes]
const step1 = stateVector => [0, 0, ...sized(stateVector)]
const step2 = update => [0, 1, ...sized(update)]
const edit = update => [0, 2, ...sized(update)]
const echo = payload => [102, ...sized(payload)]

/** A Yjs update of one client that wrote these texts one behind the other, as root `t`, from `clock` on. */
function typing (client, clock, ...texts) {
  const struct = text => {
    // A string, whose place is a root if it is the first, else behind its own last character.
    const place = clock === 0 ? [0x04, 1, ...sized(ascii('t'))] : [0x84, client, clock - 1]
    clock += text.length
    return [...place, ...sized(ascii(text))]
  }
  return [1, texts.length, client, clock, ...texts.flatMap(struct), 0]
}

for (const target of TARGETS) {
  const scenario = (name, run, may) => test(`${target}: ${name}`, () => {
    const probe = Probe.load(target, may)
    probe.now = NOW
    run(probe)
  })

  /** Two connections that were asked for what they have, and answered: nothing. */
  const pair = probe => {
    for (const conn of [1, 2]) probe.open(conn)
    assert.deepEqual(probe.outputs(), [], 'the document is not loaded yet')
    probe.settle()
    const question = step1(EMPTY_STATE_VECTOR)
    assert.deepEqual(probe.outputs(), [{ to: 1, frame: question }, { to: 2, frame: question }])
    for (const conn of [1, 2]) probe.frame(conn, step2([0, 0]))
  }

  scenario('an update is relayed and stored byte for byte, and answers a later question', probe => {
    pair(probe)
    const update = typing(5, 0, 'hello')
    probe.frame(1, edit(update))
    assert.deepEqual(probe.outputs(), [{ toAllBut: 1, frame: edit(update) }])
    probe.settle()
    assert.deepEqual(probe.stored, [update])
    probe.frame(2, step1(EMPTY_STATE_VECTOR))
    assert.deepEqual(probe.outputs(), [{ to: 2, frame: step2(update) }])
  })

  scenario('nothing is acknowledged before it is stored', probe => {
    pair(probe)
    probe.frame(1, edit(typing(5, 0, 'a')))
    probe.frame(1, echo([7, 8]))
    probe.frame(1, step1(EMPTY_STATE_VECTOR))
    assert.deepEqual(probe.outputs().filter(output => output.to === 1), [])
    assert.deepEqual(probe.stored, [])
    assert.ok(probe.settle() > 0)
    const answers = [{ to: 1, frame: echo([7, 8]) }, { to: 1, frame: step2(typing(5, 0, 'a')) }]
    assert.deepEqual(probe.outputs(), answers)
  })

  scenario('a room that is dropped and made anew goes on where it was', probe => {
    pair(probe)
    probe.frame(1, edit(typing(5, 0, 'ab')))
    probe.settle()
    probe.rebuild()
    probe.settle()
    probe.outputs()
    probe.frame(2, edit(typing(5, 2, 'cd')))
    assert.deepEqual(probe.outputs(), [{ toAllBut: 2, frame: edit(typing(5, 2, 'cd')) }])
    probe.settle()
    probe.frame(1, step1(EMPTY_STATE_VECTOR))
    probe.settle()
    const [{ frame }] = probe.outputs()
    assert.deepEqual(frame, step2(typing(5, 0, 'ab', 'cd')))
  })

  scenario('a long log is compacted to a snapshot', probe => {
    pair(probe)
    for (let clock = 0; clock < 100; clock++) {
      probe.frame(1, edit(typing(5, clock, 'x')))
      probe.settle()
    }
    const [snapshot, ...rest] = probe.stored
    assert.ok(rest.length < 99, `${rest.length} updates`)
    assert.deepEqual(snapshot, typing(5, 0, 'x'.repeat(100 - rest.length)))
    rest.forEach((update, index) => assert.deepEqual(update, typing(5, 100 - rest.length + index, 'x')))
  })

  scenario('a state of presence is shown, and goes with its connection', probe => {
    pair(probe)
    const states = json => [1, ...sized([1, 9, 1, ...sized(ascii(json))])]
    probe.frame(1, states('{"name":"ada"}'))
    assert.deepEqual(probe.outputs().map(output => output.frame), [states('{"name":"ada"}')])
    assert.ok(probe.nextTick > NOW, 'it expires')
    probe.closed(1)
    assert.deepEqual(probe.outputs().map(output => output.frame), [states('null')])
  })

  scenario('what cannot be read ends its connection, and no other', probe => {
    pair(probe)
    probe.frame(1, edit([1, 1, 5]))
    const [output, ...more] = probe.outputs()
    assert.deepEqual([output.close, output.code, more], [1, 1007, []])
    probe.frame(2, echo([1]))
    assert.deepEqual(probe.outputs(), [{ to: 2, frame: echo([1]) }])
  })

  // The only thing that a client can do for which a browser's imports are needed; see imports.txt.
  scenario('a subdocument is stored as it came', probe => {
    pair(probe)
    const [doc, noOptions] = [9, [118, 0]]
    const update = [1, 1, 5, 0, doc, 1, ...sized(ascii('t')), ...sized(ascii('a guid')), ...noOptions, 0]
    probe.frame(1, edit(update))
    probe.settle()
    assert.deepEqual(probe.stored, [update])
  }, ['__wbg_getRandomValues'])

  scenario('a token opens its document until it expires', probe => {
    const token = probe.mint('notes')
    assert.deepEqual(probe.get(`/ws/notes?token=${token}`), { status: 101, body: 'notes' })
    assert.equal(probe.get(`/ws/other?token=${token}`).status, 403)
    assert.equal(probe.get('/ws/notes').status, 401)
    probe.now = NOW + 60_000
    assert.equal(probe.get(`/ws/notes?token=${token}`).status, 401)
  })

  scenario('a long-poll is answered once an edit is stored, and not before', probe => {
    const token = probe.mint('notes')
    const read = query => probe.get(`/v1/yjs/default/docs/notes?token=${token}${query}`)
    assert.equal(read(''), undefined, 'whether the document is there must be asked first')
    probe.settle()
    assert.equal(probe.outputs().at(-1).status, 404)
    pair(probe)
    probe.frame(1, edit(typing(5, 0, 'a')))
    probe.settle()
    probe.outputs()
    assert.equal(read('&offset=now&live=long-poll'), undefined)
    probe.frame(1, edit(typing(6, 0, 'b')))
    assert.deepEqual(probe.outputs().filter(output => output.status), [])
    probe.settle()
    const [answer] = probe.outputs().filter(output => output.status)
    assert.deepEqual([answer.status, [...Buffer.from(answer.body)]], [200, sized(typing(6, 0, 'b'))])
  })
}
