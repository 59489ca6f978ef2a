// What the core needs from where it runs, held against imports.txt: that list may only shrink.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { bytes, TARGETS, unhashed } from './probe.mjs'

const listed = readFileSync(new URL('imports.txt', import.meta.url), 'utf8').split('\n')
  .map(line => line.replace(/#.*/, '').trim().replaceAll(/\s+/g, ' ')).filter(Boolean)

test('imports.txt names no other targets', () => {
  assert.deepEqual(listed.filter(line => !TARGETS.includes(line.split(' ')[0])), [])
})

for (const target of TARGETS) {
  test(`${target} imports what imports.txt lists, and nothing else`, t => {
    const wasm = bytes(target)
    t.diagnostic(`${target}: ${wasm.length} bytes, ${gzipSync(wasm, { level: 9 }).length} gzipped`)
    const allowed = listed.filter(line => line.startsWith(`${target} `))
    const imports = WebAssembly.Module.imports(new WebAssembly.Module(wasm)).map(({ module, name }) =>
      `${target} ${module} ${unhashed(name)}`)
    assert.deepEqual(imports.filter(line => !allowed.includes(line)), [], 'the core must not need these')
    assert.deepEqual(allowed.filter(line => !imports.includes(line)), [], 'these are gone: remove them from imports.txt')
  })
}
