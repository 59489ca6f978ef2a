// Operations on the store.
import { create, framed, poll, post, read, writer } from '../../interop/streams.mjs'
import { Held } from '../../interop/request.mjs'
import { pauseFor } from '../../interop/waiting.mjs'
import { operations, Spin } from '../../spin/scenarios/spin.mjs'

const MINUTE = 60_000
const ALONE = ['--max-instance-reuse-count', '1']

export const title = 'Operations on the store'

const shown = (all, each = 1) => [operations(all), all.sets + all.deletes, all.increments].map(count => (count / each).toFixed(count % each === 0 ? 0 : 1))

export async function run (t) {
  const rows = [['for', 'all', 'of these writes', 'and of a counter, to write or to read it']]
  const host = await Spin.up(t)
  const path = await create(host, 'costs')
  const { push } = writer()
  const edit = () => post(host, path, [push('an edit')])
  const edits = count => async () => { for (let n = 0; n < count; n++) await edit() }

  await edit()
  await host.untilGone()
  rows.push(['the first edit of an instance', ...shown(await host.costs(edit))])
  await edit()
  rows.push(['the next one', ...shown(await host.costs(edit))])
  rows.push(['each of 200 edits one after the other, compaction included', ...shown(await host.costs(edits(200)), 200)])
  rows.push(['each of 200 edits of 20 people at once', ...shown(await host.costs(() => Promise.all(Array.from({ length: 20 }, edits(10)))), 200)])
  const alone = await Spin.up(t, { words: ALONE })
  const other = await create(alone, 'costs')
  const apart = () => post(alone, other, [push('an edit')])
  rows.push(['each of 20 edits, each with an instance of its own', ...shown(await alone.costs(async () => { for (let n = 0; n < 20; n++) await apart() }), 20)])

  for (const [length, what] of [[0, 'nothing'], [20, '20 edits'], [500, '500 edits']]) {
    const loaded = await create(host, `load-${length}`)
    const { push } = writer()
    for (let n = 0; n < length; n++) {
      await post(host, loaded, [push(n)])
      if (n % 25 === 24) await read(host, loaded)
    }
    await host.untilGone()
    rows.push([`a cold load of a document of ${what}`, ...shown(await host.costs(() => read(host, loaded)))])
    await host.untilGone()
    rows.push([`the same again`, ...shown(await host.costs(() => read(host, loaded)))])
  }

  // All for the same minute.
  const readers = { 'an idle reader by long-polls': [1, 'long-poll'], 'an idle reader by an event stream': [1, 'sse'], 'each of 10 idle readers of one instance': [10, 'long-poll'] }
  const minutes = Object.entries(readers).map(async ([what, [count, live]]) => {
    const host = await Spin.up(t)
    const path = await create(host, 'idle')
    let over = false
    const wait = async () => {
      for (let { next } = await read(host, path); !over;) {
        const held = new Held(host, 'GET', path, { query: { offset: next, live } })
        t.after(() => held.abort())
        const { headers } = await held.ended
        next = headers['stream-next-offset'] ?? next
      }
    }
    for (let n = 0; n < count; n++) { wait().catch(() => {}); await pauseFor(20) }
    await pauseFor(8_000) // by then it is read as seldom as it ever is
    const spent = await host.costs(() => pauseFor(MINUTE))
    over = true
    return [`${what}, a minute`, ...shown(spent, count)]
  })
  rows.push(...await Promise.all(minutes))
  return rows
}
