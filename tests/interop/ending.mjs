// Ending a test: everything it opened is closed, also when something fails on the way.

const endings = new WeakMap()

/** Runs `ending` after test `t`, the last one registered first; each runs whatever the others throw. */
export function atEnd (t, ending) {
  if (!endings.has(t)) {
    endings.set(t, [])
    t.after(() => end(endings.get(t))) // node:test itself would stop at the first hook that throws
  }
  endings.get(t).push(ending)
}

async function end (list) {
  const errors = []
  for (const ending of list.reverse()) {
    try {
      await ending()
    } catch (error) {
      errors.push(error)
    }
  }
  if (errors.length > 0) throw errors[0]
}
