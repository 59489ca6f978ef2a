// Memory of the host for held readers: of what they are held in, of their connections, and of what Wasmtime keeps.
import { hold } from '../../interop/request.mjs'
import { create, read } from '../../interop/streams.mjs'
import { until } from '../../interop/waiting.mjs'
import { Spin } from '../../spin/scenarios/spin.mjs'

const EACH = 800
const WAVE = 40

export const title = `Memory for each of ${EACH} held readers of one document`

export async function run (t) {
  const rows = [['', 'memory each', 'instances', 'ratio to a held request of an empty handler']]
  let base
  const kinds = {
    'a handler that sleeps': [process.env.EMPTY, () => '/sleep?120000'],
    'yonder, event streams': [undefined, path => path, { live: 'sse' }],
    'yonder, long-polls': [undefined, path => path, { live: 'long-poll' }]
  }
  for (const [what, [up, at, query]] of Object.entries(kinds)) {
    const host = await Spin.up(t, { up, vars: { long_poll_seconds: 120, sse_seconds: 120 } })
    const path = up ? undefined : await create(host, 'held')
    const offset = up ? undefined : (await read(host, path)).next
    await host.untilGone()
    const before = host.memory
    let held = 0
    while (held < EACH) {
      for (let n = 0; n < WAVE; n++) hold(t, host, at(path), { query: up ? undefined : { offset, ...query } })
      held += WAVE
      await until(async () => (await host.metrics()).running === held, `${held} are held`)
    }
    const each = (host.memory - before) / EACH
    base ??= each
    rows.push([what, `${Math.round(each / 1024)} KiB`, (await host.metrics()).alive, (each / base).toFixed(1)])
    await host.kill()
  }
  return rows
}
