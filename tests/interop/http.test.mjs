// What every path has in common: JSON refusals, CORS, methods, and which document names are refused, on all APIs alike.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import * as Y from 'yjs'
import { Host, lacks, needs } from './host.mjs'
import { dial, isStep1 } from './raw.mjs'
import { ask } from './request.mjs'
import { create, list, post, readDocument, refused, writer } from './streams.mjs'

const host = await Host.up()
after(() => host.down())

const BAD_NAMES = {
  'an empty name': '',
  'a dot': '.',
  'two dots': '..',
  'a dot segment': 'a/./b',
  'a parent segment': 'a/../b',
  'a trailing parent segment': 'a/..',
  'an encoded parent segment': 'a/%2e%2e/b',
  'a half-encoded parent segment': 'a/.%2E/b',
  'an encoded dot': '%2E',
  'a parent segment behind an encoded slash': 'a%2F..%2Fb',
  'a null character': 'a%00b',
  'a line feed': 'a%0Ab',
  'a delete character': 'a%7Fb',
  'a name over the limit': 'n'.repeat(5000),
  'a name over the limit once decoded': '%C3%BC'.repeat(2000),
  'invalid UTF-8': 'a%FFb',
  'overlong UTF-8': '%C0%AF',
  'half a surrogate pair': '%ED%A0%80',
  'a truncated percent-encoding': 'a%4',
  'a percent-encoding that is none': 'a%zzb'
}

