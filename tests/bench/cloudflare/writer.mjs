// The writer of the open loop, on a thread of its own: edits leave at their appointed times, to some microseconds,
// whatever comes back and whatever the readers' thread is busy with.
import { setImmediate } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { Client } from './client.mjs'

const { url, frames, rate } = workerData
const client = await Client.join(url)
const bell = new Int32Array(new SharedArrayBuffer(4))
parentPort.postMessage('ready')

/** `start`: the time of the first edit by the machine's clock, in nanoseconds. */
parentPort.once('message', async start => {
  const lags = []
  for (const [number, frame] of frames.entries()) {
    const due = start + BigInt(Math.round(number * 1e9 / rate))
    await setImmediate() // what came meanwhile is read
    const wait = Number(due - process.hrtime.bigint()) / 1e6
    if (wait > 0) Atomics.wait(bell, 0, 0, wait)
    lags.push(Number(process.hrtime.bigint() - due) / 1e6)
    client.send(frame)
  }
  parentPort.postMessage(lags)
  parentPort.once('message', () => { client.leave(); parentPort.close() })
})
