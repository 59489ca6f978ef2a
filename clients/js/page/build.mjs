// Bundles the pages: `node build.mjs [OUTDIR]`, by default into targets/native/page. What comes out depends on the
// sources and the locked packages alone, not on where they lie or when it runs, so that CI can build it again and compare.

import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const here = dirname(fileURLToPath(import.meta.url))
const provider = join(here, '../provider/src')
const outdir = resolve(process.argv[2] ?? join(here, '../../../targets/native/page'))

// node_modules may be a symlink to a folder of any name. esbuild would then look for its binary beside its real path.
const binary = join(here, `node_modules/@esbuild/${process.platform}-${process.arch}/bin/esbuild`)
if (existsSync(binary)) process.env.ESBUILD_BINARY_PATH ??= binary
const { build } = await import('esbuild')

const { outputFiles, metafile } = await build({
  absWorkingDir: here,
  entryPoints: {
    app: 'src/main.js',
    style: 'style.css',
    latency: 'src/latency/main.js',
    'latency-worker': 'src/latency/worker.js',
    'latency-style': 'latency.css'
  },
  outdir: 'out',
  write: false,
  metafile: true,
  bundle: true,
  minify: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  charset: 'utf8',
  preserveSymlinks: true,
  plugins: [{ name: 'yonder-provider', setup: bundleProvider }],
  // Every package's licence stands in LICENSES.txt, in full.
  legalComments: 'none',
  logLevel: 'warning'
})

await mkdir(outdir, { recursive: true })
const bundled = name => outputFiles.find(({ path }) => path.endsWith(`/${name}`)).contents
await emit('index.html', await readFile(join(here, 'index.html')))
await emit('app.js', bundled('app.js'))
await emit('app.css', bundled('style.css'))
await emit('latency.html', await readFile(join(here, 'latency.html')))
await emit('latency.js', bundled('latency.js'))
await emit('latency-worker.js', bundled('latency-worker.js'))
await emit('latency.css', bundled('latency-style.css'))
await emit('LICENSES.txt', Buffer.from(await licenses(usedFiles())))

/**
 * The provider is bundled from its source beside us, with our packages, whether or not its own are installed: two copies of
 * yjs do not understand each other.
 */
function bundleProvider (build) {
  build.onResolve({ filter: /^yonder-provider$/ }, () => ({ path: join(provider, 'index.ts') }))
  build.onResolve({ filter: /^[^./]/ }, ({ path, resolveDir, kind }) =>
    resolveDir === provider ? build.resolve(path, { resolveDir: here, kind }) : undefined)
}

async function emit (name, contents) {
  await writeFile(join(outdir, name), contents)
  console.log(`${name.padEnd(12)} ${String(contents.length).padStart(7)} bytes, ${gzipSync(contents, { level: 9 }).length} gzipped`)
}

/** The files of which something is left in the bundle: what is never called does not get in. */
function usedFiles () {
  const inputs = Object.values(metafile.outputs).flatMap(output => Object.entries(output.inputs))
  return inputs.filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([path]) => path)
}

/** The name, version and licence text of every package of which a file is in the bundle. @param {string[]} files */
async function licenses (files) {
  const packages = new Set(files.flatMap(path => path.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1] ?? []))
  const texts = await Promise.all([...packages].sort().map(async name => {
    const folder = join(here, 'node_modules', name)
    const { version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
    const file = (await readdir(folder)).sort().find(entry => /^licen[cs]e/i.test(entry))
    if (file === undefined) throw new Error(`${name} has no licence file`)
    const text = await readFile(join(folder, file), 'utf8')
    return `${name} ${version} (${license})\n\n${text.replace(/\r/g, '').trim()}\n`
  }))
  return `app.js and latency-worker.js contain code of these packages.\n\n${texts.join(`\n${'-'.repeat(80)}\n\n`)}`
}
