// Writes what wrangler.toml says as miniflare takes it: read once for a build, since to load wrangler takes longer than
// to start a server.
//
//   node describe.mjs FILE
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { unstable_getMiniflareWorkerOptions as read } from 'wrangler'

const { workerOptions } = read(fileURLToPath(new URL('../../wrangler.toml', import.meta.url)))
writeFileSync(process.argv[2], JSON.stringify(workerOptions))
