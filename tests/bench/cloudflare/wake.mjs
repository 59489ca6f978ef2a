// An object that was evicted: how soon the first frame after that reaches someone else, and how long a join takes. What
// workerd does by itself after some seconds without messages is done at once.
import { pause } from './client.mjs'
import { Room, stored } from './room.mjs'

const EDITS = 10_000
const SEVERAL = 15

export const title = `An evicted object with a document of ${EDITS.toLocaleString('en')} edits`

/** What is measured: its name, what is done before, what is timed, and whether it changes the document. */
const SAMPLES = [
  { load: 'awake', figure: 'awareness frame, to the other client', act: room => usual(() => room.hears(room.cursor())) },
  { load: 'awake', figure: 'edit, to the other client', act: room => usual(() => room.hears(room.edit())), changes: true },
  { load: 'hibernated', figure: 'awareness frame, to the other client', act: room => room.hears(room.cursor()) },
  { load: 'hibernated', figure: 'edit, to the other client', act: room => room.hears(room.edit()), changes: true },
  { load: 'hibernated', figure: 'join of a third client, until synced', act: room => room.join() },
  { load: 'awake', figure: 'join of a third client, until synced', act: room => room.join() }
]

export async function run (plan, report) {
  for (const { load, figure } of SAMPLES) rows(report, load, figure)
  const running = await plan.startAll('wake')
  const rooms = await Promise.all(running.map(workerd => Room.filled(workerd, EDITS)))
  await pause(5000) // for whatever wants to be compacted
  const rounds = plan.pick(3, 20)
  for (let round = 0; round < rounds; round++) {
    for (const { load, figure, act, changes } of SAMPLES) {
      const [time, cpu] = rows(report, load, figure)
      for (const room of plan.turns(rooms, round)) {
        if (load === 'hibernated') await room.hibernate()
        const before = room.workerd.cpu()
        time.values[room.key].push(await act(room))
        await pause(30) // what it does behind its answer
        cpu?.values[room.key].push(room.workerd.cpu() - before)
      }
      if (changes) await stored(rooms)
    }
  }
  report.note(`${rounds} rounds with one sample of each figure (of frames to an object that is awake: the median of ${SEVERAL}). Clients answer step 1 with what they have, as providers do.`)
  report.note('y-partyserver in memory is not here: with clients its object cannot be evicted at all (workerd: "it still has active references"), and once they have left, its document is gone.')
  await plan.stopAll(running)
}

/** The row of a time, and of what workerd does for it where that is more than what any frame costs. */
function rows (report, load, figure) {
  return [report.row(load, figure, 'seconds'), ...(load === 'hibernated' ? [report.row(load, `CPU for that: ${figure.split(/,| of/)[0]}`, 'seconds')] : [])]
}

/** The median of several. */
async function usual (act) {
  const took = []
  while (took.length < SEVERAL) {
    took.push(await act())
    await pause(3)
  }
  return took.sort((a, b) => a - b)[Math.floor(SEVERAL / 2)]
}
