// What a reader of the result has to know, and what was not to be known.

/** How late the tool may be, as a share of what it reports. */
const SMALL = 0.1

/**
 * @param {import('./rounds.js').Outcome} outcome
 * @param {{ left: number, stopped: boolean, wasHidden: boolean, lanes: number }} seen `left`: documents that could not be deleted
 */
export const notesOf = ({ hosts, clock, duration_s: duration, rate }, { left, stopped, wasHidden, lanes }) => {
  const measured = hosts.flatMap(({ url, transports }) => Object.entries(transports).map(([transport, of]) => ({ url, transport, of })))
  const medians = measured.flatMap(({ of: { propagation } }) => propagation.p50 ?? [])
  const least = Math.min(...medians)
  const step = clock.resolution_ns / 1e6
  const lag = clock.lag_p99_ms
  const used = (/** @type {string} */ transport) => measured.some(track => track.transport === transport)
  const notes = ['One browser at one place: people elsewhere are nearer to other parts of a host, or farther away.']
  if (measured.length > 0) {
    notes.push('Reader and writer were connected for each turn anew: how long the first edit takes to a reader who has waited for a while is not in this.')
  }
  if (used('ws')) {
    notes.push('connect of ws is from the constructor until the socket is open; of its lookup, TCP, TLS and first byte browsers tell nothing.')
  }
  if (used('sse') || used('long-poll')) {
    notes.push(
      'connect and ttfb of sse and long-poll are of requests that happened to get a fresh connection: a browser makes one when it needs one, and tells of it where the host permits (Timing-Allow-Origin).',
      `Edits by POST have ${lanes} lanes at once: over HTTP/1.1 a browser has six connections to a host, for all its tabs. One that finds none free waits, and its waiting counts.`
    )
  }
  notes.push('converge, reconnect, cold and warm are not measured in a browser, where no connection can be forced to be fresh: yonder latency does.')
  if (Number.isFinite(least) && step > least * SMALL) {
    notes.push(`This browser's clock goes in steps of ${step.toFixed(2)} ms, which is not small beside the least median of ${least.toFixed(2)} ms.`)
  }
  if (lag !== null && Number.isFinite(least) && lag > least * SMALL) {
    notes.push(`The page itself came ${lag.toFixed(2)} ms late to edits at p99, which is in ack and propagation, and is not small beside the least median of ${least.toFixed(2)} ms.`)
  }
  if (wasHidden) notes.push('The page was in the background for a while. Browsers slow such pages down: this may be in every figure.')
  if (duration * rate < 100) notes.push(`p99 is of 100 edits or more, and these were ${Math.round(duration * rate)}: ${Math.ceil(100 / rate)} s would do.`)
  for (const { url, transport, of } of measured) {
    for (const name of ['ack', 'propagation', 'rtt']) {
      const { count, failed, failures } = /** @type {import('./summary.js').Summary} */ (of[name])
      if (failed === 0) continue
      const kinds = Object.entries(failures).map(([kind, count]) => `${count} ${kind}`).join(', ')
      notes.push(`${url} ${transport}: ${failed} of ${failed + count} ${name} failed (${kinds}): percentiles count them as longer than all others.`)
    }
  }
  if (left > 0) notes.push(`${left} documents latency/... could not be deleted: that needs a token with the permission 'admin'.`)
  if (stopped) notes.push('It was stopped: this is what there was by then.')
  return notes
}
