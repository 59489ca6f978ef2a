// What is uploaded.
export const title = 'Bundle, as `wrangler deploy --dry-run --minify` writes it'

export async function run (plan, report) {
  for (const { key } of plan.servers) {
    report.add('upload', 'size', 'bytes', key, plan.bundles[key].upload)
    report.add('upload', 'gzipped', 'bytes', key, plan.bundles[key].gzip)
  }
}
