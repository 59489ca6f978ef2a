// What a host counts, read from its Prometheus text at /metrics.
import { ask } from './request.mjs'
import { until } from './waiting.mjs'

/** The value of `yonder_{name}`, labels included in the name. */
export async function metric (host, name) {
  const { status, text } = await ask(host, 'GET', '/metrics')
  const line = text.split('\n').find(line => line.startsWith(`yonder_${name} `))
  if (status !== 200 || line === undefined) throw new Error(`/metrics (${status}) has no yonder_${name}:\n${text}`)
  return Number(line.split(' ')[1])
}

/** Resolves once the host holds so many requests: long-polls and event streams, of all documents. */
export async function untilHeld (host, count, what, ms) {
  let held
  await until(async () => (held = await metric(host, 'held')) === count, () => `${what}: ${count} held requests, there are ${held}`, ms)
}
