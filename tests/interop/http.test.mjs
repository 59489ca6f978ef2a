// What the socket's address answers to plain HTTP, and which document names are refused on both.
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, describe, test } from 'node:test'
import { Host, needs } from './host.mjs'
import * as Y from 'yjs'
import { dial, isStep1 } from './raw.mjs'

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

  test('/metrics counts what happens', needs('metrics'), async t => {
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
    test(`${what} is no document name: 400 as JSON, and 4400 on a socket`, async t => {
      await refusal(await get('/ws/' + name), 400)
      const raw = await dial(t, host, '/ws/' + name)
      const { code, reason } = await raw.untilClosed()
      assert.equal(code, 4400, reason)
      assert.notEqual(reason, '')
    })
  }
})

/** The path goes out as it is written here; fetch would normalise it. */
function get (path, method = 'GET') {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(host.url)
    const sent = request({ hostname, port, path, method, timeout: 10_000, agent: false }, answer => {
      let body = ''
      answer.setEncoding('utf8').on('data', chunk => { body += chunk })
        .on('end', () => resolve({ status: answer.statusCode, type: answer.headers['content-type'] ?? '', body }))
    })
    sent.on('timeout', () => sent.destroy(new Error(`no answer to ${method} ${path} within 10 s`))).on('error', reject).end()
  })
}

async function refusal ({ status, type, body }, expected) {
  assert.equal(status, expected, body)
  assert.match(type, /^application\/json/)
  const { error } = JSON.parse(body)
  assert.match(error.code, /^[A-Z_]+$/)
  assert.equal(typeof error.message, 'string')
  assert.notEqual(error.message, '')
}
