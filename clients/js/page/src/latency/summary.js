// What was measured of one thing: all of it, and in blocks over time. A `Summary` is that of `yonder latency --schema`.

/**
 * @typedef {{
 *   p50: number | null, p90: number | null, p99: number | null, max: number | null, min: number | null, mean: number | null,
 *   count: number, failed: number, failures: Record<string, number>,
 *   histogram: [number, number][], series: [number, number, number][]
 * }} Summary in milliseconds. What failed took longer than all that did not: a percentile that falls among the failed ones is
 *   not known (null), and neither is one of too few
 */

/** The percentiles, and how many operations each needs. @type {[number, number][]} */
const NEEDED = [[0.5, 5], [0.9, 10], [0.99, 100]]

export class Recorder {
  /** @type {number[]} */
  #taken = []
  /** @type {Record<string, number>} */
  #failures = {}
  /** By number: when it began, and what is in it. @type {Map<number, { since: number, taken: number[] }>} */
  #blocks = new Map()

  /** Of a block that began `since` seconds into the run. `taken`: milliseconds. */
  record (/** @type {number} */ block, /** @type {number} */ since, /** @type {number} */ taken) {
    this.#taken.push(taken)
    const known = this.#blocks.get(block)
    if (known) known.taken.push(taken)
    else this.#blocks.set(block, { since, taken: [taken] })
  }

  /** In a block of its own. */
  recordAlone (/** @type {number} */ since, /** @type {number} */ taken) {
    this.record(this.#blocks.size, since, taken)
  }

  fail (/** @type {string} */ kind) {
    this.#failures[kind] = (this.#failures[kind] ?? 0) + 1
  }

  get count () {
    return this.#taken.length
  }

  get failed () {
    return Object.values(this.#failures).reduce((sum, count) => sum + count, 0)
  }

  /** @returns {Summary} */
  get summary () {
    const sorted = this.#taken.toSorted((a, b) => a - b)
    const { count, failed } = this
    const [p50, p90, p99] = NEEDED.map(([share, needed]) => {
      const rank = Math.ceil(share * (count + failed) - 1e-9)
      return count + failed >= needed && rank <= count ? micro(sorted[rank - 1]) : null
    })
    return {
      p50,
      p90,
      p99,
      max: micro(sorted.at(-1)),
      min: micro(sorted[0]),
      mean: count === 0 ? null : micro(sorted.reduce((sum, taken) => sum + taken, 0) / count),
      count,
      failed,
      failures: { ...this.#failures },
      histogram: histogram(sorted),
      series: [...this.#blocks.values()].map(({ since, taken }) =>
        [milli(since), micro(median(taken.toSorted((a, b) => a - b))) ?? 0, taken.length])
    }
  }
}

/** The summary of nothing. */
export const none = () => new Recorder().summary

/** Upper edges and counts of what is sorted: edges of three significant digits, as HDR histograms have them. */
const histogram = (/** @type {number[]} */ sorted) => {
  /** @type {[number, number][]} */
  const steps = []
  for (const taken of sorted) {
    const edge = upperEdge(Math.round(taken * 1000)) / 1000
    const last = steps.at(-1)
    if (last && last[0] === edge) last[1] += 1
    else steps.push([edge, 1])
  }
  return steps
}

/** The largest number that begins with the same 11 bits. */
const upperEdge = (/** @type {number} */ micros) => {
  if (micros < 2048) return micros
  const step = 2 ** (Math.floor(Math.log2(micros)) - 10)
  return Math.floor(micros / step) * step + step - 1
}

const median = (/** @type {number[]} */ sorted) =>
  (sorted[sorted.length >> 1] + sorted[(sorted.length - 1) >> 1]) / 2

/** To the microsecond: more is not known. @param {number | undefined} ms */
const micro = ms => ms === undefined ? null : Math.round(Math.max(0, ms) * 1000) / 1000

const milli = (/** @type {number} */ seconds) => Math.round(Math.max(0, seconds) * 1000) / 1000
