// Memory of documents that are open: what workerd has more to itself than before.
import * as Y from 'yjs'
import { Client, pause } from './client.mjs'
import { worked } from './edits.mjs'
import { frame, SYNC } from './wire.mjs'

const DOCUMENTS = 100
const EDITS = 1000
const SETTLE = 3500 // milliseconds: everyone has stored everything

export const title = `Memory of workerd with ${DOCUMENTS} documents, two sockets on each`

export async function run (plan, report) {
  const rounds = plan.pick(1, 4)
  const { doc } = worked(EDITS)
  const filling = frame(SYNC, 2, Y.encodeStateAsUpdate(doc))
  for (let round = 0; round < rounds; round++) {
    await Promise.all(plan.servers.map(server => fill(plan, report, server, `memory-${round}`, filling)))
  }
  report.note(`${rounds} round${rounds > 1 ? 's' : ''} on new processes. Private memory (smaps_rollup) some seconds after the last document was opened; garbage that V8 has not collected yet is in it. Each document holds ${EDITS.toLocaleString('en')} edits.`)
}

async function fill (plan, report, server, folder, filling) {
  const workerd = await plan.start(server, folder)
  await opened(workerd, 'first', filling) // code is compiled and storage is open
  await pause(SETTLE)
  const before = workerd.memory()
  for (let number = 0; number < DOCUMENTS; number++) await opened(workerd, `document-${number}`, filling)
  await pause(SETTLE)
  report.add('with one document', 'workerd', 'bytes', server.key, before)
  report.add('growth', 'for each further document', 'bytes', server.key, (workerd.memory() - before) / DOCUMENTS)
  await workerd.stop()
}

/** Two clients open a document, one of which has its content. */
async function opened (workerd, doc, filling) {
  const first = await Client.join(workerd.socket(doc))
  const second = await Client.join(workerd.socket(doc))
  const heard = new Promise(resolve => { second.hear = resolve })
  first.send(filling)
  await heard
}
