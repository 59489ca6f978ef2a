// Who posts events of a WebSocket is a GRIP proxy only if the signature says so.
import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { test } from 'node:test'
import { ask } from '../interop/request.mjs'
import { refused } from '../interop/streams.mjs'
import { mint, seconds } from '../interop/token.mjs'
import { until } from '../interop/waiting.mjs'

const [KEY, ISSUER] = ['a key of the proxy and ours', 'pushpin']
const EVENTS = 'application/websocket-events'
export const PROXY = 'http://127.0.0.1:9'
/** What the host is told of the proxy, which does not exist: the tests are the proxy. */
export const GRIP_URL = `${PROXY}/?verify-iss=${ISSUER}&verify-key=${encodeURIComponent(KEY)}`

const part = value => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
/** What the proxy signs with, one minute long. */
export const good = () => mint(KEY, { iss: ISSUER, exp: seconds(60) })

/** What is sent as `Grip-Sig`, and what is wrong with it as the answer says. */
const FORGED = {
  none: [() => undefined, /there is no Grip-Sig/],
  empty: [() => '', /malformed/],
  'no token': [() => 'x'.repeat(300), /malformed/],
  'five kilobytes': [() => good() + 'A'.repeat(5_000), /malformed/],
  'of another key': [() => mint('another key', { iss: ISSUER, exp: seconds(60) }), /signature does not hold/],
  'of the key and its end cut off': [() => good().slice(0, -2), /signature does not hold|malformed/],
  'with other claims than were signed': [() => good().replace(/\.[^.]+\./, `.${part({ iss: ISSUER, exp: seconds(600) })}.`), /signature does not hold/],
  expired: [() => mint(KEY, { iss: ISSUER, exp: seconds(-120) }), /has expired/],
  'without an end': [() => mint(KEY, { iss: ISSUER }), /malformed/],
  'of another issuer': [() => mint(KEY, { iss: 'somebody else', exp: seconds(60) }), /another issuer/],
  'without an issuer': [() => mint(KEY, { exp: seconds(60) }), /another issuer|malformed/],
  'alg none': [() => `${part({ alg: 'none', typ: 'JWT' })}.${part({ iss: ISSUER, exp: seconds(60) })}.`, /algorithm|malformed/],
  'alg none, signed all the same': [() => mint(KEY, { iss: ISSUER, exp: seconds(60) }, { alg: 'none' }), /algorithm/],
  'ES256 of a key of its own': [() => es256(), /algorithm/],
  'HS512': [() => hs512({ iss: ISSUER, exp: seconds(60) }), /algorithm/]
}

/** What Fanout signs with, one minute long: `key` is the private one. */
export function es256 (key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey) {
  const signed = `${part({ alg: 'ES256', typ: 'JWT' })}.${part({ iss: ISSUER, exp: seconds(60) })}`
  return `${signed}.${sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

function hs512 (claims) {
  const signed = `${part({ alg: 'HS512', typ: 'JWT' })}.${part(claims)}`
  return `${signed}.${createHmac('sha512', KEY).update(signed).digest('base64url')}`
}

/** Posts events of a socket on `doc`, as a proxy would. */
export function exchange (host, doc, signature, { events = 'OPEN\r\n', connection = 'c-1', ...headers } = {}) {
  const named = { 'content-type': EVENTS, 'connection-id': connection, ...(signature === undefined ? {} : { 'grip-sig': signature }), ...headers }
  return ask(host, 'POST', `/ws/${doc}`, { body: events, headers: named })
}

/** Tests of a host that takes `GRIP_URL` for its proxy. */
export function forged (host) {
  /** Lines that the component wrote about a document's socket. */
  const said = doc => host.output.split('\n').filter(line => line.includes(`/ws/${doc}`))

  for (const [what, [signature, why]] of Object.entries(FORGED)) {
    test(`a Grip-Sig that is ${what} is refused and told once`, async () => {
      const doc = `forged-${Object.keys(FORGED).indexOf(what)}-`
      const answer = await exchange(host, doc, signature())
      refused(answer, 403, 'FORBIDDEN')
      assert.match(answer.json.error.message, why)
      await until(() => said(doc).length > 0, 'it is told')
      const again = await exchange(host, `${doc}again-`, signature())
      assert.equal(again.status, 403)
      await until(() => said(`${doc}again-`).length > 0, 'it is told')
      assert.equal(said(`${doc}:`).length, 1, said(doc).join('\n'))
      assert.ok(!host.output.includes(KEY), 'the key is told to nobody')
      assert.equal((await ask(host, 'HEAD', `/v1/yjs/default/docs/${doc}`)).status, 404, 'no document came of it')
    })
  }

  test('a good one opens a socket', async () => {
    const answer = await exchange(host, 'good', good())
    assert.equal(answer.status, 200, answer.text)
    assert.equal(answer.headers['content-type'], EVENTS)
    assert.match(answer.text, /^OPEN\r\n/)
    assert.ok(answer.headers['set-meta-session'], 'its session is kept by the proxy')
  })

  test('a session that we did not seal is not believed, and its socket is closed', async () => {
    const opened = await exchange(host, 'sealed', good())
    const session = opened.headers['set-meta-session']
    const goOn = (doc, headers) => exchange(host, doc, good(), { events: '', ...headers })
    const kept = await goOn('sealed', { 'meta-session': session })
    assert.equal(kept.status, 200)
    assert.doesNotMatch(kept.text, /CLOSE/)
    const changed = session.slice(0, -1) + (session.endsWith('A') ? 'B' : 'A')
    for (const [doc, headers] of [['sealed', { 'meta-session': changed }], ['another', { 'meta-session': session }], ['sealed', { 'meta-session': session, connection: 'c-2' }], ['sealed', {}]]) {
      const answer = await goOn(doc, headers)
      assert.ok(answer.status >= 400 || /CLOSE|DISCONNECT/.test(answer.text), `${doc} ${JSON.stringify(headers)}: ${answer.status} ${answer.text}`)
    }
  })

  test('events that are none, and more than a request may bring, are refused', async () => {
    refused(await exchange(host, 'events', good(), { events: 'OPEN\r\nNONSENSE\r\n' }), 400, 'INVALID_REQUEST')
    refused(await exchange(host, 'events', good(), { events: 'TEXT ffffffff\r\nx\r\n' }), 400, 'INVALID_REQUEST')
    refused(await exchange(host, 'events', good(), { connection: '' }), 400, 'INVALID_REQUEST')
    await host.assertHealthy()
  })
}
