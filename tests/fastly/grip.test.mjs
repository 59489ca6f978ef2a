// Who posts events of a WebSocket is Fanout only if the signature says so.
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { after, test } from 'node:test'
import { es256, exchange, forged, good, GRIP_URL } from '../grip/forged.mjs'
import { refused } from '../interop/streams.mjs'
import { up } from './fastly.mjs'

test('of keys that are replaced each may sign: public ones, as Fanout\'s is, and secrets', async t => {
  const keys = Array.from({ length: 3 }, () => generateKeyPairSync('ec', { namedCurve: 'P-256' }))
  const verified = keys.slice(0, 2).map(({ publicKey }) => '&verify-key=' + encodeURIComponent(publicKey.export({ type: 'spki', format: 'pem' })))
  const host = await up(t, { words: ['--no-fanout'], vars: { grip_url: GRIP_URL + verified.join('') } })
  const signed = { 'the secret': good(), 'the old key': es256(keys[0].privateKey), 'the new key': es256(keys[1].privateKey) }
  for (const [what, signature] of Object.entries(signed)) {
    const answer = await exchange(host, 'rotated', signature)
    assert.equal(answer.status, 200, `${what}: ${answer.text}`)
  }
  refused(await exchange(host, 'rotated', es256(keys[2].privateKey)), 403, 'FORBIDDEN')
  const broken = es256(keys[0].privateKey).replace(/.{10}$/, 'AAAAAAAAAA')
  refused(await exchange(host, 'rotated', broken), 403, 'FORBIDDEN')
})

const endings = []
after(async () => { for (const ending of endings) await ending() })
forged(await up({ after: ending => endings.push(ending) }, { words: ['--no-fanout'], vars: { grip_url: GRIP_URL } }))
