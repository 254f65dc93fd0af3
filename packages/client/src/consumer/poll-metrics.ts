import type { Clock } from '@tidelog/core'
import { avgAndMax, Spread, secondsAgo } from '../metrics.ts'

/**
 * When the group and the fetcher are looked at, which is what Java's poll() does: in poll() itself, and between records wherever `records()`, `batches()` and
 * `run()` do, which need not be for each of them.
 */
export class PollMetrics {
  readonly #clock: Clock
  #beganMs: number | undefined
  #endedMs: number | undefined
  readonly #betweenMs = new Spread()
  readonly #idleRatio = new Spread()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  began(): void {
    const nowMs = this.#clock.monotonic()
    if (this.#beganMs !== undefined) this.#betweenMs.record(nowMs - this.#beganMs, nowMs)
    this.#beganMs = nowMs
  }

  ended(): void {
    const nowMs = this.#clock.monotonic()
    const beganMs = this.#beganMs!
    const wholeMs = nowMs - (this.#endedMs ?? beganMs)
    if (wholeMs > 0) this.#idleRatio.record((nowMs - beganMs) / wholeMs, nowMs)
    this.#endedMs = nowMs
  }

  values(nowMs: number): Record<string, number> {
    return {
      'last-poll-seconds-ago': secondsAgo(this.#beganMs, nowMs),
      ...avgAndMax('time-between-poll', this.#betweenMs, nowMs),
      'poll-idle-ratio-avg': this.#idleRatio.avg(nowMs),
    }
  }
}
