/** Waits that double, with jitter, so that many clients do not come back at the same moment. */
export class Backoff {
  #tries = 0

  /** @param bounds the first wait and the longest one, in milliseconds */
  constructor (private readonly bounds: readonly [number, number]) {}

  /** The next wait, half of it random. Never less than `atLeast`, which is what a server asked for. */
  next (atLeast = 0): number {
    const [first, longest] = this.bounds
    const wait = Math.min(longest, first * 2 ** this.#tries++)
    return Math.max(atLeast, wait * (0.5 + Math.random() / 2))
  }

  reset (): void {
    this.#tries = 0
  }
}

/** Resolves after a while, or when `signal` is aborted. */
export const pause = (ms: number, signal: AbortSignal): Promise<void> => new Promise(resolve => {
  if (signal.aborted) return resolve()
  const end = () => {
    clearTimeout(timer)
    signal.removeEventListener('abort', end)
    resolve()
  }
  const timer = setTimeout(end, ms)
  signal.addEventListener('abort', end)
})
