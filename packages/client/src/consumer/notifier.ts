import type { Clock } from '@tidelog/core'
import { type Deferred, deferred, until } from '../wait.ts'

/** Wakes whoever waits for something to have changed. */
export class Notifier {
  readonly #clock: Clock
  #waiting: Deferred<void> | undefined
  #isPending = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Something has changed; if nobody waits now, the next wait ends at once. */
  notify(): void {
    this.#isPending = true
    this.#waiting?.resolve()
    this.#waiting = undefined
  }

  /** Resolves after a notify(), or after `timeoutMs`. @throws the reason of a signal that aborts first */
  async wait(timeoutMs: number, ...signals: readonly (AbortSignal | undefined)[]): Promise<void> {
    if (!this.#isPending) {
      this.#waiting ??= deferred()
      const waiting = this.#waiting
      const timer = timeoutMs === Number.POSITIVE_INFINITY ? undefined : this.#clock.setTimer(timeoutMs, () => waiting.resolve())
      try {
        await until(waiting.promise, ...signals)
      } finally {
        timer?.cancel()
        if (this.#waiting === waiting) this.#waiting = undefined
      }
    }
    this.#isPending = false
  }
}
