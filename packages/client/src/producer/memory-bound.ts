import type { Clock, Timer } from '@tidelog/core'
import { type ClientError, TimeoutError } from '../errors.ts'
import { Meter } from '../metrics.ts'
import { Deadline } from '../wait.ts'

interface Waiter {
  readonly bytes: number
  /** Whether they are reserved for it, or only have to be free. */
  readonly isReserving: boolean
  readonly deadline: Deadline | undefined
  /** Settled, or given up: its turn is passed over. */
  isGone: boolean
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
  next: Waiter | undefined
}

export interface MemoryWaitOptions {
  readonly timeoutMs?: number
  readonly signal?: AbortSignal | undefined
}

/** How much of it must be free before `whenRoomy` resolves: room for one record at a time would mean batches of one. */
const ROOMY_FRACTION = 0.25

const nothing = (): void => {}

/**
 * Counts the bytes of records that are not done, and makes those wait, in order, that find no room. There may be as many that wait as the
 * user has calls under way, so a waiter is a link in a list and one timer serves them all.
 */
export class MemoryBound {
  readonly totalBytes: number
  /** Ms that those have waited who found no room. */
  readonly waitedMs = new Meter()
  /** Those for whom there was none in time. */
  readonly exhausted = new Meter()
  readonly #clock: Clock
  #usedBytes = 0
  #waiting = 0
  #head: Waiter | undefined
  #tail: Waiter | undefined
  #timer: Timer | undefined

  constructor(totalBytes: number, clock: Clock) {
    this.totalBytes = totalBytes
    this.#clock = clock
  }

  get availableBytes(): number {
    return this.totalBytes - this.#usedBytes
  }

  get waiting(): number {
    return this.#waiting
  }

  /** False: no room, or others have been waiting for it. */
  tryReserve(bytes: number): boolean {
    if (this.#waiting > 0 || this.#usedBytes + bytes > this.totalBytes) return false
    this.#usedBytes += bytes
    return true
  }

  /**
   * @param onReserved Called at once when there is room, so that nothing that comes later gets ahead.
   * @throws TimeoutError, the signal's reason, what `failWaiting` says
   */
  reserve(bytes: number, options: MemoryWaitOptions, onReserved: () => void): Promise<void> {
    return this.#wait(bytes, true, options, onReserved)
  }

  /** Resolves when a good part is free, and `bytes` at least; reserves nothing. @throws as reserve() */
  async whenRoomy(bytes: number, options: MemoryWaitOptions): Promise<void> {
    const wanted = Math.min(this.totalBytes, Math.max(bytes, this.totalBytes * ROOMY_FRACTION))
    if (this.#waiting === 0 && this.availableBytes >= wanted) return
    await this.#wait(wanted, false, options, nothing)
  }

  release(bytes: number): void {
    this.#usedBytes -= bytes
    if (this.#head !== undefined) this.#grant()
  }

  failWaiting(error: ClientError): void {
    for (let waiter = this.#head; waiter !== undefined; waiter = waiter.next) this.#giveUp(waiter, error)
    this.#grant()
  }

  #wait(bytes: number, isReserving: boolean, { timeoutMs, signal }: MemoryWaitOptions, onGranted: () => void): Promise<void> {
    return new Promise((onResolve, onReject) => {
      const deadline = timeoutMs === undefined ? undefined : new Deadline(this.#clock, timeoutMs)
      const sinceMs = this.#clock.monotonic()
      const isOver = () => {
        signal?.removeEventListener('abort', onAbort)
        const nowMs = this.#clock.monotonic()
        this.waitedMs.record(nowMs - sinceMs, nowMs)
      }
      const resolve = () => {
        isOver()
        onGranted()
        onResolve()
      }
      const reject = (error: unknown) => {
        isOver()
        onReject(error)
      }
      const onAbort = () => {
        this.#giveUp(waiter, signal!.reason)
        this.#grant()
      }
      signal?.addEventListener('abort', onAbort)
      const waiter: Waiter = { bytes, isReserving, deadline, isGone: false, resolve, reject, next: undefined }
      if (this.#tail === undefined) this.#head = waiter
      else this.#tail.next = waiter
      this.#tail = waiter
      this.#waiting++
      if (deadline !== undefined) this.#timer ??= this.#clock.setTimer(deadline.remainingMs, () => this.#expire())
    })
  }

  #giveUp(waiter: Waiter, error: unknown): void {
    if (waiter.isGone) return
    waiter.isGone = true
    this.#waiting--
    waiter.reject(error)
  }

  #grant(): void {
    for (let waiter = this.#head; waiter !== undefined; waiter = this.#head) {
      if (!waiter.isGone && this.#usedBytes + waiter.bytes > this.totalBytes) return
      this.#head = waiter.next
      if (waiter.isGone) continue
      if (waiter.isReserving) this.#usedBytes += waiter.bytes
      waiter.isGone = true
      this.#waiting--
      // May release what it has got, and so come back here.
      waiter.resolve()
    }
    this.#tail = undefined
    this.#timer?.cancel()
    this.#timer = undefined
  }

  /** Whoever came first has the earliest deadline, since all wait equally long. */
  #expire(): void {
    this.#timer = undefined
    let next: Deadline | undefined
    for (let waiter = this.#head; waiter !== undefined; waiter = waiter.next) {
      const { deadline, bytes } = waiter
      if (waiter.isGone || deadline === undefined) continue
      if (!deadline.expired) {
        next = deadline
        break
      }
      const limit = `${deadline.timeoutMs} ms`
      this.exhausted.record(1, this.#clock.monotonic())
      this.#giveUp(waiter, new TimeoutError(`no room for ${bytes} bytes in bufferMemory (${this.totalBytes}) within ${limit}`))
    }
    this.#grant()
    if (next !== undefined) this.#timer ??= this.#clock.setTimer(next.remainingMs, () => this.#expire())
  }
}
