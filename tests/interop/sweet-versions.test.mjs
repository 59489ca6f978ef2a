// Versions of a document: kept copies that can be read, and restored while everyone is editing.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import * as Y from 'yjs'
import { converge, join, taken } from './client.mjs'
import { atEnd } from './ending.mjs'
import { Host, needs } from './host.mjs'
import { ask } from './request.mjs'
import { applied, at, create, list, post, readDocument, refused, writer } from './streams.mjs'
import { pauseFor, until } from './waiting.mjs'

const lacking = needs('sweet', 'streams')
const host = lacking.skip ? undefined : await Host.up()
after(() => host?.down())

describe('versions', { concurrency: 4, ...lacking }, () => {
  test('one is made with a name or without, and tells when and how large', async () => {
    const path = await create(host, 'make')
    await post(host, path, [writer().push('content')])
    const before = Date.now()
    const { status, json } = await ask(host, 'POST', '/doc/make/versions', { body: { name: 'Dr\u00e4ft 1' } })
    assert.equal(status, 201)
    assert.deepEqual(Object.keys(json).sort(), ['bytes', 'createdAt', 'name', 'versionId'])
    assert.match(json.versionId, /^[A-Za-z0-9_-]+$/)
    assert.equal(json.name, 'Dr\u00e4ft 1')
    assert.ok(json.createdAt >= before - 1000 && json.createdAt <= Date.now() + 1000, `${json.createdAt} is milliseconds since 1970`)
    assert.ok(json.bytes > 0)
    for (const body of [{}, undefined, '', { name: null }]) {
      const unnamed = await ask(host, 'POST', '/doc/make/versions', { body })
      assert.equal(unnamed.status, 201, unnamed.text)
      assert.ok([null, ''].includes(unnamed.json.name ?? null), unnamed.text)
    }
  })

  test('they are listed, the newest first', async () => {
    await create(host, 'list')
    const made = []
    for (let n = 0; n < 5; n++) made.push((await ask(host, 'POST', '/doc/list/versions', { body: { name: `v${n}` } })).json)
    const { status, json } = await ask(host, 'GET', '/doc/list/versions')
    assert.equal(status, 200)
    assert.deepEqual(json.versions, made.toReversed())
    assert.equal(new Set(made.map(({ versionId }) => versionId)).size, 5)
    await create(host, 'list-none')
    assert.deepEqual((await ask(host, 'GET', '/doc/list-none/versions')).json, { versions: [] })
  })

  test('one is read as it was, whatever was edited since', async () => {
    const path = await create(host, 'read')
    const { push } = writer()
    const versions = []
    for (let n = 0; n < 4; n++) {
      await post(host, path, [push(n)])
      versions.push(await version('read'))
    }
    for (const [n, id] of versions.entries()) {
      const answer = await ask(host, 'GET', `/doc/read/versions/${id}/as-update`)
      assert.equal(answer.status, 200)
      assert.match(answer.headers['content-type'], /^application\/octet-stream/)
      assert.deepEqual(list(applied([answer.bytes])), Array.from({ length: n + 1 }, (_, i) => i))
    }
  })

  test('one is read as JSON', async () => {
    const path = await create(host, 'json')
    await post(host, path, [writer().push('then')])
    const id = await version('json')
    await post(host, path, [writer().push('now')])
    const answer = await ask(host, 'GET', `/doc/json/versions/${id}/json`)
    assert.equal(answer.status, 200)
    assert.deepEqual(answer.json, { list: ['then'] })
  })

  test('one is deleted, and only that one', async () => {
    await create(host, 'delete')
    const [first, second] = [await version('delete'), await version('delete')]
    assert.equal((await ask(host, 'DELETE', `/doc/delete/versions/${first}`)).status, 204)
    refused(await ask(host, 'DELETE', `/doc/delete/versions/${first}`), 404, 'VERSION_NOT_FOUND')
    assert.deepEqual((await ask(host, 'GET', '/doc/delete/versions')).json.versions.map(({ versionId }) => versionId), [second])
  })

  test('a version that is none is 404 to everything', async () => {
    await create(host, 'missing')
    const elsewhere = await create(host, 'elsewhere') && await version('elsewhere')
    for (const id of ['nothing', '0', '%00', 'x'.repeat(1000), elsewhere]) {
      for (const [method, end] of [['GET', '/as-update'], ['GET', '/json'], ['POST', '/restore'], ['DELETE', '']]) {
        const answer = await ask(host, method, `/doc/missing/versions/${id}${end}`)
        assert.ok(answer.status === 404 || (answer.status === 400 && id !== elsewhere), `${method} ${id}: ${answer.status}`)
        assert.ok(['VERSION_NOT_FOUND', 'INVALID_REQUEST'].includes(answer.json.error.code), answer.text)
      }
    }
    for (const [method, path] of [['GET', '/doc/no-doc/versions'], ['POST', '/doc/no-doc/versions'], ['GET', '/doc/no-doc/versions/v/as-update']]) {
      refused(await ask(host, method, path), 404, 'DOCUMENT_NOT_FOUND')
    }
  })

  test('a body that is no JSON or no name is 400', async () => {
    await create(host, 'malformed')
    for (const body of ['{', '[]', { name: 7 }, { name: {} }, { name: 'x'.repeat(10_000) }]) {
      refused(await ask(host, 'POST', '/doc/malformed/versions', { body }), 400, 'INVALID_REQUEST')
    }
    assert.deepEqual((await ask(host, 'GET', '/doc/malformed/versions')).json.versions, [])
  })

  test('they survive a restart and kill -9, and go with the document', needs('restart', 'kill'), async t => {
    const own = await Host.up()
    atEnd(t, () => own.down())
    const path = await create(own, 'kept')
    await post(own, path, [writer().push('kept')])
    const { versionId } = (await ask(own, 'POST', '/doc/kept/versions', { body: { name: 'kept' } })).json
    for (const end of ['stop', 'kill']) {
      await own[end]()
      await own.start()
      assert.deepEqual(list(applied([(await ask(own, 'GET', `/doc/kept/versions/${versionId}/as-update`)).bytes])), ['kept'])
    }
    await ask(own, 'DELETE', path)
    await create(own, 'kept')
    assert.deepEqual((await ask(own, 'GET', '/doc/kept/versions')).json, { versions: [] })
    refused(await ask(own, 'GET', `/doc/kept/versions/${versionId}/as-update`), 404, 'VERSION_NOT_FOUND')
  })

  test('there is a limit to their number, and making room helps', { timeout: 120_000 }, async () => {
    await create(host, 'many')
    let answer
    let made = 0
    do {
      answer = await ask(host, 'POST', '/doc/many/versions', { body: {} })
      made += answer.status === 201
    } while (answer.status === 201 && made < 5000)
    refused(answer, 409, 'TOO_MANY_VERSIONS')
    const { versions } = (await ask(host, 'GET', '/doc/many/versions')).json
    assert.equal(versions.length, made)
    assert.equal((await ask(host, 'DELETE', `/doc/many/versions/${versions.at(-1).versionId}`)).status, 204)
    assert.equal((await ask(host, 'POST', '/doc/many/versions', { body: {} })).status, 201)
  })
})

