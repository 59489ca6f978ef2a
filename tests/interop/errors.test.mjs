// Every error code that the server documents is reached here, as JSON with its status; the last test compares the lists.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join as inFolder } from 'node:path'
import { after, describe, test } from 'node:test'
import { join } from './client.mjs'
import { atEnd } from './ending.mjs'
import { Host, lacks, needs } from './host.mjs'
import { dial } from './raw.mjs'
import { ask } from './request.mjs'
import { at, create, framed, list, post, readDocument, refused, stream, writer } from './streams.mjs'
import { mint, seconds } from './token.mjs'
import { until } from './waiting.mjs'

const SECRET = 'a secret for the tests of errors, long enough'
const lacking = needs('streams', 'sweet', 'options', 'auth')
const host = lacking.skip ? undefined : await Host.up()
after(() => host?.down())

/** Files may not grow beyond 400 kB, and a write that would make one is an error instead of the end of the process. */
const FULL = "trap '' XFSZ; ulimit -f 800;"

const reached = new Set()
/** A test that reaches `code` with `answer`. */
const reaches = (code, status, what, run, options = {}) => test(`${code}: ${what}`, options, async t => {
  const answer = await run(t)
  refused(answer, status, code)
  assert.equal(answer.headers['access-control-allow-origin'], '*', 'a page may read why')
  if (status === 429 || status === 503) assert.match(answer.headers['retry-after'] ?? '', /^[1-9]\d*$/)
  reached.add(code)
})

