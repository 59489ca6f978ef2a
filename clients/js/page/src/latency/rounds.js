// A whole run: every host by every transport, in turns, so that a change over time does not look like a difference between
// them. One at a time is on the wire.

import { Failure, failureOf } from './failure.js'
import { ask } from './http.js'
import { notesOf } from './notes.js'
import { hearLocations, Watch } from './phases.js'
import { resolution } from './schedule.js'
import { Session, WARM_UP } from './session.js'
import { none, Recorder } from './summary.js'
import { redacted, Target } from './target.js'

/** @typedef {import('./session.js').Transport} Transport */
/** @typedef {import('./summary.js').Summary} Summary */
/** @typedef {{ kind: string, message: string }} Problem */

/**
 * @typedef {{
 *   addresses: import('./target.js').Address[], transports: Transport[], rate: number, duration: number, timeout: number
 * }} Plan `rate`: edits a second; `duration`: seconds for each host and transport; `timeout`: milliseconds
 */

/** @typedef {Record<string, Summary | Problem | null> & { error: Problem | null, propagation: Summary }} Measured */

/**
 * The result of a run, as `yonder latency --schema` describes it.
 *
 * @typedef {{
 *   schema: 1, tool: string, started: string, duration_s: number, rate: number, warm_up_s: number, timeout_ms: number,
 *   clock: { resolution_ns: number, lag_p99_ms: number | null },
 *   hosts: {
 *     url: string, server: string | null, locations: Record<string, Record<string, number>>, error: Problem | null,
 *     transports: Partial<Record<Transport, Measured>>
 *   }[],
 *   pairs: never[], notes: string[]
 * }} Outcome
 */

/** @typedef {{ outcome: Outcome, share: number, doing: string }} Progress `share` from 0 to 1 */

/** What is measured in a browser; the rest of `yonder latency`'s metrics stays empty. */
const UNMEASURED = /** @type {const} */ (['converge', 'reconnect', 'cold', 'warm'])

const NAMES = { ws: 'WebSocket', sse: 'event stream', 'long-poll': 'long-poll' }

/** How often a host is asked again that has no room. */
const PATIENCE = 3000

const watch = new Watch()

/**
 * @param {Plan} plan @param {{ protocol: string, wasHidden: () => boolean }} page
 * @param {(progress: Progress) => void} tell @param {AbortSignal} stop @returns {Promise<Outcome>}
 */
export const run = async (plan, page, tell, stop) => {
  const [epoch, started] = [performance.now(), new Date().toISOString()]
  const lag = new Recorder()
  const clock = resolution()
  const name = crypto.randomUUID().replaceAll('-', '').slice(0, 16)
  const pace = { rate: plan.rate, edits: Math.round(plan.rate * plan.duration), timeout: plan.timeout, epoch, lag }
  /** @type {Found[]} */
  const hosts = []
  /** @type {Track[]} */
  const tracks = []
  let left = 0

  tell({ outcome: outcome(), share: 0, doing: 'Asking who is there' })
  for (const address of plan.addresses) hosts.push(await find(address, page))
  for (const [place, host] of hosts.entries()) {
    const { target } = host
    if (target) tracks.push(...plan.transports.map(transport => new Track(host, target, transport, `${name}-${place}`, pace)))
  }
  for (const track of tracks) {
    if (stop.aborted) break
    tell({ outcome: outcome(), share: 0, doing: `Warming up ${track.name}` })
    await track.open(stop)
  }
  while (!stop.aborted && tracks.some(track => !track.isDone)) {
    for (const track of tracks.filter(track => !track.isDone)) {
      if (stop.aborted) break
      const share = tracks.reduce((sum, { share }) => sum + share, 0) / tracks.length
      tell({ outcome: outcome(), share, doing: `Measuring ${track.name}` })
      await track.session.turn(stop)
    }
  }
  for (const track of tracks) left += await track.session.tidy() ? 0 : 1
  return outcome()

  /** @returns {Outcome} */
  function outcome () {
    /** @type {Outcome} */
    const found = {
      schema: 1,
      tool: 'yonder page',
      started,
      duration_s: plan.duration,
      rate: plan.rate,
      warm_up_s: WARM_UP / 1000,
      timeout_ms: plan.timeout,
      clock: { resolution_ns: clock, lag_p99_ms: lag.summary.p99 },
      hosts: hosts.map(({ shown, server, locations, error }) => ({ url: shown, server, locations, error, transports: {} })),
      pairs: [],
      notes: []
    }
    for (const track of tracks ?? []) {
      const host = found.hosts[hosts.indexOf(track.host)]
      if (host) host.transports[track.transport] = track.measured
    }
    found.notes = notesOf(found, { left, stopped: stop.aborted, wasHidden: page.wasHidden(), lanes: Math.max(0, ...tracks.map(({ session }) => session.line.lanes)) })
    return found
  }
}