describe('http', { concurrency: 4 }, () => {
  test('/ready answers 200', async () => {
    assert.equal((await get('/ready')).status, 200)
  })

  if (lacks('sockets')) {
    test('an upgrade is answered with 426 as JSON, or 501 where a proxy is not enabled, which names the other transports', async () => {
      const headers = { connection: 'upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==' }
      const answer = await ask(host, 'GET', '/ws/doc', { headers })
      refused(answer, ...answer.status === 501 ? [501, 'NOT_IMPLEMENTED'] : [426, 'UPGRADE_REQUIRED'])
      for (const word of [answer.status === 501 ? 'Fanout' : 'GRIP', 'live=sse', 'live=long-poll']) assert.ok(answer.text.includes(word), answer.text)
    })
  }

  test('a document without an upgrade answers 426 as JSON', async () => {
    await refusal(await get('/ws/doc'), 426)
  })

  test('an unknown path answers 404 as JSON', async () => {
    for (const path of ['/nowhere', '/wsx/doc', '/%00', '/..', '//']) await refusal(await get(path), 404)
  })

  test('a wrong method answers 405 as JSON', async () => {
    await refusal(await get('/ready', 'DELETE'), 405)
    await refusal(await get('/ws/doc', 'POST'), 405)
  })

  test('/metrics answers in Prometheus text', needs('metrics'), async () => {
    const { status, type, body } = await get('/metrics')
    assert.equal(status, 200)
    assert.match(type, /^(text\/plain|application\/openmetrics-text)\b/)
    for (const line of body.split('\n').filter(Boolean)) {
      assert.match(line, /^(# (HELP|TYPE|UNIT) \S+ .*|# EOF|[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})? [-+0-9.eInfNa]+)$/)
    }
    assert.match(body, /^# TYPE /m)
  })

  test('/metrics counts what happens', needs('sockets', 'metrics'), async t => {
    const count = async name => Number((await get('/metrics')).body.match(new RegExp(`^yonder_${name} (\\S+)$`, 'm'))[1])
    const appends = await count('appends_total')
    const raw = await dial(t, host, '/ws/counted')
    await raw.got(isStep1, 'the server asks what we have')
    const doc = new Y.Doc()
    doc.getText('t').insert(0, 'x')
    raw.step2(Y.encodeStateAsUpdate(doc))
    await raw.stored()
    assert.ok(await count('appends_total') > appends, 'an append')
    assert.ok(await count('append_seconds_total') > 0, 'and its time')
    assert.ok(await count('connections') >= 1, 'a connection')
    raw.send('text')
    await raw.untilClosed()
    assert.ok(await count('closed_total{code="1003"}'.replace(/[{}]/g, '\\$&')) >= 1, 'a connection that we closed')
  })

  for (const [what, name] of Object.entries(BAD_NAMES)) {
    const hasDots = name.split('/').some(segment => /^(\.|%2e)+$/i.test(segment))
    const options = /over the limit|percent-encoding/.test(what) ? needs('raw-paths') : hasDots ? needs('dot-segments') : {}
    test(`${what} is no document name: 400 as JSON, on every API, and 4400 on a socket`, options, async t => {
      await refusal(await get('/ws/' + name), 400)
      if (needs('streams').skip === undefined) {
        for (const method of ['PUT', 'GET', 'POST', 'HEAD', 'DELETE']) {
          const answer = await ask(host, method, '/v1/yjs/default/docs/' + name)
          assert.equal(answer.status, 400, `${method}: ${answer.text}`)
        }
      }
      if (needs('sweet').skip === undefined && name !== '') {
        assert.equal((await ask(host, 'GET', `/d/${name.replaceAll('/', '%2F')}/as-update`)).status, 400, 'as one segment')
      }
      if (lacks('sockets')) return
      const raw = await dial(t, host, '/ws/' + name)
      const { code, reason } = await raw.untilClosed()
      assert.equal(code, 4400, reason)
      assert.notEqual(reason, '')
    })
  }
})

const streams = needs('streams')
const PATHS = [['GET', '/ready'], ['GET', '/nowhere'], ['GET', '/ws/doc'], ['GET', '/v1/yjs/default/docs/cors'], ['PUT', '/v1/yjs/default/docs/cors'],
  ['GET', '/v1/yjs/default/docs/cors?offset=snapshot'], ['GET', '/v1/yjs/default/docs/cors?offset=zzz'], ['POST', '/v1/yjs/default/docs/cors'], ['GET', '/d/cors/as-update'],
  ['GET', '/docs'], ['POST', '/doc/new'], ['DELETE', '/v1/yjs/default/docs/cors-not'], ['GET', '/openapi.json']]

describe('pages of other origins', { concurrency: 4, ...streams }, () => {
  for (const [method, path] of PATHS) {
    test(`may read the answer to ${method} ${path}, and its headers`, async () => {
      await create(host, 'cors')
      const { headers } = await ask(host, method, path, { headers: { origin: 'http://localhost:5173' } })
      assert.equal(headers['access-control-allow-origin'], '*')
      assert.equal(headers['timing-allow-origin'], '*')
      const exposed = headers['access-control-expose-headers'].toLowerCase().split(/, */)
      for (const name of ['stream-next-offset', 'stream-up-to-date', 'stream-cursor', 'stream-sse-data-encoding', 'stream-presence-offset', 'stream-presence-length',
        'producer-epoch', 'producer-seq', 'etag', 'location', 'retry-after']) assert.ok(exposed.includes(name), `${name} is exposed`)
    })

    test(`are told beforehand that they may ask for ${path}`, async () => {
      const answer = await ask(host, 'OPTIONS', path, {
        headers: { origin: 'http://localhost:5173', 'access-control-request-method': method, 'access-control-request-headers': 'authorization,content-type,producer-id' }
      })
      assert.equal(answer.status, 204)
      assert.equal(answer.headers['access-control-allow-origin'], '*')
      assert.ok(answer.headers['access-control-allow-methods'].split(/, */).includes(method), answer.headers['access-control-allow-methods'])
      const names = answer.headers['access-control-allow-headers'].toLowerCase().split(/, */)
      for (const name of ['authorization', 'content-type', 'producer-id', 'producer-epoch', 'producer-seq', 'stream-closed', 'if-none-match']) {
        assert.ok(names.includes(name) || (names.includes('*') && name !== 'authorization'), `${name} may be sent: ${names}`)
      }
    })
  }
})

describe('paths of documents', { concurrency: 4, ...streams }, () => {
  test('names with slashes, spaces, percent signs and any script are one document on every API', async t => {
    for (const name of ['plain', 'a/b/c', 'with space', '100%', 'a+b', '\u00dcn\u00ef/c\u00f6d\u00e9', '\u6587\u6863/\u{1f680}', 'q?x=1', 'hash#tag', "quote'\"<>", '.hidden', '...', 'a..b', 'a&b=c', 'back\\slash', '~', 'docs/x']) {
      await post(host, await create(host, name), [writer().push(name)])
      const copy = new Y.Doc()
      if (!lacks('sockets')) {
        const raw = await dial(t, host, host.path(name))
        Y.applyUpdate(copy, await raw.roundTrip())
        assert.deepEqual(list(copy), [name], `${name} on the socket`)
      }
      if (needs('sweet').skip === undefined) {
        const { bytes } = await ask(host, 'GET', `/d/${encodeURIComponent(name)}/as-update`)
        Y.applyUpdate(copy, bytes)
        assert.deepEqual(list(copy), [name], `${name} by y-sweet's API`)
      }
    }
  })

  test('a name is the same whether its letters are percent-encoded or not', async () => {
    await post(host, await create(host, 'same/name'), [writer().push('same')])
    for (const path of ['same/name', '%73ame/n%61me', '%73%61%6d%65/%6e%61%6d%65', 'same%2Fname', 'same%2fname']) {
      assert.deepEqual(list(await readDocument(host, '/v1/yjs/default/docs/' + path)), ['same'], path)
    }
  })

  test('empty segments and no name are 400', async () => {
    for (const path of ['', '/', '/a', 'a/', 'a//b', 'a/%2Fb', '%2Fa', 'a%2F']) {
      refused(await ask(host, 'PUT', '/v1/yjs/default/docs/' + path), 400, 'INVALID_REQUEST')
    }
  })

  test('what is no service is 400, what is no path of the protocol 404', async () => {
    const others = lacks('raw-paths') ? [] : ['%zz', 's'.repeat(5000)]
    for (const service of ['', '.', '..', '%2e%2e', 'a%2Fb', '%00', ...others]) {
      const answer = await ask(host, 'PUT', `/v1/yjs/${service}/docs/x`)
      assert.ok([400, 404].includes(answer.status), `${service}: ${answer.status}`)
      assert.match(answer.json.error.code, /^(INVALID_REQUEST|NOT_FOUND)$/)
    }
    for (const path of ['/v1', '/v1/yjs', '/v1/yjs/', '/v1/yjs/default', '/v1/yjs/default/doc/x', '/v2/yjs/default/docs/x', '/V1/yjs/default/docs/x']) {
      refused(await ask(host, 'GET', path), 404, 'NOT_FOUND')
    }
  })

  test('other methods are 405 and say which ones are taken', async () => {
    const path = await create(host, 'methods')
    for (const method of ['PATCH', 'TRACE', 'PROPFIND', 'LOCK']) {
      const answer = await ask(host, method, path)
      refused(answer, 405, 'METHOD_NOT_ALLOWED')
      for (const name of ['GET', 'PUT', 'POST', 'DELETE', 'HEAD']) assert.ok(answer.headers.allow.includes(name), answer.headers.allow)
    }
  })
})

const get = async (path, method = 'GET') => {
  const { status, headers, text } = await ask(host, method, path)
  return { status, type: headers['content-type'] ?? '', body: text }
}

function refusal ({ status, type, body }, expected) {
  assert.equal(status, expected, body)
  assert.match(type, /^application\/json/)
  const { error } = JSON.parse(body)
  assert.match(error.code, /^[A-Z_]+$/)
  assert.equal(typeof error.message, 'string')
  assert.notEqual(error.message, '')
}
