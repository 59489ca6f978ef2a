// Tokens on HTTP: who may read, write and manage which document, in which service, and until when.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { converge, join, sees, taken } from './client.mjs'
import { Host, needs } from './host.mjs'
import { ask, hold } from './request.mjs'
import { at, create, entriesOf, eventFrames, framed, list, poll, post, read, readDocument, refused, show, stream, writer } from './streams.mjs'
import { mint, seconds } from './token.mjs'
import { never, until } from './waiting.mjs'

const SECRET = 'a secret for the tests of HTTP, long enough'
const token = claims => mint(SECRET, { exp: seconds(600), perm: 'write', sub: 'user', ...claims }, { kid: 'k1' })
const ADMIN = token({ prefix: '', perm: 'admin' })

const lacking = needs('auth', 'streams')
const host = lacking.skip ? undefined : await Host.up({ keys: [`k1:${SECRET}`] })
after(() => host?.down())

const make = doc => create(host, doc, { token: ADMIN })
const edit = () => framed(writer().push('edit'))
const presence = () => framed(Uint8Array.of(1, 5, 1, 2, 123, 125))

/** Requests of a document, by the least that they take. */
const requests = doc => ({
  read: [['GET', at(doc)], ['HEAD', at(doc)], ['GET', at(doc) + '?offset=snapshot'], ['GET', at(doc) + '?offset=-1&live=long-poll'],
    ['GET', at(doc) + '?awareness=default&offset=now'], ['POST', at(doc) + '?awareness=default', presence()], ['PUT', at(doc) + '?awareness=new'], ['PUT', at(doc)],
    ['GET', `/d/${doc}/as-update`], ['GET', `/doc/${doc}/json`], ['GET', `/doc/${doc}/versions`]],
  write: [['POST', at(doc), edit()], ['POST', `/d/${doc}/update`, writer().push('x')], ['POST', `/doc/${doc}/versions`, {}], ['DELETE', at(doc) + '?awareness=new']],
  admin: [['POST', `/doc/${doc}/auth`, {}], ['POST', `/doc/${doc}/copy`, {}], ['POST', '/doc/new', { docId: doc }], ['GET', '/docs'], ['DELETE', at(doc)]]
})

