// Measures beside the page, so that what the page draws delays nothing that is measured.

import { run } from './rounds.js'

const stopping = new AbortController()
let wasHidden = false

/** @typedef {{ plan: import('./rounds.js').Plan, protocol: string } | 'stop' | 'hidden'} Order */
/** @typedef {{ progress: import('./rounds.js').Progress } | { outcome: import('./rounds.js').Outcome } | { broken: string }} Report */

onmessage = async ({ data }) => {
  const order = /** @type {Order} */ (data)
  if (order === 'stop') return stopping.abort()
  if (order === 'hidden') {
    wasHidden = true
    return
  }
  const page = { protocol: order.protocol, wasHidden: () => wasHidden }
  try {
    postMessage({ outcome: await run(order.plan, page, progress => postMessage({ progress }), stopping.signal) })
  } catch (error) {
    postMessage({ broken: String(error) })
  }
}
