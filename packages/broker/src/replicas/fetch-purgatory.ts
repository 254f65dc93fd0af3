import type { BagPlace } from '@tidelog/core'
import type { RequestConnection } from '../request-connection.ts'
import type { FetchWatcher, Partition } from './partition.ts'
import type { TimerWheel, WheelTimer } from './timer-wheel.ts'

/** Why a wait ended: there is more to read or something else to say, the time is over, or nobody is left to tell. */
export type WakeReason = 'readable' | 'expired' | 'gone'

class Waiting implements FetchWatcher {
  readonly #places: BagPlace[] = []
  readonly #done: (reason: WakeReason) => void
  #bytesMissing: number
  #timer: WheelTimer | undefined
  #forgetConnection: (() => void) | undefined
  #ended = false

  constructor(bytesWanted: number, done: (reason: WakeReason) => void) {
    this.#bytesMissing = bytesWanted
    this.#done = done
  }

  start(partitions: readonly Partition[], timers: TimerWheel, maxWaitMs: number, connection: RequestConnection): void {
    for (const partition of partitions) this.#places.push(partition.watch(this))
    this.#timer = timers.add(maxWaitMs, () => this.#end('expired'))
    this.#forgetConnection = connection.onClose(() => this.#end('gone'))
  }

  onReadable(bytes: number): void {
    this.#bytesMissing -= bytes
    if (this.#bytesMissing <= 0) this.#end('readable')
  }

  onChanged(): void {
    this.#end('readable')
  }

  #end(reason: WakeReason): void {
    if (this.#ended) return
    this.#ended = true
    for (const place of this.#places) place.leave()
    this.#timer?.cancel()
    this.#forgetConnection?.()
    this.#done(reason)
  }
}

/** Where fetches wait that found less than their `min bytes`: appends wake them, one timer wheel ends the wait. */
export class FetchPurgatory {
  readonly #timers: TimerWheel
  #waiting = 0

  constructor(timers: TimerWheel) {
    this.#timers = timers
  }

  /** Fetches that wait. */
  get size(): number {
    return this.#waiting
  }

  /**
   * Resolves when about `bytesWanted` bytes were appended to the partitions together, one of them changed otherwise, or `maxWaitMs` passed.
   * The caller has read the partitions in this same turn or compares their ends again: what was appended before does not count.
   */
  wait(
    partitions: readonly Partition[],
    options: { bytesWanted: number; maxWaitMs: number; connection: RequestConnection },
  ): Promise<WakeReason> {
    this.#waiting++
    return new Promise((resolve) => {
      const waiting = new Waiting(options.bytesWanted, (reason) => {
        this.#waiting--
        resolve(reason)
      })
      waiting.start(partitions, this.#timers, options.maxWaitMs, options.connection)
    })
  }
}