describe('tokens on HTTP', { concurrency: 6, ...lacking }, () => {
  test('without one, and with one that is none, everything is 401', async () => {
    await post(host, await make('locked'), [writer().push('secret')], { token: ADMIN })
    const bad = {
      none: undefined,
      empty: '',
      nonsense: 'nonsense',
      expired: token({ doc: 'locked', exp: seconds(-5) }),
      foreign: mint('another secret, long enough to be one', { prefix: '', perm: 'admin', exp: seconds(600) }, { kid: 'k1' }),
      'of no algorithm': mint(SECRET, { prefix: '', perm: 'admin', exp: seconds(600) }, { kid: 'k1', alg: 'none' }),
      'of an unknown permission': token({ doc: 'locked', perm: 'root' })
    }
    for (const [what, value] of Object.entries(bad)) {
      for (const [method, path, body] of Object.values(requests('locked')).flat()) {
        if (method === 'HEAD') assert.equal((await ask(host, method, path, { token: value })).status, 401, `${what}: ${method} ${path}`)
        else refused(await ask(host, method, path, { token: value, body }), 401, 'UNAUTHORIZED')
      }
    }
    assert.equal((await ask(host, 'GET', '/ready')).status, 200, 'only readiness is for everyone')
    assert.deepEqual(list(await readDocument(host, at('locked'), { token: ADMIN })), ['secret'])
  })

  for (const [level, allowed] of [['read', ['read']], ['write', ['read', 'write']], ['admin', ['read', 'write', 'admin']]]) {
    test(`a token to ${level} does what it may and nothing else`, async () => {
      const doc = `may-${level}`
      await post(host, await make(doc), [writer().push('there')], { token: ADMIN })
      const claims = level === 'admin' ? { prefix: '', perm: level } : { doc, perm: level }
      for (const [needed, list] of Object.entries(requests(doc))) {
        for (const [method, path, body] of list) {
          const answer = await ask(host, method, path, { token: token(claims), body })
          const what = `${method} ${path} with ${level}: ${answer.status} ${answer.text}`
          if (allowed.includes(needed)) assert.ok(answer.status < 400, what)
          else {
            assert.equal(answer.status, 403, what)
            refused(answer, 403, 'FORBIDDEN')
          }
        }
      }
    })
  }

  test('a token to read finds a document by PUT but makes none', async () => {
    await make('exists')
    assert.equal((await ask(host, 'PUT', at('exists'), { token: token({ doc: 'exists', perm: 'read' }) })).status, 200)
    refused(await ask(host, 'PUT', at('exists-not'), { token: token({ doc: 'exists-not', perm: 'read' }) }), 403, 'FORBIDDEN')
    assert.equal((await ask(host, 'PUT', at('exists-not'), { token: token({ doc: 'exists-not' }) })).status, 201)
  })

  test('it is taken from the query and from the header alike', async () => {
    await make('where')
    const good = token({ doc: 'where' })
    assert.equal((await ask(host, 'GET', at('where'), { query: { token: good } })).status, 200)
    assert.equal((await ask(host, 'GET', at('where'), { token: good })).status, 200)
    assert.equal((await ask(host, 'GET', at('where'), { headers: { authorization: `bearer ${good}` } })).status, 200)
    assert.equal((await ask(host, 'GET', at('where'), { headers: { authorization: `Basic ${good}` } })).status, 401)
    assert.equal((await ask(host, 'POST', '/d/where/update', { query: { token: good }, body: writer().push(1) })).status, 200)
    const redirect = await ask(host, 'GET', at('where') + '?offset=snapshot', { query: { token: good } })
    assert.equal(new URL(redirect.headers.location, host.url + at('where')).searchParams.get('token'), good, 'and goes along with a redirect')
  })

  test('it opens its own documents and no other: 403', async () => {
    for (const doc of ['mine', 'team/a', 'teams/a']) await make(doc)
    for (const [claims, doc, opens] of [[{ doc: 'mine' }, 'mine', true], [{ doc: 'mine' }, 'team/a', false], [{ prefix: 'team/' }, 'team/a', true],
      [{ prefix: 'team/' }, 'teams/a', false], [{ prefix: 'team/' }, 'mine', false], [{ doc: 'Mine' }, 'mine', false]]) {
      for (const [method, path, body] of [['GET', at(doc)], ['POST', at(doc), edit()], ['POST', at(doc) + '?awareness=default', presence()], ['GET', at(doc) + '?offset=now&live=sse'],
        ['GET', `/d/${encodeURIComponent(doc)}/as-update`]]) {
        const held = hold({ after () {} }, host, path, { method, body, token: token(claims) })
        await held.opened
        assert.equal(held.status, opens ? { GET: 200, POST: 204 }[method] : 403, `${JSON.stringify(claims)} ${method} ${path}`)
        held.abort()
      }
    }
    refused(await ask(host, 'GET', at('not-there'), { token: token({ doc: 'mine' }) }), 403, 'FORBIDDEN') // nor does it tell what exists
  })

  test('a token for one service is none for another', async () => {
    for (const service of ['default', 'tenant']) await create(host, 'same', { service, token: token({ prefix: '', perm: 'admin', service }) })
    const tenant = token({ doc: 'same', service: 'tenant' })
    assert.equal((await ask(host, 'GET', at('same', 'tenant'), { token: tenant })).status, 200)
    refused(await ask(host, 'GET', at('same'), { token: tenant }), 403, 'FORBIDDEN')
    refused(await ask(host, 'GET', at('same', 'tenant'), { token: token({ doc: 'same' }) }), 403, 'FORBIDDEN')
    refused(await ask(host, 'GET', '/d/same/as-update', { token: tenant }), 403, 'FORBIDDEN')
    refused(await ask(host, 'GET', '/docs', { query: { service: 'tenant' }, token: ADMIN }), 403, 'FORBIDDEN')
    const listed = await ask(host, 'GET', '/docs', { query: { service: 'tenant' }, token: token({ prefix: '', perm: 'admin', service: 'tenant' }) })
    assert.deepEqual(listed.json.docs.map(({ docId }) => docId), ['same'])
  })

  test('an administrator of a folder manages that folder only', async () => {
    for (const doc of ['folder/a', 'outside']) await make(doc)
    const folder = token({ prefix: 'folder/', perm: 'admin' })
    const listed = await ask(host, 'GET', '/docs', { token: folder })
    if (listed.status === 200) assert.deepEqual(listed.json.docs.map(({ docId }) => docId).filter(doc => !doc.startsWith('folder/')), [])
    else refused(listed, 403, 'FORBIDDEN')
    assert.deepEqual((await ask(host, 'GET', '/docs', { query: { prefix: 'folder/' }, token: folder })).json.docs.map(({ docId }) => docId), ['folder/a'])
    refused(await ask(host, 'POST', '/doc/folder%2Fa/copy', { token: folder, body: { docId: 'stolen' } }), 403, 'FORBIDDEN')
    refused(await ask(host, 'POST', '/doc/outside/copy', { token: folder, body: {} }), 403, 'FORBIDDEN')
    refused(await ask(host, 'DELETE', at('outside'), { token: folder }), 403, 'FORBIDDEN')
    refused(await ask(host, 'POST', '/doc/outside/auth', { token: folder, body: {} }), 403, 'FORBIDDEN')
    assert.equal((await ask(host, 'DELETE', at('folder/a'), { token: folder })).status, 204)
  })

  test('what auth hands out is for that document, as long and as far as was asked', async () => {
    await make('handed')
    const handed = async body => (await ask(host, 'POST', '/doc/handed/auth', { token: ADMIN, body })).json.token
    const claimsOf = value => JSON.parse(Buffer.from(value.split('.')[1], 'base64url'))
    const [full, reading, short] = [await handed({}), await handed({ authorization: 'read-only', userId: 'maya' }), await handed({ validForSeconds: 60 })]
    for (const [value, length] of [[full, 3600], [reading, 3600], [short, 60]]) {
      const left = claimsOf(value).exp - Date.now() / 1000
      assert.ok(Math.abs(left - length) < 5, `${left} s`)
    }
    assert.equal((await ask(host, 'POST', '/d/handed/update', { token: full, body: writer().push(1) })).status, 200)
    refused(await ask(host, 'POST', '/d/handed/update', { token: reading, body: writer().push(1) }), 403, 'FORBIDDEN')
    assert.equal((await ask(host, 'GET', '/d/handed/as-update', { token: reading })).status, 200)
    await make('handed-not')
    refused(await ask(host, 'GET', '/d/handed-not/as-update', { token: full }), 403, 'FORBIDDEN')
  })

  test('held reads end when their token expires, and not before', { ...needs('expiry'), timeout: 60_000 }, async t => {
    await make('expiry')
    const exp = seconds(3)
    const value = token({ doc: 'expiry', exp })
    const polled = poll(t, host, at('expiry'), 'now', { token: value })
    const seen = poll(t, host, at('expiry'), 'now', { token: value, query: { awareness: 'default' } })
    const events = await stream(t, host, at('expiry'), 'now', { token: value })
    await Promise.all([polled.ended, seen.ended, events.ended].map(ended => until(() => ended.then(() => true, () => true), 'it ends', 15_000)))
    assert.ok(Date.now() / 1000 >= exp - 1, 'not before')
    assert.ok(Date.now() / 1000 < exp + 8, 'within seconds')
    refused(await ask(host, 'GET', at('expiry'), { token: value }), 401, 'UNAUTHORIZED')
    await post(host, at('expiry'), [writer().push('later')], { token: ADMIN })
    assert.deepEqual(eventFrames(events), [])
  })
})

