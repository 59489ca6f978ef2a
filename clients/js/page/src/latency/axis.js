// One logarithmic axis for all that is shown of a metric, and the shape of a distribution along it.

/** Below this many, each is drawn by itself: a shape would claim more than is known. */
export const FEW = 20
/** Places of a shape at which its height is known. */
const PLACES = 160
/** How little and how much is smoothed, as a share of the axis. */
const [NARROWEST, WIDEST] = [0.006, 0.025]

export class Axis {
  /** @param {number} min milliseconds, of all that is shown @param {number} max */
  constructor (min, max) {
    const [low, high] = [below(Math.max(min, 0.01) / 1.1), above(Math.max(max, 0.02) * 1.1)]
    this.low = Math.log10(low)
    this.width = Math.log10(high) - this.low
    /** Milliseconds that are marked. @type {{ at: number, labelled: boolean }[]} */
    this.ticks = []
    for (let power = Math.floor(this.low); power <= Math.ceil(this.low + this.width); power++) {
      for (const digit of [1, 2, 5]) {
        const at = digit * 10 ** power
        if (at < low * 0.999 || at > high * 1.001) continue
        this.ticks.push({ at, labelled: digit === 1 || this.width < 2.2 })
      }
    }
  }

  /** Where it is, from 0 to 1. @param {number} ms */
  place (ms) {
    return Math.min(1, Math.max(0, (Math.log10(Math.max(ms, 0.001)) - this.low) / this.width))
  }

  /**
   * A histogram as a path in a box that is 1 wide and 1 high: each value where it is and a little around it; as high as the
   * box where there are most. It begins at the least of them and ends at the greatest.
   *
   * @param {[number, number][]} histogram
   */
  shape (histogram) {
    const points = histogram.map(([ms, count]) => ({ at: this.place(ms), count }))
    const all = points.reduce((sum, { count }) => sum + count, 0)
    const [low, high] = [0.25, 0.75].map(share => quantile(points, share * all))
    // Silverman's rule, by the middle half alone: the tails of latencies are long.
    const bandwidth = Math.min(WIDEST, Math.max(NARROWEST, 0.9 * (high - low) / 1.34 * all ** -0.2))
    const from = Math.max(0, points[0].at - bandwidth / 2)
    const to = Math.min(1, points[points.length - 1].at + bandwidth / 2)
    const heights = Array.from({ length: PLACES + 1 }, (_, place) => {
      const x = from + (to - from) * place / PLACES
      return { x, height: points.reduce((sum, { at, count }) => sum + count * Math.exp(-(((x - at) / bandwidth) ** 2) / 2), 0) }
    })
    const highest = Math.max(...heights.map(({ height }) => height))
    const places = heights.map(({ x, height }) => `${x.toFixed(4)} ${(1 - height / highest).toFixed(3)}`)
    return `M${from.toFixed(4)} 1L${places.join('L')}L${to.toFixed(4)} 1z`
  }
}

/** Milliseconds as people read them: clocks of browsers go in steps of a tenth. @param {number | null | undefined} ms */
export const shown = ms => {
  if (ms === null || ms === undefined) return '–'
  return ms < 0.995 ? ms.toFixed(2) : ms < 99.95 ? ms.toFixed(1) : Math.round(ms).toLocaleString('en')
}

const quantile = (/** @type {{ at: number, count: number }[]} */ points, /** @type {number} */ rank) => {
  let sum = 0
  return (points.find(({ count }) => (sum += count) >= rank) ?? points[points.length - 1]).at
}

const steps = (/** @type {number} */ ms) => {
  const power = 10 ** Math.floor(Math.log10(ms))
  return [1, 2, 5, 10].map(digit => digit * power)
}

const below = (/** @type {number} */ ms) => steps(ms).findLast(step => step <= ms) ?? ms

const above = (/** @type {number} */ ms) => steps(ms).find(step => step >= ms) ?? ms