describe('restoring', { concurrency: 4, ...lacking }, () => {
  test('it is an edit that everyone sees live, and what was meanwhile is history and no longer visible', async t => {
    const clients = await Promise.all(taken().map(transport => join(t, host, 'restore', { transport })))
    const [first] = clients
    const { doc } = first
    doc.getText('text').insert(0, 'as it was')
    doc.getText('text').format(0, 2, { bold: true })
    doc.getArray('array').push([1, 2, 3])
    doc.getMap('map').set('key', new Y.Map([['inner', 'then']]))
    const paragraph = new Y.XmlElement('p')
    paragraph.insert(0, [new Y.XmlText('inside')])
    doc.getXmlFragment('xml').insert(0, [paragraph])
    await converge(clients)
    await stored('restore', doc)
    const then = JSON.stringify(content(doc))
    const id = await version('restore')

    clients.forEach(({ doc }, i) => {
      doc.getText('text').insert(0, `${i} `)
      doc.getArray('array').delete(0, 1)
      doc.getMap('map').set(`new ${i}`, i)
    })
    await converge(clients)
    doc.getMap('map').get('key').set('inner', 'now')
    doc.getXmlFragment('xml').get(0).setAttribute('class', 'new')
    doc.getText('text').delete(0, 5)
    await converge(clients)
    await stored('restore', doc)
    assert.notEqual(JSON.stringify(content(doc)), then)

    assert.equal((await ask(host, 'POST', `/doc/restore/versions/${id}/restore`)).status, 200)
    await until(() => clients.every(client => JSON.stringify(content(client.doc)) === then),
      () => `everyone sees it as it was: ${clients.map(client => JSON.stringify(content(client.doc))).join('\n')}`)
    await converge(clients)
    for (const client of clients) assert.deepEqual(client.closes, [])
    const late = await join(t, host, 'restore')
    assert.equal(JSON.stringify(content(late.doc)), then)
    assert.ok(late.doc.store.clients.size > 1, 'an ordinary edit after the others, not another history')
    clients.at(-1).doc.getText('text').insert(0, 'and on: ')
    await converge([...clients, late])
  })

  test('restoring the newest changes nothing that can be seen, twice neither', async t => {
    const client = await join(t, host, 'restore-same')
    client.doc.getArray('list').push(['a', 'b'])
    await stored('restore-same', client.doc)
    const id = await version('restore-same')
    for (let n = 0; n < 2; n++) assert.equal((await ask(host, 'POST', `/doc/restore-same/versions/${id}/restore`)).status, 200)
    await pauseFor(300)
    assert.deepEqual(list(client.doc), ['a', 'b'])
    assert.deepEqual(list(await readDocument(host, at('restore-same'))), ['a', 'b'])
  })

  test('an empty document is restored too, and then the last version again', async () => {
    const path = await create(host, 'restore-empty')
    const empty = await version('restore-empty')
    await post(host, path, [writer().push('something')])
    const something = await version('restore-empty')
    for (const [id, expected] of [[empty, []], [something, ['something']], [empty, []]]) {
      assert.equal((await ask(host, 'POST', `/doc/restore-empty/versions/${id}/restore`)).status, 200)
      assert.deepEqual(list(await readDocument(host, path)), expected)
    }
  })

  test('what somebody types meanwhile is not lost', async t => {
    const client = await join(t, host, 'restore-typing')
    client.doc.getText('text').insert(0, 'base')
    await stored('restore-typing', client.doc)
    const id = await version('restore-typing')
    let over = false
    const typing = (async () => {
      for (let n = 0; !over; n++) {
        client.doc.getMap('typed').set(String(n), n)
        await pauseFor(5)
      }
    })()
    try {
      for (let n = 0; n < 5; n++) assert.equal((await ask(host, 'POST', `/doc/restore-typing/versions/${id}/restore`)).status, 200)
    } finally {
      over = true
      await typing
    }
    client.doc.getMap('typed').set('last', true)
    const late = await join(t, host, 'restore-typing')
    await converge([client, late])
    assert.equal(late.doc.getText('text').toString(), 'base')
    assert.equal(late.doc.getMap('typed').get('last'), true)
  })

  test('an answered restore is there after kill -9', needs('kill'), async t => {
    const own = await Host.up()
    atEnd(t, () => own.down())
    const path = await create(own, 'doc')
    await post(own, path, [writer().push('then')])
    const { versionId } = (await ask(own, 'POST', '/doc/doc/versions', { body: {} })).json
    for (let round = 0; round < 3; round++) {
      await post(own, path, [writer().push('now')])
      assert.equal((await ask(own, 'POST', `/doc/doc/versions/${versionId}/restore`)).status, 200)
      await own.kill()
      await own.start()
      assert.deepEqual(list(await readDocument(own, path)), ['then'])
    }
  })
})

async function version (docId) {
  const { status, json, text } = await ask(host, 'POST', `/doc/${docId}/versions`, { body: {} })
  assert.equal(status, 201, text)
  return json.versionId
}

/** Resolves once the server has stored all that `doc` holds. */
function stored (docId, doc) {
  return until(async () => {
    const { status, bytes } = await ask(host, 'GET', `/d/${docId}/as-update`)
    return status === 200 && Y.equalSnapshots(Y.snapshot(applied([bytes])), Y.snapshot(doc))
  }, `${docId} is stored`)
}

function content (doc) {
  return [doc.getText('text').toDelta(), doc.getArray('array').toJSON(), Object.entries(doc.getMap('map').toJSON()).sort(), doc.getXmlFragment('xml').toString()]
}