/**
 * @typedef {{
 *   shown: string, target?: Target, server: string | null, error: Problem | null, locations: Record<string, Record<string, number>>
 * }} Found
 */

/** @param {import('./target.js').Address} address @param {{ protocol: string }} page @returns {Promise<Found>} */
const find = async (address, page) => {
  /** @type {Found} */
  const found = { shown: redacted(address.url), server: null, error: null, locations: {} }
  try {
    const target = new Target(address, page)
    found.shown = target.shown
    found.server = await introduce(target, found.locations)
    found.target = target
  } catch (error) {
    found.error = failureOf(error).problem
  }
  return found
}

/** Asks whether this is a server of yonder; what it calls itself. */
const introduce = async (/** @type {Target} */ target, /** @type {Found['locations']} */ locations) => {
  const url = `${target.shown}/openapi.json`
  const answer = await ask(url, { patience: PATIENCE }).catch(async failure => {
    if (failure.kind === 'http-404') throw new Failure('not-yonder', 'this is no server of yonder: it has no /openapi.json')
    if (failure.kind !== 'closed') throw failure
    // An answer that may not be read tells at least that there is somebody.
    const silent = await fetch(url, { mode: 'no-cors', cache: 'no-store', signal: AbortSignal.timeout(PATIENCE) }).catch(() => undefined)
    throw silent
      ? new Failure('not-yonder', 'somebody answers, but does not let this page read it: no server of yonder, or one behind something else')
      : new Failure('unreachable', 'no connection: nobody listens there, the name is unknown, or TLS fails; browsers do not say which')
  })
  hearLocations(answer, locations)
  const { info } = await answer.json().catch(() => ({}))
  if (info?.title !== 'yonder') throw new Failure('not-yonder', 'this is no server of yonder: /openapi.json does not describe one')
  return `yonder ${info.version}`
}

/** One host by one transport. */
class Track {
  /** @type {Failure | undefined} */
  #failure

  /** @param {Found} host @param {Target} target @param {Transport} transport @param {string} key @param {ConstructorParameters<typeof Session>[2]} pace */
  constructor (host, target, transport, key, pace) {
    this.host = host
    this.transport = transport
    this.name = `${host.shown} by ${NAMES[transport]}`
    const doc = `latency/${key}-${transport}`
    this.session = new Session(transport, { target, doc, key: `${key}.${transport}`, hear: answer => hearLocations(answer, host.locations) }, pace)
    watch.on(target.document(doc), entry => this.session.told(entry))
  }

  async open (/** @type {AbortSignal} */ stop) {
    await this.session.open(stop).catch(error => { this.#failure = failureOf(error) })
  }

  get isDone () {
    return this.#failure !== undefined || this.session.isDone
  }

  get share () {
    return this.isDone ? 1 : this.session.due / this.session.pace.edits
  }

  /** @returns {Measured} */
  get measured () {
    const { session, host: { target } } = this
    const metrics = Object.fromEntries(Object.entries(session.metrics).map(([name, recorder]) => [name, recorder.summary]))
    return /** @type {Measured} */ ({
      error: this.#failure?.problem ?? session.problem,
      ...metrics,
      lookup: target?.isAddress ? null : metrics.lookup,
      tls: target?.secure ? metrics.tls : null,
      ack: session.ledger.ack.summary,
      propagation: session.ledger.arrival.summary,
      ...Object.fromEntries(UNMEASURED.map(name => [name, none()]))
    })
  }
}
