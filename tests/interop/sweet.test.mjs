// y-sweet's HTTP API, request by request. What y-sweet 0.9.1 has too is answered as it does, but for what its notes call
// holes: its errors have no body, it reads a misspelt authorization as full access, and it makes documents by reading them.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import * as Y from 'yjs'
import { join } from './client.mjs'
import { Host, lacks, needs } from './host.mjs'
import { dial, isStep2 } from './raw.mjs'
import { ask } from './request.mjs'
import { applied, list, refused, writer } from './streams.mjs'
import { until } from './waiting.mjs'

const lacking = needs('sweet')
const host = lacking.skip ? undefined : await Host.up()
after(() => host?.down())

const EMPTY = [0, 0]

describe("y-sweet's API", { concurrency: 4, ...lacking }, () => {
  test('it says that it is there and that its store is', async () => {
    for (const [method, path] of [['GET', '/ready'], ['GET', '/check_store'], ['POST', '/check_store']]) {
      const answer = await ask(host, method, path, method === 'POST' ? { body: {} } : {})
      assert.equal(answer.status, 200)
      if (path === '/check_store') assert.deepEqual(answer.json, { ok: true })
    }
  })

  test('a document gets the id that is asked for, once and again', async () => {
    for (let n = 0; n < 2; n++) {
      const answer = await ask(host, 'POST', '/doc/new', { body: { docId: 'Named_1-a', unknown: true } })
      assert.equal(answer.status, 200)
      assert.deepEqual(answer.json, { docId: 'Named_1-a' })
      if (n === 0) await update('Named_1-a', 'kept')
    }
    assert.deepEqual(await content('Named_1-a'), ['kept'], 'the second time changes nothing')
  })

  test('without an id it gets one that nobody has', async () => {
    const ids = new Set()
    for (const body of [{}, { docId: null }, undefined, '', '{}']) {
      const answer = await ask(host, 'POST', '/doc/new', { body })
      assert.equal(answer.status, 200, answer.text)
      assert.match(answer.json.docId, /^[A-Za-z0-9_-]{16,}$/)
      ids.add(answer.json.docId)
      assert.deepEqual([...(await ask(host, 'GET', `/d/${answer.json.docId}/as-update`)).bytes], EMPTY)
    }
    assert.equal(ids.size, 5)
  })

  test('what is no id, and what is no JSON, is 400', async () => {
    for (const docId of ['', 'a/b', 'a b', 'a.b', '..', 'ü', '%41', 'a\u0000', 7, {}, [], true, 'x'.repeat(5000)]) {
      refused(await ask(host, 'POST', '/doc/new', { body: { docId } }), 400, 'INVALID_REQUEST')
    }
    for (const body of ['{', '[]', 'null ', '7', '"a"', '{"docId":"a"', '{"docId":"a"}}', '\u00ff']) {
      refused(await ask(host, 'POST', '/doc/new', { body }), 400, 'INVALID_REQUEST')
    }
  })

  test('auth tells where the document is, as the caller reaches the server', async () => {
    await make('auth')
    const { host: authority } = new URL(host.url)
    const expected = { url: `ws://${authority}/d/auth/ws`, baseUrl: `http://${authority}/d/auth`, docId: 'auth', authorization: 'full' }
    for (const body of [{}, undefined, { authorization: 'full' }, { userId: 'u', validForSeconds: 10 }, { unknown: 1 }]) {
      const answer = await ask(host, 'POST', '/doc/auth/auth', { body })
      assert.equal(answer.status, 200, answer.text)
      assert.deepEqual(answer.json, expected)
    }
    const reading = await ask(host, 'POST', '/doc/auth/auth', { body: { authorization: 'read-only' } })
    assert.deepEqual(reading.json, { ...expected, authorization: 'read-only' })
    const named = await ask(host, 'POST', '/doc/auth/auth', { body: {}, headers: { host: `localhost:${host.port}` } })
    assert.equal(named.json.url, `ws://localhost:${host.port}/d/auth/ws`)
    assert.equal(named.json.baseUrl, `http://localhost:${host.port}/d/auth`)
  })

  test('auth of nothing is 404, a wish that it does not understand 400', async () => {
    refused(await ask(host, 'POST', '/doc/missing/auth', { body: {} }), 404, 'DOCUMENT_NOT_FOUND')
    await make('wishes')
    for (const body of [{ authorization: 'admin' }, { authorization: 'Read-Only' }, { authorization: 7 }, { validForSeconds: 'x' }, { validForSeconds: -1 },
      { validForSeconds: 1.5 }, '{', '[]']) {
      refused(await ask(host, 'POST', '/doc/wishes/auth', { body }), 400, 'INVALID_REQUEST')
    }
    assert.equal((await ask(host, 'HEAD', '/v1/yjs/default/docs/missing')).status, 404, 'and asking makes nothing')
  })

  for (const base of ['d', 'doc']) {
    test(`/${base}/ID/as-update and /${base}/ID/update read and write it`, async () => {
      const id = `updates-${base}`
      await make(id)
      const empty = await ask(host, 'GET', `/${base}/${id}/as-update`)
      assert.equal(empty.status, 200)
      assert.match(empty.headers['content-type'], /^application\/octet-stream/)
      assert.deepEqual([...empty.bytes], EMPTY)
      const { push, updates } = writer()
      for (const word of ['one', 'two', 'three']) push(word)
      for (const one of updates.toReversed()) {
        const answer = await ask(host, 'POST', `/${base}/${id}/update?z=1`, { body: one })
        assert.equal(answer.status, 200)
        assert.equal(answer.bytes.length, 0)
      }
      const { bytes } = await ask(host, 'GET', `/${base}/${id}/as-update?z=2`)
      assert.deepEqual(list(applied([bytes])), ['one', 'two', 'three'])
    })
  }

  test('a missing document is 404 to read and to write, and is not made by that', async () => {
    for (const base of ['d', 'doc']) {
      refused(await ask(host, 'GET', `/${base}/missing/as-update`), 404, 'DOCUMENT_NOT_FOUND')
      refused(await ask(host, 'POST', `/${base}/missing/update`, { body: writer().push(1) }), 404, 'DOCUMENT_NOT_FOUND')
      refused(await ask(host, 'GET', `/${base}/missing/as-update`), 404, 'DOCUMENT_NOT_FOUND')
    }
  })

  test('an update that is none is 400 and leaves no trace', async () => {
    await make('malformed')
    for (const body of [new Uint8Array(), Uint8Array.of(255, 255, 255), writer().push('x'.repeat(50)).slice(0, -5), 'text']) {
      refused(await ask(host, 'POST', '/d/malformed/update', { body }), 400, 'INVALID_REQUEST')
    }
    assert.deepEqual([...(await ask(host, 'GET', '/d/malformed/as-update')).bytes], EMPTY)
  })

  test('an update reaches a client that is connected, and its edits are read at once', needs('sockets'), async t => {
    await make('live')
    const client = await join(t, host, 'live', { transport: 'y-sweet' })
    await update('live', 'posted')
    client.doc.getArray('list').push(['typed'])
    await client.untilStored()
    assert.deepEqual((await content('live')).sort(), ['posted', 'typed'])
  })

  test('the socket is at /d/ID/ws/ID and /doc/ws/ID; other parameters are ignored', needs('sockets'), async t => {
    await make('socket')
    await update('socket', 'there')
    for (const path of ['/d/socket/ws/socket', '/d/socket/ws/socket?z=1&x=', '/doc/ws/socket', '/ws/socket']) {
      const raw = await dial(t, host, path)
      assert.deepEqual(list(applied([await raw.roundTrip()])), ['there'], path)
    }
  })

  test('ids that differ are refused: 400, and 4400 on a socket', needs('sockets'), async t => {
    await make('mine')
    refused(await ask(host, 'GET', '/d/mine/ws/yours'), 400, 'INVALID_REQUEST')
    const raw = await dial(t, host, '/d/mine/ws/yours')
    assert.equal((await raw.untilClosed()).code, 4400)
    assert.equal(raw.count(isStep2), 0)
  })

  test('a socket without an upgrade is 426', async () => {
    for (const path of ['/d/a/ws/a', '/doc/ws/a']) {
      const answer = await ask(host, 'GET', path)
      refused(answer, 426, 'UPGRADE_REQUIRED')
    }
  })

  test('an id with a slash in it is one segment, percent-encoded', needs('sockets'), async t => {
    const client = await join(t, host, 'folder/doc')
    client.doc.getArray('list').push(['in a folder'])
    const late = await join(t, host, 'folder/doc')
    // It may come before the edit is stored.
    await until(() => late.doc.getArray('list').length === 1, 'it has the edit')
    const raw = await dial(t, host, '/d/folder%2Fdoc/ws/folder%2Fdoc')
    assert.deepEqual(list(applied([await raw.roundTrip()])), ['in a folder'])
    refused(await ask(host, 'GET', '/d/folder/doc/as-update'), 404, 'NOT_FOUND')
    refused(await ask(host, 'GET', '/d/..%2Fdoc/as-update'), 400, 'INVALID_REQUEST')
    if (!lacks('dot-segments')) refused(await ask(host, 'GET', '/d/%2e%2e/as-update'), 400, 'INVALID_REQUEST')
  })

  test('methods and paths that are none are 405 and 404, as JSON', async () => {
    for (const [method, path] of [['GET', '/doc/new'], ['DELETE', '/d/a/as-update'], ['GET', '/d/a/update'], ['GET', '/doc/a/auth'], ['PUT', '/doc/a'],
      ['DELETE', '/ready'], ['POST', '/docs'], ['GET', '/doc/a/copy']]) {
      const answer = await ask(host, method, path)
      refused(answer, 405, 'METHOD_NOT_ALLOWED')
      assert.match(answer.headers.allow ?? '', /[A-Z]{3,}/, `${method} ${path} names what is allowed`)
    }
    for (const path of ['/d', '/d/a/nowhere', '/doc', '/doc/a/nowhere', '/doc/a/versions/v/nowhere', '/docs/']) {
      refused(await ask(host, 'GET', path), 404, 'NOT_FOUND')
    }
  })

  test('the description of all this is JSON, and names the routes', async () => {
    const answer = await ask(host, 'GET', '/openapi.json')
    assert.equal(answer.status, 200)
    assert.match(answer.headers['content-type'], /^application\/json/)
    const { openapi, paths } = answer.json
    assert.match(openapi, /^3\./)
    for (const path of ['/doc/new', '/docs', '/check_store', '/ready']) assert.ok(path in paths, `${path} is described`)
    for (const part of ['as-update', 'update', 'auth', 'copy', 'versions', 'restore', 'json', '/v1/yjs']) {
      assert.ok(Object.keys(paths).some(path => path.includes(part)), `${part} is described`)
    }
  })
})

async function make (docId) {
  const answer = await ask(host, 'POST', '/doc/new', { body: { docId } })
  assert.equal(answer.status, 200, answer.text)
}

async function update (docId, ...items) {
  const doc = new Y.Doc()
  doc.getArray('list').push(items)
  const answer = await ask(host, 'POST', `/d/${docId}/update`, { body: Y.encodeStateAsUpdate(doc) })
  assert.equal(answer.status, 200, answer.text)
}

async function content (docId) {
  return list(applied([(await ask(host, 'GET', `/d/${docId}/as-update`)).bytes]))
}
