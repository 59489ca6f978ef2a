// What stands between Viceroy and Pushpin. Viceroy 0.22 forgets what it reads together with the head of an answer with 101: the
// first frames of a socket, most often of one that is refused. So what is behind that head waits until it was read.
import { existsSync, readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const END = Buffer.from('\r\n\r\n')

/** Listens on a port of 127.0.0.1 and connects whoever comes with another one. */
export function handOff (from, to) {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, host => {
    const proxy = connect({ port: to, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    for (const [one, other] of [[host, proxy], [proxy, host]]) {
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroySoon())
    }
    host.pipe(proxy)
    answer(proxy, host)
  })
  return new Promise((resolve, reject) => server.once('error', reject).listen(from, '127.0.0.1', resolve))
}

async function answer (proxy, host) {
  let head = Buffer.alloc(0)
  for (;;) {
    const more = proxy.read()
    if (more === null) {
      if (proxy.readableEnded || proxy.destroyed) return void host.end(head)
      await new Promise(resolve => { for (const event of ['readable', 'end', 'close']) proxy.once(event, resolve) })
      continue
    }
    head = Buffer.concat([head, more])
    const end = head.indexOf(END)
    if (end < 0) continue
    if (/^HTTP\/1\.1 101 /.test(head.toString('latin1'))) {
      const behind = head.subarray(end + END.length)
      await new Promise(resolve => host.write(head.subarray(0, end + END.length), resolve))
      while (isUnread(host)) await sleep(1)
      head = behind
    }
    if (!host.destroyed) host.write(head)
    return void proxy.pipe(host)
  }
}

const TABLE = '/proc/net/tcp'

/** Whether the other end of a connection, on this machine, has not yet taken all that was sent, where the system tells. */
function isUnread (socket) {
  if (!existsSync(TABLE)) return false
  const hex = port => port?.toString(16).toUpperCase().padStart(4, '0')
  const there = `0100007F:${hex(socket.remotePort)} 0100007F:${hex(socket.localPort)} `
  const line = readFileSync(TABLE, 'utf8').split('\n').find(line => line.includes(there))
  return line !== undefined && !/ [0-9A-F]{8}:0{8} /.test(line)
}
