import type { Timer } from '@tidelog/core'
import type { LogState } from './log-state.ts'

/**
 * Forces a log to disk flush.ms after its first record that is not there yet. Kafka leaves that to a scheduler that looks at all logs every
 * log.flush.scheduler.interval.ms, by default never, so that flush.ms alone does nothing there.
 */
export class FlushTimer {
  readonly #state: LogState
  readonly #flush: () => Promise<void>
  #timer: Timer | undefined

  /** @param flush Sees to its own errors. */
  constructor(state: LogState, flush: () => Promise<void>) {
    this.#state = state
    this.#flush = flush
  }

  /** Something was written. */
  onWritten(): void {
    const { config, clock } = this.#state
    const flushMs = config['flush.ms']
    if (this.#timer !== undefined || flushMs >= Number.MAX_SAFE_INTEGER) return
    this.#timer = clock.setTimer(flushMs, () => {
      this.#timer = undefined
      void this.#flush()
    })
  }

  /** flush.ms may have changed: what is not on disk yet waits for it from now on. */
  onConfig(): void {
    this.cancel()
    if (this.#state.recoveryPoint < this.#state.logEndOffset) this.onWritten()
  }

  cancel(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }
}