for (const transport of taken()) {
  describe(`tokens by ${transport}`, { concurrency: 4, ...lacking }, () => {
    const name = doc => `${transport.replaceAll(' ', '-')}_${doc}`
    const enter = (t, doc, claims, options) => join(t, host, name(doc), { transport, token: token({ doc: name(doc), ...claims }), ...options })

    test('a token opens its document', async t => {
      await make(name('open'))
      const [a, b] = [await enter(t, 'open'), await enter(t, 'open', { doc: undefined, prefix: name('op') })]
      a.doc.getMap('map').set('opened', true)
      await converge([a, b])
    })

    test('a token of another document, an expired one and none get nothing', async t => {
      await post(host, await make(name('closed')), [writer().push('secret')], { token: ADMIN })
      const clients = [await enter(t, 'closed', { doc: 'other' }, { wait: false }), await enter(t, 'closed', { exp: seconds(-10) }, { wait: false }),
        await enter(t, 'closed', {}, { wait: false, token: 'nonsense' })]
      for (const [i, code] of [403, 401, 401].entries()) {
        await until(() => clients[i].closes.length > 0, 'it is refused')
        assert.equal(clients[i].closes[0].code % 4000, code)
        clients[i].wanted = false
      }
      for (const client of clients) {
        assert.equal(client.synced, false)
        assert.equal(client.doc.store.clients.size, 0)
        await client.leave()
      }
    })

    test('a token to read reads and shows its presence; what it writes goes nowhere', async t => {
      await make(name('reading'))
      const author = await enter(t, 'reading', {}, { state: { name: 'author' } })
      const reader = await enter(t, 'reading', { perm: 'read' }, { state: { name: 'reader' } })
      author.doc.getText('text').insert(0, 'to read')
      await until(() => reader.doc.getText('text').toString() === 'to read', 'the reader gets the edit')
      await sees(author, reader, { name: 'reader' })
      await sees(reader, author, { name: 'author' })
      const { warn } = console
      console.warn = () => {} // y-sweet's client warns
      reader.doc.getText('text').insert(0, 'not ')
      console.warn = warn
      author.doc.getText('text').insert(7, ' on')
      await until(() => reader.doc.getText('text').toString() === 'not to read on', 'and still reads')
      await never(() => author.doc.getText('text').toString() !== 'to read on', 'it was written', 500)
      assert.equal((await readDocument(host, at(name('reading')), { token: ADMIN })).getText('text').toString(), 'to read on')
    })
  })
}

