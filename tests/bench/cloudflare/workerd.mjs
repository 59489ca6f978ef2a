// A running worker, from the benchmark's side.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { cpuSeconds, memoryBytes, children } from './process.mjs'

// A host of workerd ends with its channel, whatever ends this process.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

export class Workerd {
  /** Starts the worker on the folder `data`, which outlives it. */
  static async start (tools, server, bundle, data) {
    const workerd = new this()
    workerd.server = server
    workerd.child = fork(fileURLToPath(new URL('workerd-host.mjs', import.meta.url)), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    workerd.waiting = new Map()
    workerd.child.on('message', ({ id, value, error }) => {
      const { resolve, reject } = workerd.waiting.get(id)
      workerd.waiting.delete(id)
      if (error) reject(new Error(error)); else resolve(value)
    })
    workerd.child.once('exit', () => {
      for (const { reject } of workerd.waiting.values()) reject(new Error(`the process of ${server.name} ended`))
    })
    const { config, out, entry } = bundle
    workerd.url = await workerd.call('start', { tools, config, out, entry, data })
    workerd.pids = children(workerd.child.pid).filter(({ name }) => name === 'workerd').map(({ pid }) => pid)
    if (workerd.pids.length === 0) throw new Error(`no workerd below process ${workerd.child.pid}`)
    return workerd
  }

  call (call, args) {
    const id = (this.calls = (this.calls ?? 0) + 1)
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject })
      this.child.send({ id, call, args })
    })
  }

  /** The URL of a document's WebSocket. */
  socket (doc) {
    return this.url.replace(/^http/, 'ws') + this.server.path(doc)
  }

  /** Ends the instance of a document's object, once its timers have fired; its sockets stay. */
  hibernate (doc) {
    return this.call('hibernate', { className: 'Document', name: doc })
  }

  fetch (path, options) {
    return fetch(this.url + path, options)
  }

  /** CPU time of workerd so far, in seconds; what Node.js beside it does is not in it. */
  cpu () {
    return this.pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0)
  }

  /** Memory that workerd has to itself, in bytes. */
  memory () {
    return this.pids.reduce((sum, pid) => sum + memoryBytes(pid), 0)
  }

  async stop () {
    const ended = new Promise(resolve => this.child.once('exit', resolve))
    await this.call('stop')
    await ended
  }
}
