// How large the provider is in a bundle, and y-websocket's beside it: minified and gzipped, without yjs, lib0 and y-protocols,
// which every application has anyway. `node size.mjs`

import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const here = dirname(fileURLToPath(import.meta.url))
const binary = join(here, `node_modules/@esbuild/${process.platform}-${process.arch}/bin/esbuild`)
if (existsSync(binary)) process.env.ESBUILD_BINARY_PATH ??= binary
const { build } = await import('esbuild')

const sizes = { 'yonder-provider': 'src/index.ts', 'y-websocket': 'node_modules/y-websocket/src/y-websocket.js' }
for (const [name, entry] of Object.entries(sizes)) {
  const { outputFiles: [{ contents }] } = await build({
    absWorkingDir: here,
    entryPoints: [entry],
    write: false,
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    external: ['yjs', 'lib0/*', 'y-protocols/*'],
    logLevel: 'warning'
  })
  console.log(`${name.padEnd(16)} ${contents.length} bytes minified, ${gzipSync(contents, { level: 9 }).length} gzipped`)
}
