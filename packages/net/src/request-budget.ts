/** Something that stopped reading because the budget was spent, and looks again when part of it is free. */
export interface BudgetWaiter {
  onBudgetFreed(): void
}

/**
 * Bytes of requests that all connections of a broker may have in flight together (`queued.max.request.bytes`). It is checked before more is
 * read, so what has been read already may exceed it by a read buffer a connection.
 */
export class RequestBudget {
  readonly #maxBytes: number
  readonly #waiting = new Set<BudgetWaiter>()
  #usedBytes = 0

  /** @param maxBytes Not positive: no limit. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes > 0 ? maxBytes : Number.POSITIVE_INFINITY
  }

  get isSpent(): boolean {
    return this.#usedBytes >= this.#maxBytes
  }

  take(bytes: number): void {
    this.#usedBytes += bytes
  }

  give(bytes: number): void {
    this.#usedBytes -= bytes
    if (this.#waiting.size === 0 || this.isSpent) return
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const waiter of waiting) waiter.onBudgetFreed()
  }

  /** Tells `waiter` once, when the budget is no longer spent. */
  wait(waiter: BudgetWaiter): void {
    this.#waiting.add(waiter)
  }

  forget(waiter: BudgetWaiter): void {
    this.#waiting.delete(waiter)
  }
}
