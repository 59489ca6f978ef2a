// What samples say.

/** The value below which a share of the samples lies. */
export function quantile (samples, share) {
  const sorted = samples.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
}

/** Median and 99th percentile, of milliseconds. */
export const spread = samples => [quantile(samples, 0.5), quantile(samples, 0.99)].map(ms)

export const ms = value => `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`

export const median = samples => quantile(samples, 0.5)
