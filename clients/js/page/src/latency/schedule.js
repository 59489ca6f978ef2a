// Time as a browser has it: timers that are late, and a clock of coarse steps.

/** How long before its time a timer is set to fire, in milliseconds: browsers' timers are late by that much, or coarser. */
const EARLY = 5

const { port1, port2 } = new MessageChannel()
/** @type {(() => void)[]} */
const turns = []
port1.onmessage = () => turns.shift()?.()

/** Gives way to whatever has come in the meantime. No timer: those are never sooner than 4 ms, once they follow each other. */
const giveWay = () => new Promise(resolve => {
  turns.push(/** @type {() => void} */ (resolve))
  port2.postMessage(0)
})

/** Resolves at this time of `performance.now()`, as exactly as can be. */
export const at = async (/** @type {number} */ time) => {
  const wait = time - performance.now() - EARLY
  if (wait > 0) await pause(wait)
  while (performance.now() < time) await giveWay()
}

export const pause = (/** @type {number} */ ms) => new Promise(resolve => setTimeout(resolve, ms))

/** The smallest step of the clock that is seen, in nanoseconds. */
export const resolution = () => {
  let least = Infinity
  for (let steps = 0, last = performance.now(), end = last + 50; steps < 100 && last < end;) {
    const now = performance.now()
    if (now === last) continue
    least = Math.min(least, now - last)
    last = now
    steps += 1
  }
  return Math.round((least === Infinity ? 50 : least) * 1e6)
}
