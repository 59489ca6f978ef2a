// What is published to Fanout is a hint: it may be lost, late, or overtaken.
import assert from 'node:assert/strict'
import { createServer, request } from 'node:http'
import { test } from 'node:test'
import { converge, join } from '../interop/client.mjs'
import { atEnd } from '../interop/ending.mjs'
import { freePort } from '../interop/host.mjs'
import { create, poll, post, writer } from '../interop/streams.mjs'
import { pauseFor, until } from '../interop/waiting.mjs'
import { up } from './fastly.mjs'

/** Stands where is published, and passes on what `fate` says: after so many milliseconds, or never. */
async function between (t, fate) {
  const [control, port] = [await freePort(), await freePort()]
  const counts = { passed: 0, lost: 0 }
  const server = createServer(async (asked, answer) => {
    const chunks = []
    for await (const chunk of asked) chunks.push(chunk)
    answer.end('Published\n') // whoever publishes knows no better
    const delay = fate()
    if (delay === undefined) return void counts.lost++
    await pauseFor(delay)
    counts.passed++
    request({ host: '127.0.0.1', port: control, path: asked.url, method: 'POST', headers: { 'content-type': 'application/json' } }).on('error', () => {}).end(Buffer.concat(chunks))
  })
  await new Promise(resolve => server.listen(port, '127.0.0.1', resolve))
  atEnd(t, () => { server.closeAllConnections(); server.close() })
  return { counts, words: ['--control', control, '--publisher', `http://127.0.0.1:${port}`] }
}

const FATES = {
  'half of it is lost': () => Math.random() < 0.5 ? undefined : 0,
  'it comes late and in another order': () => Math.random() * 1_000,
  'nothing comes': () => undefined
}

for (const [what, fate] of Object.entries(FATES)) {
  test(`where ${what}, sockets converge all the same, and nothing is told twice as another's`, async t => {
    const { counts, words } = await between(t, fate)
    const host = await up(t, { words })
    const clients = []
    for (let n = 0; n < 3; n++) clients.push(await join(t, host, 'hints'))
    for (let n = 0; n < 20; n++) {
      clients[n % 3].doc.getArray('list').push([n])
      await pauseFor(50)
    }
    // Each keep-alive reads the log again.
    await converge(clients, 45_000)
    for (const client of clients) assert.deepEqual(client.doc.getArray('list').toArray().sort((a, b) => a - b), [...Array(20).keys()])
    assert.ok(counts.passed + counts.lost > 0, 'it is published there')
    t.diagnostic(JSON.stringify(counts))
  })
}

test('a poll whose wake-up is lost is answered at its deadline, and the next one has it', async t => {
  const { words } = await between(t, () => undefined)
  const host = await up(t, { words: [...words, '--long-poll-seconds', '5'] })
  const path = await create(host, 'lost')
  const held = poll(t, host, path, 'now')
  await pauseFor(1_000)
  assert.equal(held.status, undefined)
  await post(host, path, [writer().push(1)])
  const answer = await held.ended
  assert.ok([200, 204].includes(answer.status))
  if (answer.status === 200) return
  const next = poll(t, host, path, answer.headers['stream-next-offset'])
  await until(() => next.status !== undefined, 'it is there', 5_000)
  assert.equal((await next.ended).status, 200)
})
