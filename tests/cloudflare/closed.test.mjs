// A Worker that is not set up, or not rightly: it refuses everything, and says what to do.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ask } from '../interop/request.mjs'
import { dial, isAuth } from '../interop/raw.mjs'
import { at, refused } from '../interop/streams.mjs'
import { Workerd } from './workerd.mjs'

const KEY = 'a key that is not to be seen by anyone at all'
const SETTINGS = {
  'without a key': { options: ['--insecure-open', ''], says: /it has no key.*wrangler secret put YONDER_AUTH_KEY/ },
  'with an empty key': { options: ['--insecure-open', '', '--auth-key', ''], says: /it has no key/ },
  'with a key that has no name': { options: ['--auth-key', `k1:${KEY}\n:another key`], says: /in YONDER_AUTH_KEY, /, secrets: [KEY, 'another key'] },
  'with a key that has no secret': { options: ['--insecure-open', 'true', '--auth-key', `${KEY}\nanother name:`], says: /in YONDER_AUTH_KEY, /, secrets: [KEY, 'another name'] },
  'open to nobody knows whom': { options: ['--insecure-open', 'yes'], says: /YONDER_INSECURE_OPEN is neither/ },
  'with a number that is none': { options: ['--sse-seconds', 'x'], says: /YONDER_SSE_SECONDS/ },
  'with a number that is out of bounds': { options: ['--max-message-mb', '1000000'], says: /YONDER_MAX_MESSAGE_MB/ },
  'with a public address that is none': { options: ['--public-url', 'nonsense'], says: /YONDER_PUBLIC_URL/ }
}
const REQUESTS = [['GET', '/'], ['GET', '/ready'], ['GET', '/openapi.json'], ['GET', '/docs'], ['POST', '/doc/new', {}], ['GET', '/doc/x/json'], ['GET', '/d/x/as-update'],
  ['POST', '/d/x/update', Uint8Array.of(0, 0)], ['PUT', at('x')], ['GET', at('x')], ['POST', at('x'), 'x'], ['DELETE', at('x')], ['GET', '/nothing'], ['GET', '/check_store'],
  ['GET', '/d/x/as-update?stale=ok'], ['POST', '/doc/x/auth', {}], ['POST', '/doc/x/copy', {}]]

describe('a Worker', { concurrency: 2 }, () => {
  for (const [what, { options, says, secrets = [] }] of Object.entries(SETTINGS)) {
    test(`${what} refuses everything`, { timeout: 60_000 }, async t => {
      const host = await Workerd.up(t, { options })
      for (const [method, path, body] of REQUESTS) {
        const answer = await ask(host, method, path, { body })
        refused(answer, 503, 'NOT_CONFIGURED')
        assert.match(answer.json.error.message, says, `${method} ${path}`)
        assert.ok(answer.headers['retry-after'])
        assert.ok(!secrets.some(secret => answer.text.includes(secret)), 'no key is shown')
      }
      assert.equal((await ask(host, 'HEAD', at('x'))).status, 503)
      assert.equal((await ask(host, 'OPTIONS', at('x'), { headers: { origin: 'https://example.org', 'access-control-request-method': 'GET' } })).status, 204)
      for (const path of ['/ws/x', '/d/x/ws/x', '/ws/x?token=x']) {
        const raw = await dial(t, host, path)
        const { code, reason } = await raw.untilClosed()
        assert.equal(code, 1013, reason)
        const told = raw.messages.find(isAuth)
        assert.equal(told?.kind, 0)
        assert.match(told.reason, says)
      }
      assert.match(host.output, says, 'the log says so as well')
      assert.ok(!secrets.some(secret => host.output.includes(secret)), 'no key is in the log')
    })
  }
})
