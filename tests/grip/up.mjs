// A host, and the GRIP proxy in front of it if it has one, for `cargo xtask up`: both end on SIGINT to this one.
//
// On SIGUSR2 the host is killed, and `away` printed; and on the next it is started again, while the proxy goes on.
//
//   node up.mjs --xtask PROGRAM --port PORT --control PORT --backend PORT --key KEY --issuer NAME
//               [--route NAME --handoff PORT] -- HOST [ARG]...
//
// The host serves on `backend`. Once it does, and the proxy serves on `port`, this prints `ready URL` of the proxy. With
// `route` the host hands requests to the proxy, by this name and at `handoff`, and the URL is the host's. Without `control`
// there is no proxy.
import { spawn } from 'node:child_process'
import { request } from 'node:http'
import { createConnection } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { handOff } from './handoff.mjs'

const names = ['xtask', 'port', 'control', 'backend', 'key', 'issuer', 'route']
const { values, positionals: [program, ...args] } = parseArgs({
  options: Object.fromEntries([...names, 'handoff'].map(name => [name, { type: 'string' }])), allowPositionals: true
})

const children = []
let ending = false
/** Ends both, and then this. */
async function end (code) {
  if (ending) return
  ending = true
  const ends = children.map(child => new Promise(resolve => child.once('close', resolve)))
  const left = children.map((child, at) => child.exitCode === null && child.signalCode === null ? (child.kill('SIGINT'), ends[at]) : undefined)
  await Promise.race([Promise.all(left), sleep(10_000)])
  for (const child of children) child.kill('SIGKILL')
  process.exit(code)
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => end(0))

function start (command, options) {
  const child = spawn(command[0], command.slice(1), options)
  children.push(child)
  child.once('error', error => { console.error(error.message); end(1) })
  // A signal to the group may end it before this one hears of it.
  child.once('exit', (code, signal) => setTimeout(() => {
    if (child.isAway) return
    if (!ending) console.error(`${command[0]} ended with ${code ?? signal}`)
    end(1)
  }, 200))
  return child
}

/** Whether a socket opens, for which more of the proxy's parts have to be there. One that is refused opens to be told why. */
const upgrades = timeout => new Promise(resolve => {
  const headers = { connection: 'upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==' }
  const opening = request({ host: '127.0.0.1', port: values.port, path: '/ws/ready', headers, timeout })
  opening.once('upgrade', (_answer, socket) => { socket.destroy(); resolve(true) })
  opening.once('response', answer => { answer.destroy(); resolve(false) })
  opening.once('timeout', () => opening.destroy()).once('error', () => resolve(false)).end()
})

const listens = port => new Promise(resolve => {
  const socket = createConnection(port, '127.0.0.1')
  socket.once('connect', () => { socket.destroy(); resolve(true) }).once('error', () => resolve(false))
})

const options = names.slice(1).filter(name => values[name] !== undefined)
const proxy = ['up', 'pushpin', ...options.flatMap(name => [`--${name}`, values[name]])]
const proxied = values.control !== undefined
if (proxied) start([values.xtask, ...proxy], { stdio: ['ignore', 2, 2] })
if (values.handoff !== undefined) await handOff(values.handoff, values.port)
let host
async function startHost () {
  host = start([program, ...args], { stdio: ['ignore', 'pipe', 2] })
  createInterface(host.stdout).on('line', line => { if (!line.startsWith('ready ')) console.error(line) })
  while (!await listens(values.backend)) await sleep(20)
  const ready = await fetch(`http://127.0.0.1:${values.backend}/ready`)
  if (!ready.ok) {
    // As where a server refuses to start.
    console.error(await ready.text())
    await end(1)
  }
}
await startHost()
while (proxied && (!await listens(values.port) || !await listens(values.control))) await sleep(20)
// Its parts find each other a moment later; what comes before that may wait for ever.
const through = ms => fetch(`http://127.0.0.1:${values.port}/ready`, { signal: AbortSignal.timeout(ms) }).then(({ ok }) => ok, () => false)
for (const asks of proxied ? [through, ...values.route ? [] : [upgrades]] : []) {
  for (let ms = 100; !await asks(ms); ms = Math.min(2 * ms, 2_000)) await sleep(20)
}
const announce = () => console.log(`ready http://127.0.0.1:${values.route || !proxied ? values.backend : values.port}`)
announce()
process.on('SIGUSR2', async () => {
  if (host.isAway) {
    await startHost()
    return announce()
  }
  host.isAway = true
  host.once('close', () => console.log('away')).kill('SIGKILL')
})
