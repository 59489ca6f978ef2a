// The module in Viceroy, and Pushpin behind it.
//
//   YONDER_FASTLY   command that starts both, as YONDER_UP in tests/interop/host.mjs
import { atEnd } from '../interop/ending.mjs'
import { Host } from '../interop/host.mjs'

/**
 * Starts it, until the end of test `t`. `words`: those of `cargo xtask up fastly`; `vars`: settings, `{ NAME: VALUE }`;
 * `limit`: words before the command.
 */
export async function up (t, { words = [], vars = {}, limit } = {}) {
  const options = [...words, ...Object.entries(vars).flatMap(([name, value]) => ['--var', `YONDER_${name.toUpperCase()}=${value}`])]
  const host = await Host.up({ template: process.env.YONDER_FASTLY, options: options.map(String), limit })
  atEnd(t, () => host.down())
  return host
}
