// Which transport, and when: down when one does not work here, up again when a better one does.

import { Backoff } from './backoff.js'
import type { Connection, Failure, Listener, TransportName } from './connection.js'
import type { Timing } from './timing.js'

export interface Hooks {
  open: (name: TransportName, listener: Listener) => Connection
  /** An attempt begins. */
  connecting: () => void
  /** This connection is synced, and takes over from `before` where there is one, which is to be closed. */
  connected: (connection: Connection, before: Connection | undefined) => void
  /** `connection` is no more. `waiting` tells that there is no attempt at once. */
  lost: (connection: Connection, failure: Failure, waiting: boolean) => void
  /** The server will not have us. */
  refused: (failure: Failure) => void
  denied: (reason: string, code: number) => void
  trouble: (reason: string, cause?: unknown) => void
  /** Whether there is another token. */
  renew: () => Promise<boolean>
  /** What worked the last time. */
  recall: () => TransportName | undefined
  remember: (name: TransportName) => void
}

/** Quick failures in a row until a transport that has worked is taken for blocked. */
const STRIKES = 3

export class Ladder {
  /** The connection in use, or the attempt at one. */
  main: Connection | undefined
  /** Whether `main` is synced. */
  synced = false
  /** Connected, or trying to be. */
  wanted = false

  #rungs: readonly TransportName[]
  #since = 0
  /** Failures of the same transport in a row. */
  #strikes = 0
  /** Transports that have failed since something worked. */
  readonly #failed = new Set<TransportName>()
  /** Transports that have held for long. */
  readonly #proven = new Set<TransportName>()
  /** A new token was tried since something worked. */
  #renewed = false
  readonly #backoff: Backoff
  readonly #refusals: Backoff
  #next: { timer: ReturnType<typeof setTimeout>, act: () => void } | undefined

  /** A better transport that is being tried beside `main`, and those to try after it. */
  #probe: Connection | undefined
  #others: readonly TransportName[] = []
  readonly #climbs: Backoff
  #climb: ReturnType<typeof setTimeout> | undefined

  constructor (rungs: readonly TransportName[], private readonly timing: Timing, private readonly hooks: Hooks) {
    this.#rungs = rungs
    this.#backoff = new Backoff(timing.retry)
    this.#refusals = new Backoff(timing.refused)
    this.#climbs = new Backoff(timing.climb)
  }

  /** Connects, or tries at once what would have waited. */
  connect (): void {
    this.#renewed = false
    this.wanted = true
    this.hurry()
    if (!this.main) this.#round()
  }

  disconnect (): void {
    this.wanted = false
    this.suspend()
  }

  /** Ends everything until `connect`, although a connection is wanted. */
  suspend (): void {
    clearTimeout(this.#next?.timer)
    this.#next = undefined
    this.#endProbe()
    this.main?.close()
    this.main = undefined
    this.synced = false
  }

  /** What waits for another attempt waits no longer. */
  hurry (): void {
    const next = this.#next
    this.#next = undefined
    clearTimeout(next?.timer)
    next?.act()
  }

  /** The network is another one: nothing that was learned of it counts. */
  networkChanged (): void {
    this.#backoff.reset()
    this.#climbs.reset()
    if (this.synced) this.main?.check()
    else this.hurry()
    this.#planClimb(0)
  }

  /** Changes what may be used. A connection in use goes on until a wanted one is synced. */
  use (rungs: readonly TransportName[]): void {
    this.#rungs = rungs
    this.#climbs.reset()
    if (!this.wanted) return
    this.#endProbe()
    if (!this.main || !this.synced) {
      this.suspend()
      this.#round()
    } else if (rungs.includes(this.main.name)) {
      this.#planClimb(0)
    } else {
      this.#try(rungs)
    }
  }

  #later (wait: number, act: () => void): void {
    if (!this.#isIdle) return
    const timer = setTimeout(() => this.hurry(), wait)
    this.#next = { timer, act }
  }

  /** From the top, or from what worked the last time. */
  #round (): void {
    this.#failed.clear()
    this.#strikes = 0
    const known = this.#rungs.length > 1 ? this.hooks.recall() : undefined
    const name = known && this.#rungs.includes(known) ? known : this.#rungs[0]
    if (name) this.#attempt(name)
  }

