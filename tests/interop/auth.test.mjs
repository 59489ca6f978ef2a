// Tokens: who may open which document, who may only read, and until when.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import * as Y from 'yjs'
import { converge, join } from './client.mjs'
import { atEnd } from './ending.mjs'
import { Host, needs } from './host.mjs'
import { AUTH, dial, isAuth, isStep1, isUpdate, stored } from './raw.mjs'
import { mint, seconds } from './token.mjs'
import { until } from './waiting.mjs'

const OLD = { kid: 'k1', secret: 'the first secret, long enough to be one' }
const NEW = { kid: 'k2', secret: 'the second secret, long enough to be one' }
const keyed = (...keys) => keys.map(({ kid, secret }) => `${kid}:${secret}`)
const token = (claims, key = NEW) => mint(key.secret, { perm: 'write', exp: seconds(600), sub: 'user', ...claims }, { kid: key.kid })

const lacking = needs('auth')
const host = lacking.skip ? undefined : await Host.up({ keys: keyed(OLD, NEW) })
after(() => host?.down())

describe('auth', { concurrency: 6, ...lacking }, () => {
  const claims = { doc: 'doc', perm: 'write', exp: seconds(600), sub: 'user' }
  const good = token({ doc: 'doc' })
  const [head, body, signature] = good.split('.')
  const flipped = Buffer.from(signature, 'base64url')
  flipped[0] ^= 1
  const widened = Buffer.from(JSON.stringify({ ...claims, prefix: '' })).toString('base64url')
  const faults = {
    'no token': undefined,
    'an empty token': '',
    'a word for a token': 'nonsense',
    'dots for a token': '..',
    'a token of two parts': `${head}.${body}`,
    'a token of four parts': `${good}.x`,
    'a token with a foreign signature': mint('another secret', claims, { kid: NEW.kid }),
    'a token with a flipped bit in its signature': `${head}.${body}.${flipped.toString('base64url')}`,
    'a token with no signature': `${head}.${body}.`,
    'a token with changed claims': `${head}.${widened}.${signature}`,
    'a token of algorithm none': mint(NEW.secret, claims, { alg: 'none', kid: NEW.kid }).replace(/[^.]*$/, ''),
    'a token that names another algorithm': mint(NEW.secret, claims, { alg: 'RS256', kid: NEW.kid }),
    'an expired token': token({ doc: 'doc', exp: seconds(-60) }),
    'a token of an unknown key': mint(NEW.secret, claims, { kid: 'k9' }),
    'a token of one key that names the other': mint(NEW.secret, claims, { kid: OLD.kid }),
    'claims that are no object': token().replace(/\..*\./, '.' + Buffer.from('7').toString('base64url') + '.'),
    'a token that grants no document': token({})
  }
  for (const [fault, value] of Object.entries(faults)) {
    test(`${fault} is refused with an auth message and 4401, and shows nothing of the document`, async t => {
      const raw = await dial(t, host, '/ws/doc', value === undefined ? {} : { query: { token: value } })
      await refused(raw, 4401)
    })
  }

  for (const [doc, grant] of [['doc', { doc: 'other' }], ['a/b', { doc: 'a' }], ['Doc', { doc: 'doc' }], ['team', { prefix: 'team/' }],
    ['teams/a', { prefix: 'team/' }], ['x/team/a', { prefix: 'team/' }]]) {
    test(`a token for ${JSON.stringify(grant)} does not open ${doc}: 4403`, async t => {
      await refused(await dial(t, host, host.path(doc), { query: { token: token(grant) } }), 4403)
    })
  }

  for (const [doc, grant] of [['doc', { doc: 'doc' }], ['a/b c/ü%', { doc: 'a/b c/ü%' }], ['team/a', { prefix: 'team/' }], ['team/b/c', { prefix: 'team/' }]]) {
    test(`a token for ${JSON.stringify(grant)} opens ${doc}`, async t => {
      const client = await join(t, host, doc, { token: token(grant) })
      client.doc.getMap('map').set('opened', true)
      const other = await join(t, host, doc, { token: token(grant, OLD) })
      await converge([client, other])
      assert.equal(other.doc.getMap('map').get('opened'), true)
    })
  }

  test('a real client that is refused stops trying and says why', async t => {
    const client = await join(t, host, 'doc', { token: 'nonsense', wait: false })
    let closed
    client.provider.on('closed', event => { closed = event })
    await until(() => closed, 'the provider gives up')
    assert.equal(closed.code, 4401)
    assert.notEqual(closed.reason, '')
    assert.equal(client.provider.shouldConnect, false)
  })

  test('a connection whose token expires is closed with 4401 within a few seconds', needs('expiry'), async t => {
    const exp = seconds(3)
    const raw = await dial(t, host, '/ws/expiry', { query: { token: token({ doc: 'expiry', exp }) } })
    await raw.roundTrip()
    const { code, reason } = await raw.untilClosed('the expired connection is closed', 12_000)
    assert.equal(code, 4401)
    assert.notEqual(reason, '')
    assert.ok(Date.now() >= exp * 1000, 'not before it expires')
    const again = await dial(t, host, '/ws/expiry', { query: { token: token({ doc: 'expiry', exp }) } })
    await refused(again, 4401)
  })

  test('nothing that is sent after the expiry is taken', needs('expiry'), async t => {
    const raw = await dial(t, host, '/ws/expiry-write', { query: { token: token({ doc: 'expiry-write', exp: seconds(2) }) } })
    await raw.untilClosed('the expired connection is closed', 12_000)
    const again = await join(t, host, 'expiry-write', { token: token({ doc: 'expiry-write' }) })
    again.doc.getMap('map').set('renewed', true)
    const reader = await join(t, host, 'expiry-write', { token: token({ doc: 'expiry-write', perm: 'read' }) })
    await until(() => reader.doc.getMap('map').get('renewed'), 'a renewed token works')
  })

  test('a key that is rotated out stops opening documents, the other goes on', needs('restart'), async t => {
    const own = await Host.up({ keys: keyed(OLD) })
    atEnd(t, () => own.down())
    const first = await join(t, own, 'doc', { token: token({ doc: 'doc' }, OLD) })
    first.doc.getText('text').insert(0, 'kept')
    await converge([first, await join(t, own, 'doc', { token: token({ doc: 'doc' }, OLD) })])
    await stored(own, 'doc', { query: { token: token({ doc: 'doc' }, OLD) } })
    await own.stop()
    await own.start({ keys: keyed(OLD, NEW) })
    for (const key of [OLD, NEW]) {
      assert.equal((await join(t, own, 'doc', { token: token({ doc: 'doc' }, key) })).doc.getText('text').toString(), 'kept')
    }
    await own.stop()
    await own.start({ keys: keyed(NEW) })
    await refused(await dial(t, own, '/ws/doc', { query: { token: token({ doc: 'doc' }, OLD) } }), 4401)
    assert.equal((await join(t, own, 'doc', { token: token({ doc: 'doc' }, NEW) })).doc.getText('text').toString(), 'kept')
  })

  test('a read-only client follows the document and shows its presence', async t => {
    const writer = await join(t, host, 'read', { token: token({ doc: 'read' }), state: { name: 'writer' } })
    const reader = await join(t, host, 'read', { token: token({ doc: 'read', perm: 'read' }), state: { name: 'reader' } })
    writer.doc.getText('text').insert(0, 'to read')
    await until(() => reader.doc.getText('text').toString() === 'to read', 'the reader gets the edit')
    await until(() => writer.others().get(reader.doc.clientID)?.name === 'reader', 'the writer sees the reader')
    await until(() => reader.others().get(writer.doc.clientID)?.name === 'writer', 'the reader sees the writer')
  })

  test('a read-only client that writes is told once, is not closed, and nobody gets what it wrote', async t => {
    const writer = await join(t, host, 'read-write', { token: token({ doc: 'read-write' }) })
    const witness = await dial(t, host, '/ws/read-write', { query: { token: token({ doc: 'read-write' }) } })
    const reader = await dial(t, host, '/ws/read-write', { query: { token: token({ doc: 'read-write', perm: 'read' }) } })
    const forbidden = new Y.Doc()
    for (const word of ['not ', 'for ', 'you']) {
      const before = Y.encodeStateVector(forbidden)
      forbidden.getText('text').insert(0, word)
      reader.update(Y.encodeStateAsUpdate(forbidden, before))
    }
    reader.step2(Y.encodeStateAsUpdate(forbidden))
    await reader.roundTrip()
    await until(() => reader.count(isAuth) > 0, 'the reader is told')
    writer.doc.getText('text').insert(0, 'allowed')
    await reader.got(isUpdate, 'the reader still gets updates')
    await reader.roundTrip()
    assert.equal(reader.count(isAuth), 1)
    const [{ kind, reason }] = reader.messages.filter(isAuth)
    assert.equal(kind, 0)
    assert.notEqual(reason, '')
    assert.equal(reader.close, undefined)
    await witness.roundTrip()
    const relayed = witness.messages.filter(isUpdate).map(message => JSON.stringify(message))
    assert.equal(new Set(relayed).size, 1, 'only the allowed edit was relayed')
    const late = await join(t, host, 'read-write', { token: token({ doc: 'read-write' }) })
    assert.equal(late.doc.getText('text').toString(), 'allowed')
    assert.equal(late.doc.store.clients.size, 1)
    assert.equal(late.doc.store.pendingStructs, null)
  })

  test('a read-only client may answer our step 1 with what another has just written', async t => {
    const writer = await dial(t, host, '/ws/read-relayed', { query: { token: token({ doc: 'read-relayed' }) } })
    await writer.roundTrip()
    const reader = await dial(t, host, '/ws/read-relayed', { query: { token: token({ doc: 'read-relayed', perm: 'read' }) } })
    await reader.got(isStep1, 'the server asks')
    const written = new Y.Doc()
    written.getText('text').insert(0, 'on its way to the store')
    writer.update(Y.encodeStateAsUpdate(written))
    reader.step2((await reader.got(isUpdate, 'the edit is relayed')).update)
    reader.step2(await reader.roundTrip())
    await reader.roundTrip()
    assert.equal(reader.count(isAuth), 0, 'that was not a write')
    written.getText('text').insert(0, 'its own: ')
    reader.step2(Y.encodeStateAsUpdate(written))
    await reader.got(isAuth, 'the reader is told')
  })

  test('a read-only client may answer our step 1 with nothing or with what we know', async t => {
    const writer = await join(t, host, 'read-answer', { token: token({ doc: 'read-answer' }) })
    writer.doc.getText('text').insert(0, 'known text')
    writer.doc.getText('text').delete(0, 6)
    await converge([writer, await join(t, host, 'read-answer', { token: token({ doc: 'read-answer' }) })])
    const reader = await dial(t, host, '/ws/read-answer', { query: { token: token({ doc: 'read-answer', perm: 'read' }) } })
    await reader.got(isStep1, 'the server asks')
    reader.step2()
    const known = await reader.roundTrip()
    reader.step2(known)
    await reader.roundTrip()
    assert.equal(reader.count(isAuth), 0, 'that was not a write')
    const real = await join(t, host, 'read-answer', { token: token({ doc: 'read-answer', perm: 'read' }) })
    real.offline()
    real.online()
    await real.untilSynced()
    await reader.roundTrip()
    assert.equal(reader.close, undefined)
  })
})

async function refused (raw, code) {
  const close = await raw.untilClosed()
  assert.equal(close.code, code, close.reason)
  assert.notEqual(close.reason, '')
  assert.deepEqual(raw.messages.map(({ type, kind }) => ({ type, kind })), [{ type: AUTH, kind: 0 }], 'an auth message and nothing else')
  assert.notEqual(raw.messages[0].reason, '')
}
