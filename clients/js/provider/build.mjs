// Builds the package: `node build.mjs [OUTDIR]`, by default into dist. One module, and its types.

import { execFileSync } from 'node:child_process'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'

const here = dirname(fileURLToPath(import.meta.url))
const outdir = resolve(process.argv[2] ?? join(here, 'dist'))

// node_modules may be a symlink to a folder of any name. esbuild would then look for its binary beside its real path.
const binary = join(here, `node_modules/@esbuild/${process.platform}-${process.arch}/bin/esbuild`)
if (existsSync(binary)) process.env.ESBUILD_BINARY_PATH ??= binary
const { build } = await import('esbuild')

await rm(outdir, { recursive: true, force: true })
await build({
  absWorkingDir: here,
  entryPoints: ['src/index.ts'],
  outfile: join(outdir, 'index.js'),
  bundle: true,
  packages: 'external',
  format: 'esm',
  target: 'es2022',
  sourcemap: true,
  logLevel: 'warning'
})
execFileSync(process.execPath, [join(here, 'node_modules/typescript/bin/tsc'), '-p', here, '--outDir', outdir], { stdio: 'inherit' })
