// Waiting for conditions instead of sleeping: every wait has a limit and says what it was waiting for.

/** The limit where nothing depends on how soon it is: it is only spent when something fails, also where the processor is shared. */
export const PATIENCE = 30_000

/** Resolves with the first truthy value of `condition`; rejects after `ms`, naming `what` (a text, or a function giving one). */
export async function until (condition, what, ms = PATIENCE) {
  const end = performance.now() + ms
  let pause = 1
  for (;;) {
    const value = await condition()
    if (value) return value
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${say(what)}`)
    await pauseFor(pause)
    pause = Math.min(pause * 2, 25)
  }
}

/** Rejects when `promise` has not settled after `ms`. */
export async function within (promise, what, ms = PATIENCE) {
  let timer
  const limit = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${say(what)}`)), ms)
  })
  try {
    return await Promise.race([promise, limit])
  } finally {
    clearTimeout(timer)
  }
}

/** Rejects if `condition` becomes truthy in the next `ms`: for what must not happen. Prefer `until` on a later event. */
export async function never (condition, what, ms) {
  const end = performance.now() + ms
  while (performance.now() < end) {
    if (await condition()) throw new Error(`happened, but must not: ${say(what)}`)
    await pauseFor(20)
  }
}

/** For pacing a writer, not for hoping that something has happened meanwhile. */
export const pauseFor = ms => new Promise(resolve => setTimeout(resolve, ms))

const say = what => typeof what === 'function' ? what() : what