  #attempt (name: TransportName): void {
    this.hooks.connecting()
    this.main = this.#open(name)
  }

  #open (name: TransportName): Connection {
    const connection: Connection = this.hooks.open(name, {
      synced: () => this.#onSynced(connection),
      lost: failure => connection === this.main ? this.#onLost(connection, failure) : this.#onProbeLost(connection),
      denied: (reason, code) => connection === this.main && this.hooks.denied(reason, code),
      trouble: (reason, cause) => connection === this.main && this.hooks.trouble(reason, cause)
    })
    return connection
  }

  #onSynced (connection: Connection): void {
    const before = connection === this.main ? undefined : this.main
    if (connection === this.#probe) this.#probe = undefined
    this.main = connection
    this.synced = true
    this.#since = Date.now()
    this.#renewed = false
    this.#refusals.reset()
    // What was forced says nothing about what is best.
    const { name } = connection
    const byMemory = this.#rungs.length > 1 && this.hooks.recall() === name && !this.#failed.size
    if (this.#rungs.length > 1) this.hooks.remember(name)
    this.hooks.connected(connection, before)
    // What was remembered may be out of date: look at once.
    this.#planClimb(byMemory && !before ? 0 : undefined)
  }

  #onLost (connection: Connection, failure: Failure): void {
    const steady = this.synced && Date.now() - this.#since >= this.timing.steady
    const { name } = connection
    this.synced = false
    this.main = undefined
    clearTimeout(this.#climb)
    if (steady) {
      this.#proven.add(name)
      this.#failed.clear()
      this.#strikes = 0
      this.#backoff.reset()
      this.#climbs.reset()
    }
    if (failure.refused) return this.#onRefused(connection, failure)
    const lost = (waiting: boolean) => this.hooks.lost(connection, failure, waiting)
    // A better one may be on its way already.
    if (this.#probe) {
      lost(false)
      this.main = this.#probe
      this.#probe = undefined
      return
    }
    const wait = () => this.#backoff.next(failure.retryAfter)
    if (!failure.busy) this.#strikes++
    const patience = failure.hung ? 1 : this.#proven.has(name) ? STRIKES : 1
    if (this.#rungs.includes(name) && this.#strikes < patience) {
      lost(true)
      return this.#later(wait(), () => this.#attempt(name))
    }
    this.#strikes = 0
    this.#failed.add(name)
    this.#proven.delete(name)
    const next = this.#rungs.find(rung => !this.#failed.has(rung))
    lost(next === undefined)
    if (!next) this.#later(wait(), () => this.#round())
    else if (this.#isIdle) this.#attempt(next)
  }

  /** Nothing is under way, and something should be. Whoever is told of a loss may have decided otherwise. */
  get #isIdle (): boolean {
    return this.wanted && !this.main && !this.#next
  }

  #onRefused (connection: Connection, failure: Failure): void {
    this.#endProbe()
    const refuse = () => {
      this.hooks.refused(failure)
      // A document that was deleted is not asked for until someone wants it again.
      if (failure.refused === 'gone') this.wanted = false
      else this.#later(this.#refusals.next(failure.retryAfter), () => { this.#renewed = false; this.#round() })
    }
    const another = failure.refused === 'token' && !this.#renewed
    this.#renewed = true
    this.hooks.lost(connection, failure, !another)
    if (!another) return refuse()
    this.hooks.renew().then(
      fresh => this.#isIdle && (fresh ? this.#attempt(connection.name) : refuse()),
      cause => {
        this.hooks.trouble('no new token could be had', cause)
        this.#later(this.#backoff.next(), () => { this.#renewed = false; this.#attempt(connection.name) })
      }
    )
  }

  /** After a while, or when told, tries what is better than what is in use. */
  #planClimb (wait?: number): void {
    clearTimeout(this.#climb)
    const { main } = this
    if (!main || !this.synced || this.#probe) return
    const at = this.#rungs.indexOf(main.name)
    if (at === 0) return
    const better = at < 0 ? this.#rungs : this.#rungs.slice(0, at)
    this.#climb = setTimeout(() => this.#try(better), wait ?? this.#climbs.next())
  }

  #try ([name, ...others]: readonly TransportName[]): void {
    this.#others = others
    if (name) {
      this.#probe = this.#open(name)
    } else if (this.main && !this.#rungs.includes(this.main.name)) {
      // None of those that are wanted works now, and what does is not wanted.
      const { main } = this
      this.suspend()
      this.hooks.lost(main, { reason: 'this transport is not to be used any more', code: 0 }, false)
      this.#round()
    } else {
      this.#planClimb()
    }
  }

  #onProbeLost (connection: Connection): void {
    if (connection !== this.#probe) return
    this.#probe = undefined
    this.#try(this.#others)
  }

  #endProbe (): void {
    clearTimeout(this.#climb)
    this.#probe?.close()
    this.#probe = undefined
  }
}
