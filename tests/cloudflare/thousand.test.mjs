// A thousand sockets on one object.
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { isUpdate } from '../interop/raw.mjs'
import { until } from '../interop/waiting.mjs'
import { Peer } from './peer.mjs'
import { Workerd } from './workerd.mjs'

const COUNT = 1000
const WAVE = 50

const host = await Workerd.up(undefined, { options: ['--max-connections-per-document', `${COUNT + 10}`] })
after(() => host.down())

test(`${COUNT} sockets all get an edit, an eviction does not end them, and all of them can leave`, { timeout: 120_000 }, async t => {
  const writer = await Peer.connect(t, host, 'thousand', 1)
  await until(() => writer.asked, 'the server asks')
  writer.answer()
  const readers = []
  while (readers.length < COUNT) {
    const wave = Array.from({ length: WAVE }, (_, n) => Peer.connect(t, host, 'thousand', 2 + readers.length + n))
    readers.push(...await Promise.all(wave))
  }
  const got = n => () => readers.filter(({ raw }) => raw.count(isUpdate) >= n).length
  const all = async (n, what) => {
    await until(() => got(n)() === COUNT, () => `all get ${what}; ${got(n)()} have`, 30_000)
    assert.deepEqual([...new Set(readers.map(({ list }) => JSON.stringify(list)))], [JSON.stringify(writer.list)])
  }
  writer.write('first')
  await all(1, 'an edit')
  await writer.stored()
  for (const [n, text] of ['second', 'third'].entries()) {
    assert.equal(await host.evict('thousand'), true)
    writer.write(text)
    await all(n + 2, 'the next')
    await writer.stored()
  }
  for (const reader of readers) reader.unharmed()
  readers[0].show({ is: 'the first' })
  await until(() => readers.every(({ seen }) => seen.get(2)?.is === 'the first'), 'all see a cursor', 30_000)
  await host.evict('thousand')
  readers.forEach(({ raw: { socket } }, n) => n % 2 ? socket.terminate() : socket.close())
  await until(() => !writer.seen.has(2), 'they are gone', 30_000)
  await until(() => readers.every(({ raw }) => raw.close), 'all are closed', 30_000)
  const late = await Peer.connect(t, host, 'thousand', 5000)
  late.ask()
  await until(() => late.list.length === 3, 'a newcomer has everything')
  writer.unharmed()
})
