// What a message takes from one WebSocket to another on Fastly, and what of that is the platform's: yonder in turns with a
// service that does nothing but relay (`targets/fastly/examples/echo.rs`), both in Viceroy behind Pushpin, side by side.
//
//   YONDER_UP, ECHO_UP   commands that start them, as YONDER_UP in tests/interop/host.mjs
import { Host } from '../interop/host.mjs'
import { dial, frame, isUpdate, SYNC } from '../interop/raw.mjs'
import { insertions, writer } from '../interop/streams.mjs'
import { pauseFor, until } from '../interop/waiting.mjs'

const [RATE, SECONDS, TURNS] = [20, 4, 6]
const READERS = [1, 10]

const hosts = { yonder: await Host.up({ template: process.env.YONDER_UP }), echo: await Host.up({ template: process.env.ECHO_UP }) }
console.log(`## One message to others\n\n${RATE} messages a second, each service ${TURNS} times for ${SECONDS} s in turns; milliseconds from a message's appointed time, median / p99\n`)
console.log('| readers | yonder | only relays | ratio of medians |\n|---|---|---|---|')
for (const readers of READERS) {
  const found = { yonder: [], echo: [] }
  const rooms = {}
  for (const [name, host] of Object.entries(hosts)) rooms[name] = await open(host, `relay-${readers}`, readers)
  for (let turn = 0; turn < TURNS; turn++) {
    for (const name of Object.keys(hosts)) found[name].push(...await relayed(rooms[name]))
  }
  const [yonder, echo] = [figures(found.yonder), figures(found.echo)]
  console.log(`| ${readers} | ${said(yonder)} | ${said(echo)} | ${(yonder.median / echo.median).toFixed(2)} |`)
}
for (const host of Object.values(hosts)) await host.down()

console.log('\n## Transports side by side\n')
await import('../interop/latency.mjs')

async function open (host, doc, count) {
  const sockets = []
  for (let n = 0; n <= count; n++) sockets.push(await dial(undefined, host, `/ws/${doc}`))
  await pauseFor(1_000)
  const [from, ...readers] = sockets
  const { push } = writer()
  return { from, readers, next: () => push('x') }
}

/** Sends what is due, whatever comes back. Resolves with how late each message reached each reader. */
async function relayed ({ from, readers, next }) {
  const count = RATE * SECONDS
  const late = []
  const start = performance.now() + 50
  const due = new Map() // what is inserted, and when it was to leave
  const ends = readers.map(reader => {
    const [seen, from] = [new Set(), reader.messages.length]
    let looked = from
    const look = () => {
      const now = performance.now()
      // Several messages may come as one.
      for (; looked < reader.messages.length; looked++) {
        const message = reader.messages[looked]
        for (const name of isUpdate(message) ? insertions(message.update) : []) {
          if (due.has(name) && !seen.has(name)) late.push(now - due.get(name))
          seen.add(name)
        }
      }
    }
    reader.socket.on('message', look)
    return () => reader.socket.off('message', look)
  })
  for (let n = 0; n < count; n++) {
    const at = start + n * 1000 / RATE
    const wait = at - performance.now()
    if (wait > 0) await pauseFor(wait)
    const update = next()
    due.set(insertions(update)[0], at)
    from.send(frame(SYNC, 2, update))
  }
  await until(() => late.length >= count * readers.length, () => `${count * readers.length} arrive; ${late.length} have`)
  ends.forEach(end => end())
  return late
}

function figures (list) {
  const sorted = list.toSorted((a, b) => a - b)
  const at = share => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
  return { median: at(0.5), p99: at(0.99) }
}

function said ({ median, p99 }) { return `${median.toFixed(1)} / ${p99.toFixed(1)}` }
