// What `wrangler deploy` would upload, written to a folder: that is what runs here, and what is weighed.
import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'

/** The same for all, so that none has flags that another lacks; a worker's own configuration may add to it. */
const COMMON = { compatibility_date: '2026-11-17' }

/**
 * Bundles a worker into `folder`. Gives `{ config, out, entry, upload, gzip }`: the configuration that it was bundled with, the
 * folder of the bundle, its entry, and the sizes in bytes that wrangler tells.
 */
export async function bundle (tools, server, folder) {
  const wrangler = createRequire(join(resolve(tools), 'package.json')).resolve('wrangler/package.json')
  mkdirSync(folder, { recursive: true })
  const [config, out] = [join(folder, 'wrangler.json'), join(folder, 'out')]
  const configured = configuration(createRequire(wrangler)('wrangler'), server)
  writeFileSync(config, JSON.stringify(configured))
  const { stdout } = await promisify(execFile)(process.execPath,
    [join(dirname(wrangler), 'bin/wrangler.js'), 'deploy', '--dry-run', '--minify', '--config', config, '--outdir', out],
    { cwd: folder, env: { ...process.env, WRANGLER_SEND_METRICS: 'false', WRANGLER_LOG_PATH: join(folder, 'log'), CI: '1', NO_COLOR: '1' } })
  const sizes = /Total Upload: ([\d.]+) KiB \/ gzip: ([\d.]+) KiB/.exec(stdout)
  if (!sizes) throw new Error(`wrangler told no size:\n${stdout}`)
  const entry = basename(configured.main).replace(/\.[^.]+$/, '.js')
  return { config, out, entry, upload: sizes[1] * 1024, gzip: sizes[2] * 1024 }
}

/** The configuration as one file without a build command: what is to be bundled is there already. */
function configuration (wrangler, server) {
  const name = `bench-${server.key}`
  if (typeof server.config !== 'string') return { name, ...COMMON, ...server.config, vars: server.vars }
  const { main, compatibility_date, compatibility_flags, durable_objects, migrations, kv_namespaces, r2_buckets, rules, vars } =
    wrangler.unstable_readConfig({ config: server.config })
  return {
    name,
    main: server.main ? resolve(server.main) : main,
    compatibility_date,
    compatibility_flags,
    durable_objects,
    migrations,
    kv_namespaces,
    r2_buckets,
    rules,
    vars: { ...vars, ...server.vars }
  }
}