describe('without keys, on this machine', { concurrency: 4, ...needs('streams') }, () => {
  const own = needs('streams').skip ? undefined : Host.up()
  after(async () => (await own)?.down())
  const paths = [['GET', '/v1/yjs/default/docs/doc'], ['PUT', '/v1/yjs/default/docs/doc'], ['GET', '/docs'], ['POST', '/doc/new'], ['GET', '/d/doc/as-update'], ['DELETE', '/doc/doc']]

  test('pages of this machine and programs may do everything', async () => {
    const server = await own
    for (const origin of [undefined, 'http://localhost:3000', `http://127.0.0.1:${server.port}`, 'http://[::1]:8080']) {
      assert.ok((await ask(server, 'PUT', at('doc'), { headers: origin ? { origin } : {} })).status < 300, origin)
    }
    await show(server, at('doc'), [[1, 1, {}]])
    assert.equal(entriesOf((await read(server, at('doc'), 'now', { query: { awareness: 'default' } })).frames).length, 1)
  })

  test('pages of other sites, and other names for this machine, may do nothing', async () => {
    const server = await own
    await create(server, 'doc')
    for (const headers of [{ origin: 'https://evil.example' }, { origin: 'null' }, { origin: 'http://localhost.evil.example' }, { host: 'evil.example' }]) {
      for (const [method, path] of paths) refused(await ask(server, method, path, { headers }), 403, 'FORBIDDEN_ORIGIN')
    }
    assert.equal((await ask(server, 'GET', at('doc'))).status, 200, 'it is still there')
  })
})
