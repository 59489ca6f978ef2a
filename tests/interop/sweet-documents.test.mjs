// What yonder adds to y-sweet's API: listing, deleting and copying documents, their versions, and reading them as JSON.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import * as Y from 'yjs'
import { join, taken } from './client.mjs'
import { atEnd } from './ending.mjs'
import { Host, lacks, needs } from './host.mjs'
import { dial } from './raw.mjs'
import { ask } from './request.mjs'
import { applied, at, create, list, post, refused, writer } from './streams.mjs'
import { until } from './waiting.mjs'

const lacking = needs('sweet', 'streams')
const host = lacking.skip ? undefined : await Host.up()
after(() => host?.down())

describe('documents', { concurrency: 4, ...lacking }, () => {
  test('the list is sorted, complete, and comes in pages', async t => {
    const own = await Host.up()
    atEnd(t, () => own.down())
    const names = [...Array.from({ length: 23 }, (_, n) => `doc-${n}`), 'Upper', 'folder/a', 'folder/b', '\u00fc', 'doc']
    for (const name of names) await post(own, await create(own, name), [writer().push(name)])
    await create(own, 'empty')
    await post(own, await create(own, 'elsewhere', { service: 'other' }), [writer().push(1)])
    await create(own, 'deleted')
    await ask(own, 'DELETE', at('deleted'))
    const expected = [...names, 'empty'].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))

    if (lacks('listing')) {
      const sizes = async () => (await ask(own, 'GET', '/docs')).json.docs.filter(({ bytes }) => bytes > 0).length
      await until(async () => await sizes() === names.length, 'the sizes of all are known', 30_000)
    }
    const all = await ask(own, 'GET', '/docs')
    assert.equal(all.status, 200)
    assert.deepEqual(all.json.docs.map(({ docId }) => docId), expected)
    assert.equal(all.json.next, null)
    for (const { docId, bytes, updates } of all.json.docs) {
      if (!lacks('listing')) assert.equal(updates > 0, docId !== 'empty', `${docId}: ${updates} updates`) // else a snapshot has taken their place
      assert.equal(bytes > 0, docId !== 'empty', `${docId}: ${bytes} bytes`)
    }

    for (const limit of [1, 7, 28, 29, 1000]) {
      const found = []
      let after = null
      do {
        const { json } = await ask(own, 'GET', '/docs', { query: { limit, ...(after === null ? {} : { after }) } })
        assert.ok(json.docs.length <= limit)
        found.push(...json.docs.map(({ docId }) => docId))
        after = json.next
      } while (after !== null)
      assert.deepEqual(found, expected, `in pages of ${limit}`)
    }

    const inFolder = await ask(own, 'GET', '/docs', { query: { prefix: 'folder/' } })
    assert.deepEqual(inFolder.json.docs.map(({ docId }) => docId), ['folder/a', 'folder/b'])
    const later = await ask(own, 'GET', '/docs', { query: { prefix: 'folder/', after: 'folder/a' } })
    assert.deepEqual(later.json.docs.map(({ docId }) => docId), ['folder/b'])
    assert.deepEqual((await ask(own, 'GET', '/docs', { query: { prefix: 'none' } })).json, { docs: [], next: null })
    assert.deepEqual((await ask(own, 'GET', '/docs', { query: { service: 'other' } })).json.docs.map(({ docId }) => docId), ['elsewhere'])
    assert.deepEqual((await ask(own, 'GET', '/docs', { query: { service: 'nobody' } })).json.docs, [])
  })

  test('a page has 100 documents unless another number is asked for', async t => {
    const own = await Host.up()
    atEnd(t, () => own.down())
    for (let n = 0; n < 101; n++) await ask(own, 'POST', '/doc/new', { body: { docId: `d${n}` } })
    const { json } = await ask(own, 'GET', '/docs')
    assert.equal(json.docs.length, 100)
    assert.equal(json.next, json.docs.at(-1).docId)
  })

  test('a limit that is none is 400', async () => {
    for (const limit of ['0', '-1', '1001', 'x', '', '1.5', '1e2']) refused(await ask(host, 'GET', `/docs?limit=${limit}`), 400, 'INVALID_REQUEST')
  })

  test('DELETE takes the document from every API, and closes its clients', needs('sockets'), async t => {
    await create(host, 'delete')
    const raw = await dial(t, host, '/d/delete/ws/delete')
    await raw.roundTrip()
    const answer = await ask(host, 'DELETE', '/doc/delete')
    assert.equal(answer.status, 204)
    assert.equal((await raw.untilClosed()).code, 4404)
    refused(await ask(host, 'DELETE', '/doc/delete'), 404, 'DOCUMENT_NOT_FOUND')
    for (const path of ['/d/delete/as-update', '/doc/delete/json', '/doc/delete/versions', at('delete')]) {
      refused(await ask(host, 'GET', path), 404, 'DOCUMENT_NOT_FOUND')
    }
    refused(await ask(host, 'POST', '/doc/delete/auth', { body: {} }), 404, 'DOCUMENT_NOT_FOUND')
    assert.equal((await ask(host, 'GET', '/docs', { query: { prefix: 'delete' } })).json.docs.length, 0)
    assert.equal((await ask(host, 'POST', '/doc/new', { body: { docId: 'delete' } })).status, 200)
    assert.deepEqual([...(await ask(host, 'GET', '/d/delete/as-update')).bytes], [0, 0])
  })

  test('a copy has the content and goes its own way', async t => {
    const path = await create(host, 'original')
    await post(host, path, [writer().push('both')])
    const client = await join(t, host, 'original')
    const copied = await ask(host, 'POST', '/doc/original/copy', { body: { docId: 'copied' } })
    assert.equal(copied.status, 200)
    assert.deepEqual(copied.json, { docId: 'copied' })
    await post(host, path, [writer().push('original')])
    await post(host, at('copied'), [writer().push('copied')])
    assert.deepEqual((await content('copied')).sort(), ['both', 'copied'])
    assert.deepEqual((await content('original')).sort(), ['both', 'original'])
    assert.deepEqual(client.closes, [])
    const random = await ask(host, 'POST', '/doc/original/copy', { body: {} })
    assert.match(random.json.docId, /^[A-Za-z0-9_-]{16,}$/)
    assert.deepEqual((await content(random.json.docId)).sort(), ['both', 'original'])
    assert.equal((await ask(host, 'POST', '/doc/original/copy')).status, 200, 'a body is not needed')
  })

  test('a copy of nothing is 404, onto something 409, to what is no id 400', async () => {
    await create(host, 'source')
    await post(host, await create(host, 'taken'), [writer().push('mine')])
    refused(await ask(host, 'POST', '/doc/missing/copy', { body: {} }), 404, 'DOCUMENT_NOT_FOUND')
    refused(await ask(host, 'POST', '/doc/source/copy', { body: { docId: 'taken' } }), 409, 'DOCUMENT_EXISTS')
    refused(await ask(host, 'POST', '/doc/source/copy', { body: { docId: 'source' } }), 409, 'DOCUMENT_EXISTS')
    for (const docId of ['a/b', '', 7]) refused(await ask(host, 'POST', '/doc/source/copy', { body: { docId } }), 400, 'INVALID_REQUEST')
    assert.deepEqual(await content('taken'), ['mine'])
  })

  test('a copy of a compacted document of a megabyte is whole, also after kill -9', needs('kill', 'options'), async t => {
    const own = await Host.up({ options: ['--compact-kb', '1', '--compact-updates', '20'] })
    atEnd(t, () => own.down())
    const path = await create(own, 'large')
    const { doc, push } = writer()
    for (let n = 0; n < 50; n++) await post(own, path, [push(`${n}`.repeat(10_000))])
    assert.equal((await ask(own, 'POST', '/doc/large/copy', { body: { docId: 'copy' } })).status, 200)
    await own.kill()
    await own.start()
    assert.deepEqual(list(applied([(await ask(own, 'GET', '/d/copy/as-update')).bytes])), list(doc))
  })
})

