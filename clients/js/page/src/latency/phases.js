// What the browser tells of its connections (Resource Timing). It tells nothing of WebSockets, and of other origins only what
// these permit by Timing-Allow-Origin.

/**
 * @typedef {{ connect: number, tcp: number, ttfb: number, lookup?: number, tls?: number }} Phases milliseconds of a fresh
 *   connection; `lookup` where there is a name, `tls` where there is TLS
 */

export class Watch {
  /** By the URL that a document's requests begin with. @type {Map<string, (entry: PerformanceResourceTiming) => void>} */
  #watched = new Map()

  constructor () {
    new PerformanceObserver(list => {
      for (const entry of list.getEntries()) {
        const url = entry.name.split('?')[0]
        this.#watched.get(url)?.(/** @type {PerformanceResourceTiming} */ (entry))
      }
      // There is room for 250.
      performance.clearResourceTimings()
    }).observe({ type: 'resource' })
  }

  on (/** @type {string} */ url, /** @type {(entry: PerformanceResourceTiming) => void} */ heard) {
    this.#watched.set(url, heard)
  }
}

/** Nothing if it came by a connection that stood, or if the browser does not tell. @returns {Phases | undefined} */
export const phasesOf = (/** @type {PerformanceResourceTiming} */ entry, /** @type {import('./target.js').Target} */ target) => {
  const { domainLookupStart, domainLookupEnd, connectStart, connectEnd, secureConnectionStart, requestStart, responseStart } = entry
  if (!(connectEnd > connectStart) || requestStart === 0 || responseStart === 0) return undefined
  const secured = target.secure && secureConnectionStart > 0
  return {
    ...(target.isAddress ? {} : { lookup: domainLookupEnd - domainLookupStart }),
    ...(secured ? { tls: connectEnd - secureConnectionStart } : {}),
    tcp: (secured ? secureConnectionStart : connectEnd) - connectStart,
    connect: connectEnd - domainLookupStart,
    ttfb: responseStart - requestStart
  }
}

/** Headers that tell where an answer came from, and what of them does: the rest is new in every answer. */
const LOCATIONS = /** @type {const} */ ({
  'cf-ray': /[^-]*$/,
  'fly-region': /.*/,
  server: /.*/,
  'x-served-by': /.*/
})

/** Counts them. @param {Response} answer @param {Record<string, Record<string, number>>} locations */
export const hearLocations = ({ headers }, locations) => {
  for (const [name, part] of Object.entries(LOCATIONS)) {
    const value = headers.get(name)?.match(part)?.[0]
    if (!value) continue
    const values = locations[name] ??= {}
    values[value] = (values[value] ?? 0) + 1
  }
}
