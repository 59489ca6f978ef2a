// One logarithmic axis for all that is shown of a metric, and how dense a distribution is along it.

/** Below this many, each is drawn by itself: a shape would claim more than is known. */
export const FEW = 20
/** Places along the axis at which the density is known. */
const PLACES = 160

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
   * How many there are of a histogram along the axis, each where it is and a little around it; 1 at the highest.
   *
   * @param {[number, number][]} histogram @returns {number[]}
   */
  density (histogram) {
    const points = histogram.map(([ms, count]) => ({ at: this.place(ms), count }))
    const all = points.reduce((sum, { count }) => sum + count, 0)
    const mean = points.reduce((sum, { at, count }) => sum + at * count, 0) / all
    const deviation = Math.sqrt(points.reduce((sum, { at, count }) => sum + (at - mean) ** 2 * count, 0) / all)
    const [low, high] = [0.25, 0.75].map(share => quantile(points, share * all))
    const spread = Math.min(deviation, (high - low) / 1.34) || deviation
    const bandwidth = Math.max(0.006, 0.9 * spread * all ** -0.2)
    const heights = Array.from({ length: PLACES + 1 }, (_, index) =>
      points.reduce((sum, { at, count }) => sum + count * Math.exp(-(((index / PLACES - at) / bandwidth) ** 2) / 2), 0))
    const highest = Math.max(...heights)
    return heights.map(height => height / highest)
  }
}

/** As a path of a box that is 1 wide and 1 high, from where there is something until there is nothing. @param {number[]} density */
export const shape = density => {
  const places = density.map((height, index) => ({ height, x: (index / (density.length - 1)).toFixed(4) }))
  const some = places.filter(({ height }) => height > 0.005)
  return `M${some[0].x} 1L${some.map(({ height, x }) => `${x} ${(1 - height).toFixed(3)}`).join('L')}L${some[some.length - 1].x} 1z`
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