describe('a document as JSON', { concurrency: 4, ...lacking }, () => {
  test('is what toJSON of its roots gives', async t => {
    await create(host, 'json')
    const client = await join(t, host, 'json')
    const { doc } = client
    doc.getText('text').insert(0, 'Hello, w\u00f6rld \u{1f680}')
    doc.getText('text').format(0, 5, { bold: true })
    doc.getArray('array').push([1, -2.5, null, true, 'x', { y: [] }])
    doc.getMap('map').set('nested', new Y.Map([['list', Y.Array.from([1, new Y.Text('leaf')])]]))
    doc.getMap('map').set('gone', 1)
    doc.getMap('map').delete('gone')
    doc.getMap('map').set('large', 2 ** 52)
    const element = new Y.XmlElement('p')
    element.setAttribute('class', 'lead')
    element.insert(0, [new Y.XmlText('inside')])
    doc.getXmlFragment('xml').insert(0, [element])
    const path = at('json')
    await until(async () => {
      const { bytes } = await ask(host, 'GET', '/d/json/as-update')
      return Y.equalSnapshots(Y.snapshot(applied([bytes])), Y.snapshot(doc)) && path
    }, 'all of it is stored')
    const answer = await ask(host, 'GET', '/doc/json/json')
    assert.equal(answer.status, 200)
    assert.match(answer.headers['content-type'], /^application\/json/)
    assert.deepEqual(answer.json, doc.toJSON())
    assert.deepEqual((await ask(host, 'GET', '/d/json/json')).json, answer.json)
  })

  test('an empty one is an empty object, a missing one 404', async () => {
    await create(host, 'json-empty')
    assert.deepEqual((await ask(host, 'GET', '/doc/json-empty/json')).json, {})
    refused(await ask(host, 'GET', '/doc/json-missing/json'), 404, 'DOCUMENT_NOT_FOUND')
  })

  test('it follows what every kind of client writes', async t => {
    for (const transport of taken()) {
      const name = 'json-' + transport.replaceAll(' ', '-')
      const client = await join(t, host, name, { transport })
      client.doc.getMap('map').set('by', transport)
      await until(async () => (await ask(host, 'GET', `/doc/${name}/json`)).json.map?.by === transport, `the edit by ${transport}`)
    }
  })
})

async function content (docId) {
  return list(applied([(await ask(host, 'GET', `/d/${docId}/as-update`)).bytes]))
}
