// Hosts side by side, for `cargo xtask up all`: all end on SIGINT to this one.
//
//   node up-all.mjs NAME PORT [COMMAND [ARG]...] -- [NAME PORT [COMMAND [ARG]...] --]...
//
// Prints `ready URL NAME` for each that serves on its port, `failed NAME: WHY` for each that does not (without a command:
// that was not built), and at last `ready all`, or `ready but for NAME, ..`. What they print themselves goes to stderr, each
// line behind its name. One that ends later is told of by `ended NAME`; without any, this ends with 1.
import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

/** How long a start may take, in milliseconds, where the processor is shared by all of them. */
const START = 180_000
/** How long an end may take: longer than the slowest of them gives its own parts. */
const END = 40_000

const hosts = []
for (let words = process.argv.slice(2); words.length > 0;) {
  const end = words.indexOf('--')
  const [name, port, ...command] = words.slice(0, end < 0 ? undefined : end)
  hosts.push({ name, port: Number(port), command, last: 'it was not built' })
  words = end < 0 ? [] : words.slice(end + 1)
}

let ending = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => end(0))

/** Ends them all, and then this. */
async function end (code) {
  if (ending) return
  ending = true
  const running = hosts.filter(isRunning)
  // A signal to the group may have reached them already; a second one does no harm.
  for (const { child } of running) child.kill('SIGINT')
  await Promise.race([Promise.all(running.map(({ gone }) => gone)), sleep(END)])
  for (const { name, child } of running.filter(isRunning)) {
    console.error(`${name} does not end, and is killed`)
    child.kill('SIGKILL')
    code = 1
  }
  process.exit(code)
}

const isRunning = ({ child }) => child !== undefined && child.exitCode === null && child.signalCode === null

const isFree = port => new Promise(resolve => {
  const server = createServer()
  server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
})

/** Resolves with whether it serves. */
async function start (host) {
  const { name, port, command: [program, ...args] } = host
  if (program === undefined) return false
  // Whoever has the port would be taken for this host.
  if (!await isFree(port)) {
    host.last = `port ${port} is taken: see --${name}-port`
    return false
  }
  const child = host.child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  host.gone = new Promise(resolve => child.once('exit', resolve).once('error', resolve))
  const ready = new Promise(resolve => createInterface(child.stdout).on('line', line => {
    const [, url] = /^ready (http:\S+)$/.exec(line) ?? []
    if (url === undefined) return say(host, line)
    host.url = url
    resolve(true)
  }))
  createInterface(child.stderr).on('line', line => say(host, line))
  child.once('error', error => say(host, error.message))
  const late = sleep(START, undefined, { ref: false }).then(() => say(host, 'it is not ready, and is given up'))
  const serves = await Promise.race([ready, host.gone.then(() => false), late])
  if (!serves && isRunning(host)) child.kill('SIGINT')
  // Its last words may come after its end.
  else if (!serves) await sleep(200)
  return serves === true
}

function say (host, line) {
  host.last = line.trim() || host.last
  console.error(`${host.name}: ${line}`)
}

const started = await Promise.all(hosts.map(async host => {
  const serves = await start(host)
  if (ending) return
  console.log(serves ? `ready ${host.url} ${host.name}` : `failed ${host.name}: ${host.last}`)
  return serves
}))
const failed = hosts.filter((_, at) => !started[at]).map(({ name }) => name)
if (!ending) {
  if (failed.length === hosts.length) {
    console.error('none of the hosts serves')
    await end(1)
  }
  console.log(failed.length === 0 ? 'ready all' : `ready but for ${failed.join(', ')}`)
  for (const host of hosts.filter((_, at) => started[at])) {
    host.gone.then(() => {
      if (ending) return
      console.log(`ended ${host.name}`)
      if (!hosts.some(isRunning)) end(1)
    })
  }
}
