// What the operating system says about processes. Linux only.
import { readdirSync, readFileSync } from 'node:fs'
import { cpus, loadavg, release } from 'node:os'

/** CPU time of a process so far, in seconds: of its living threads, to the nanosecond. */
export function cpuSeconds (pid) {
  return threads(pid).reduce((sum, thread) => sum + Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[0]), 0) / 1e9
}

/** Memory that a process has to itself, in bytes. */
export function memoryBytes (pid) {
  const rollup = read(`/proc/${pid}/smaps_rollup`)
  return ['Private_Clean', 'Private_Dirty'].reduce((sum, name) => sum + Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(rollup)?.[1] ?? 0), 0) * 1024
}

/** All processes below one, as `{ pid, name }`. */
export function children (pid) {
  const found = threads(pid).flatMap(thread => read(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean).map(Number))
  return found.flatMap(child => [{ pid: child, name: read(`/proc/${child}/comm`).trim() }, ...children(child)])
}

/** One line about the machine, with what else was running on it. */
export function machine () {
  return `${cpus().length} cores of ${cpus()[0]?.model ?? 'an unknown make'}, Linux ${release()}, load average ${loadavg()[0].toFixed(2)} at the start`
}

function threads (pid) {
  try { return readdirSync(`/proc/${pid}/task`) } catch { return [] }
}

function read (path) {
  try { return readFileSync(path, 'utf8') } catch { return '' }
}
