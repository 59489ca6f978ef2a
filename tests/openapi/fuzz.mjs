// The running server does what openapi.json says: generated requests by schemathesis, valid and invalid, single and in
// sequences, with and without keys.
//
//   SCHEMATHESIS       folder of the Python packages of requirements.txt; unset: Python has them.
//   YONDER_UP          starts a server, see tests/interop/host.mjs. Or YONDER_URL: one that runs and needs no token;
//                      it should run with `--long-poll-seconds 1 --sse-seconds 1`.
//   YONDER_FUZZ_SEED   replays a run.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Host, lacks } from '../interop/host.mjs'
import { metric } from '../interop/metrics.mjs'
import { mint, seconds } from '../interop/token.mjs'

const folder = fileURLToPath(new URL('.', import.meta.url))
const description = join(folder, '../../core/src/http/openapi.json')
const scratch = mkdtempSync(join(tmpdir(), 'yonder-openapi-'))
after(() => rmSync(scratch, { recursive: true, force: true }))
const SEED = process.env.YONDER_FUZZ_SEED ?? String(Math.floor(Math.random() * 2 ** 31))
// What is held is answered soon.
const OPTIONS = ['--long-poll-seconds', '1', '--sse-seconds', '1']
const SECRET = 'a key that signs the tokens of this run'

describe('the description of the API', { concurrency: true, timeout: 400_000 }, () => {
  test('is valid OpenAPI 3.1', async () => {
    assert.equal(JSON.parse(readFileSync(description, 'utf8')).openapi, '3.1.0')
    const { code, output } = await run(['openapi_spec_validator', description])
    assert.equal(code, 0, output)
  })

  // A request without a token is right there, so the check for ignored tokens is not.
  test('is what an open server does', t => fuzz(t, { services: ['default', 'other'], args: ['--exclude-checks', 'ignored_auth'] }))

  test('is what a server with keys does', { skip: process.env.YONDER_URL !== undefined && 'YONDER_URL names an open server' }, t => {
    const token = mint(SECRET, { prefix: '', perm: 'admin', exp: seconds(600) })
    return fuzz(t, { services: ['default'], keys: [SECRET], token })
  })
})

async function fuzz (t, { services, keys = [], token = 'none', args = [] }) {
  const started = process.env.YONDER_URL === undefined
  const host = started ? await Host.up({ keys, options: OPTIONS }) : { url: process.env.YONDER_URL }
  try {
    await fill(host, services, { authorization: `Bearer ${token}` })
    const { code, output } = await run(['schemathesis.cli', '--no-color', '--config-file', join(folder, 'schemathesis.toml'), 'run', description,
      '--url', host.url, '--seed', SEED, ...args], { YONDER_TOKEN: token })
    t.diagnostic(`seed ${SEED}\n${code === 0 ? output.slice(output.indexOf('= SUMMARY =')) : output}`)
    assert.equal(code, 0, `schemathesis found failures; again: YONDER_FUZZ_SEED=${SEED}`)
    if (!started) return
    await host.assertHealthy()
    assert.doesNotMatch(host.output, /panicked/)
    if (!lacks('metrics')) assert.equal(await metric(host, 'held'), 0, 'nothing is still held')
  } finally {
    if (started) await host.down()
  }
}

/** The documents that schemathesis.toml and hooks.py name: all but one with something in it. */
async function fill (host, services, headers) {
  const update = Uint8Array.of(1, 1, 9, 0, 4, 1, 1, 116, 1, 97, 0) // client 9 writes `a` into the text `t`
  for (const service of services) {
    for (const name of ['notes', 'team/plan', 'empty', 'short-lived']) {
      const url = `${host.url}/v1/yjs/${service}/docs/${name}`
      const put = await fetch(url, { method: 'PUT', headers })
      assert.ok(put.ok, await put.text())
      if (name === 'empty') continue
      const post = await fetch(url, { method: 'POST', headers, body: Uint8Array.of(update.length, ...update) })
      assert.ok(post.ok, await post.text())
    }
  }
}

/** A Python module as a command, to its end. */
function run (words, env) {
  return new Promise((resolve, reject) => {
    const child = spawn('python3', ['-m', ...words], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env, PYTHONPATH: process.env.SCHEMATHESIS, PYTHONDONTWRITEBYTECODE: '1', HYPOTHESIS_STORAGE_DIRECTORY: scratch }
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', text => { output += text })
    // What was generated may hold anything.
    child.once('error', reject).once('close', code => resolve({ code, output: output.replaceAll(/[^\P{C}\n]/gu, '?') }))
  })
}
