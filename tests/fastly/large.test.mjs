// A document of 20 MB, in parts, within the memory that an instance may have.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { ask } from '../interop/request.mjs'
import { create, framed, list, post, readDocument, refused, writer } from '../interop/streams.mjs'
import { pauseFor } from '../interop/waiting.mjs'
import { up } from './fastly.mjs'

/** MiB that an instance may have. Viceroy tells what each took, and lets it have more. */
const MEMORY = 128
const PIECE = 4 << 20
const PIECES = 5

test('20 MB are written, compacted and read back', { timeout: 180_000 }, async t => {
  const host = await up(t, { words: ['--no-fanout'], limit: 'RUST_LOG=viceroy_lib=info' })
  const path = await create(host, 'large')
  const { doc, push } = writer()
  const peaks = {}
  const alone = async (what, act) => {
    await pauseFor(2_500) // an instance waits for its next request for 2 s
    const given = await act()
    await pauseFor(2_500)
    peaks[what] = Math.max(...[...host.output.matchAll(/using ([\d.]+) MiB of WebAssembly heap/g)].map(([, mebibytes]) => Number(mebibytes)))
    return given
  }
  await alone('written', async () => {
    for (let n = 0; n < PIECES; n++) await post(host, path, [push(new Uint8Array(randomBytes(PIECE)))], { ms: 60_000 })
  })
  const same = found => assert.deepEqual(list(found), doc.getArray('list').toArray())
  same(await alone('read', () => readDocument(host, path, { ms: 60_000 })))
  same(await alone('read again', () => readDocument(host, path, { ms: 60_000 })))
  await alone('read as one update', () => ask(host, 'GET', '/d/large/as-update', { ms: 60_000 }))
  await alone('written to', () => post(host, path, [writer(1).push('small')], { ms: 60_000 }))
  t.diagnostic(`the largest instance so far, in MiB: ${JSON.stringify(peaks)}`)
  for (const [what, peak] of Object.entries(peaks)) assert.ok(peak < MEMORY, `${what}: ${peak} MiB`)
})

test('an edit for which there is no place is refused and harms nobody', { timeout: 120_000 }, async t => {
  const host = await up(t, { words: ['--no-fanout', '--max-document-mb', '8'] })
  const path = await create(host, 'full')
  const { push } = writer()
  await post(host, path, [push('first', new Uint8Array(randomBytes(PIECE)))], { ms: 60_000 })
  refused(await ask(host, 'POST', path, { body: framed(writer(1).push(new Uint8Array(randomBytes(PIECE)))), ms: 60_000 }), 413, 'PAYLOAD_TOO_LARGE')
  await post(host, path, [push('last')])
  const [first, , last, ...rest] = list(await readDocument(host, path, { ms: 60_000 }))
  assert.deepEqual([first, last, rest], ['first', 'last', []])
})
