// What makes an object that hibernated load its document. An object with clients wakes for every cursor and every renewed
// awareness state; what such a frame costs is what counts.
import { pause } from './client.mjs'
import { DOC, Room, stored } from './room.mjs'
import { ACK, frame, NOTHING, QUERY_AWARENESS, SYNC } from './wire.mjs'

const EDITS = 1000

export const title = 'Which first frame or request after hibernation loads the document (0 no, 1 yes)'

const FIRST = [
  ['awareness frame', room => room.hears(room.cursor())],
  ['query of awareness', room => room.writer.send(frame(QUERY_AWARENESS))],
  ['edit', room => room.hears(room.edit())],
  ['edit by HTTP', room => room.workerd.fetch(`d/${DOC}/update`, { method: 'POST', body: room.edit().update }).then(answered), { yonder: true }],
  ['question whether all is stored (102)', room => room.writer.send(frame(ACK, Uint8Array.of(1))), { yonder: true }],
  ['a client leaves', room => room.reader.leave()],
  ['a client connects and asks for the document', room => room.enterReader()],
  ['sync step 1', room => room.writer.send(frame(SYNC, 0, NOTHING))],
  ['read by HTTP', room => room.workerd.fetch(`d/${DOC}/as-update`).then(answered), { yonder: true }]
]

export async function run (plan, report) {
  for (const [kind] of FIRST) report.row(kind, 'loads', 'text')
  const running = await plan.startAll('loads')
  await Promise.all(running.map(workerd => count(workerd, report)))
  await plan.stopAll(running)
  report.note(`Counted by the workers: calls of \`onLoad\` (which y-partyserver makes before it looks at the frame), and yonder's own count. A document of ${EDITS.toLocaleString('en')} edits; one sample each.`)
}

async function count (workerd, report) {
  const { server } = workerd
  const room = await Room.filled(workerd, EDITS)
  const told = await server.loads(workerd) > 0 // whoever joined had it loaded
  for (const [kind, act, { yonder } = {}] of FIRST) {
    if (yonder && !server.ours) {
      report.add(kind, 'loads', 'text', server.key, 'has none')
      continue
    }
    await stored([room])
    await room.hibernate()
    const before = await server.loads(workerd)
    await act(room)
    await pause(300)
    report.add(kind, 'loads', 'text', server.key, told ? String(await server.loads(workerd) - before) : 'not told')
  }
}

async function answered (response) {
  if (!response.ok) throw new Error(`${response.url} answers ${response.status}: ${await response.text()}`)
  await response.arrayBuffer()
}