describe('every error code', { concurrency: 4, ...lacking }, () => {
  reaches('INVALID_REQUEST', 400, 'an offset that is none', async () => ask(host, 'GET', await create(host, 'invalid') + '?offset=zzz'))
  reaches('UNAUTHORIZED', 401, 'no token', async t => ask(await up(t, { keys: [`k1:${SECRET}`] }), 'GET', at('doc')))
  reaches('FORBIDDEN', 403, 'a token of another document', async t => {
    const token = mint(SECRET, { doc: 'other', perm: 'write', exp: seconds(60), sub: 'user' }, { kid: 'k1' })
    return ask(await up(t, { keys: [`k1:${SECRET}`] }), 'GET', at('doc'), { token })
  })
  reaches('FORBIDDEN_ORIGIN', 403, 'a page of another site, without keys', () => ask(host, 'GET', '/docs', { headers: { origin: 'https://other.example' } }))
  reaches('NOT_FOUND', 404, 'no such path', () => ask(host, 'GET', '/nowhere'))
  reaches('DOCUMENT_NOT_FOUND', 404, 'no such document', () => ask(host, 'GET', at('missing')))
  reaches('SNAPSHOT_NOT_FOUND', 404, 'no such snapshot', async () => {
    const path = await create(host, 'snapshot')
    const { headers } = await ask(host, 'HEAD', path)
    return ask(host, 'GET', `${path}?offset=${headers['stream-next-offset']}_snapshot`)
  })
  reaches('STREAM_NOT_FOUND', 404, 'no such presence stream', async () => ask(host, 'GET', await create(host, 'stream') + '?awareness=none&offset=now'))
  reaches('VERSION_NOT_FOUND', 404, 'no such version', async () => await create(host, 'version') && ask(host, 'GET', '/doc/version/versions/none/as-update'))
  reaches('METHOD_NOT_ALLOWED', 405, 'a method that a path does not take', async () => ask(host, 'PATCH', await create(host, 'method')))
  reaches('DOCUMENT_EXISTS', 409, 'a copy onto a document', async () => {
    for (const doc of ['exists', 'taken']) await create(host, doc)
    return ask(host, 'POST', '/doc/exists/copy', { body: { docId: 'taken' } })
  })
  reaches('TOO_MANY_VERSIONS', 409, 'one more version than may be kept', async () => {
    await create(host, 'versions')
    let answer
    for (let n = 0; n < 5000 && answer?.status !== 409; n++) answer = await ask(host, 'POST', '/doc/versions/versions', { body: {} })
    return answer
  }, { timeout: 120_000 })
  reaches('PAYLOAD_TOO_LARGE', 413, 'a body over the limit', async t => {
    const own = await up(t, { options: ['--max-message-mb', '1'] })
    return ask(own, 'POST', await create(own, 'large'), { body: framed(writer().push('x'.repeat(1_100_000))) })
  }, needs('unread-bodies'))
  reaches('UPGRADE_REQUIRED', 426, 'a socket without an upgrade', () => ask(host, 'GET', '/ws/doc'))
  reaches('RATE_LIMITED', 429, 'one held read too many', async t => {
    const own = await up(t, { options: ['--max-held-per-document', '1'] })
    const path = await create(own, 'busy')
    await stream(t, own, path, 'now')
    return ask(own, 'GET', path + '?offset=now&live=long-poll')
  }, needs('held-limit'))
  reaches('OVERLOADED', 503, 'one open document too many', async t => {
    const own = await up(t, { options: ['--max-documents', '1'] })
    const raw = await dial(t, own, '/ws/first')
    await raw.roundTrip()
    const answer = await ask(own, 'PUT', at('second'))
    raw.socket.close()
    return answer
  }, needs('document-limit'))
  reaches('STORE_UNAVAILABLE', 503, 'a full disk; and when there is room again, nothing acknowledged is lost and all goes on', async t => {
    const own = await up(t, { limit: FULL })
    const path = await create(own, 'full')
    const client = await join(t, own, 'full', { transport: 'y-sweet' })
    const { push } = writer()
    const promised = []
    let answer
    for (let n = 0; n < 500; n++) {
      const update = push(`${n} ` + 'x'.repeat(10_000))
      answer = await ask(own, 'POST', path, { body: framed(update) })
      if (answer.status !== 204) break
      promised.push(n)
    }
    client.doc.getArray('list').push(['by the socket'])
    assert.equal(client.stored, false)
    await own.stop().catch(() => own.kill())
    await own.start({ limit: '' })
    await client.untilStored(20_000)
    await post(own, path, [push('last')])
    const found = list(await readDocument(own, path)).map(word => word.split(' x')[0])
    for (const n of promised) assert.ok(found.includes(String(n)), `${n} was acknowledged`)
    assert.ok(found.includes('by the socket'))
    return answer
  }, { timeout: 60_000, ...needs('full-disk') })
  reaches('INTERNAL_ERROR', 500, 'bytes of a document that are damaged on the disk; others are served', async t => {
    const own = await up(t)
    for (const doc of ['damaged', 'sound']) {
      for (const n of [1, 2]) await post(own, await create(own, doc), [writer().push(`${doc} marker ${n}`)])
    }
    await until(async () => { // a write-ahead log has checksums, and what is behind the damage would be gone with it
      await own.stop()
      if (!readdirSync(own.data).some(name => name.endsWith('-wal'))) return true
      await own.start()
    }, 'all is in the database')
    damage(own.data, 'damaged marker 1')
    await own.start()
    const answer = await ask(own, 'GET', '/d/damaged/as-update')
    assert.equal(list(await readDocument(own, at('sound'))).length, 2)
    await own.assertHealthy()
    return answer
  }, needs('damage'))
  test('a setting that is none keeps the server from starting, and it says which', needs('start-check'), async t => {
    await assert.rejects(up(t, { options: ['--sse-seconds', 'x'] }), /ended before it was ready[^]*sse.seconds/i)
  })

  after(async () => {
    const { paths, components } = (await ask(host, 'GET', '/openapi.json')).json
    const documented = new Set()
    JSON.stringify([paths, components], (key, value) => {
      if (value?.properties?.code?.enum) for (const code of value.properties.code.enum) documented.add(code)
      return value
    })
    // What this host openly has no way to reach.
    for (const [name, code] of [['document-limit', 'OVERLOADED'], ['full-disk', 'STORE_UNAVAILABLE'], ['unread-bodies', 'PAYLOAD_TOO_LARGE'], ['held-limit', 'RATE_LIMITED'], ['damage', 'INTERNAL_ERROR']]) {
      if (lacks(name)) documented.delete(code)
    }
    documented.delete('NOT_CONFIGURED') // such a server is not started here
    assert.deepEqual([...reached].sort(), [...documented].sort(), 'the codes that are documented are the codes that were reached')
  })
})

async function up (t, options) {
  const own = await Host.up(options)
  atEnd(t, () => own.down())
  return own
}

/** Overwrites what stands before `marker` in whatever file holds it: the beginning of the update. */
function damage (folder, marker) {
  let found = 0
  for (const name of readdirSync(folder)) {
    const file = inFolder(folder, name)
    const bytes = readFileSync(file)
    for (let place = bytes.indexOf(marker); place >= 0; place = bytes.indexOf(marker, place + 1)) {
      bytes.fill(0xff, place - 12, place)
      found += 1
    }
    writeFileSync(file, bytes)
  }
  assert.ok(found > 0, 'the update is in a file')
}
