import type { Cluster } from '../cluster/cluster.ts'
import { type Deadline, type Deferred, deferred, sleep, until } from '../cluster/wait.ts'
import { TimeoutError } from '../errors.ts'

interface Waiter {
  readonly bytes: number
  readonly granted: Deferred<void>
}

/** How much of it must be free before `whenRoomy` resolves: room for one record at a time would mean batches of one. */
const ROOMY_FRACTION = 0.25

/** Counts the bytes of records that are not done, and makes those wait, in order, that find no room. */
export class MemoryBound {
  readonly totalBytes: number
  #usedBytes = 0
  readonly #waiters: Waiter[] = []

  constructor(totalBytes: number) {
    this.totalBytes = totalBytes
  }

  get availableBytes(): number {
    return this.totalBytes - this.#usedBytes
  }

  get waiting(): number {
    return this.#waiters.length
  }

  /** False: no room, or others have been waiting for it. */
  tryReserve(bytes: number): boolean {
    if (this.#waiters.length > 0 || this.#usedBytes + bytes > this.totalBytes) return false
    this.#usedBytes += bytes
    return true
  }

  /** @throws TimeoutError, the signal's reason, ClosedError */
  async reserve(bytes: number, cluster: Cluster, deadline: Deadline, signal?: AbortSignal): Promise<void> {
    await this.#wait({ bytes, granted: deferred() }, cluster, deadline, signal)
  }

  /** Resolves when a good part is free, and `bytes` at least; reserves nothing. */
  async whenRoomy(bytes: number, cluster: Cluster, signal?: AbortSignal): Promise<void> {
    const wanted = Math.min(this.totalBytes, Math.max(bytes, this.totalBytes * ROOMY_FRACTION))
    if (this.#waiters.length === 0 && this.availableBytes >= wanted) return
    const waiter = { bytes: wanted, granted: deferred() }
    await this.#wait(waiter, cluster, undefined, signal)
    this.release(wanted)
  }

  release(bytes: number): void {
    this.#usedBytes -= bytes
    for (let next = this.#waiters[0]; next !== undefined && this.#usedBytes + next.bytes <= this.totalBytes; next = this.#waiters[0]) {
      this.#waiters.shift()
      this.#usedBytes += next.bytes
      next.granted.resolve()
    }
  }

  async #wait(waiter: Waiter, cluster: Cluster, deadline: Deadline | undefined, signal: AbortSignal | undefined): Promise<void> {
    this.#waiters.push(waiter)
    const enough = new AbortController()
    try {
      if (deadline === undefined) return await until(waiter.granted.promise, signal, cluster.closing)
      const timeout = sleep(cluster.clock, deadline.remainingMs, enough.signal, signal, cluster.closing).then(() => {
        throw new TimeoutError(`no room for ${waiter.bytes} bytes in bufferMemory (${this.totalBytes}) within ${deadline.timeoutMs} ms`)
      })
      await Promise.race([waiter.granted.promise, timeout])
      timeout.catch(() => {})
    } catch (error) {
      const index = this.#waiters.indexOf(waiter)
      if (index >= 0) this.#waiters.splice(index, 1)
      // Granted in the same turn as it gave up: what it holds goes back.
      else this.release(waiter.bytes)
      throw error
    } finally {
      enough.abort()
    }
  }
}
