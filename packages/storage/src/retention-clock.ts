import type { Clock, Logger } from '@tidelog/core'

/** How far the wall clock may get ahead of the time that has passed, from one look to the next, before it is doubted: NTP slews by less. */
const TOLERANCE_MS = 10 * 60_000
/** A clock that stays ahead for so long is believed: an operator has had the time to see the warning. */
const DOUBT_MS = 60 * 60_000

/**
 * The time that the age of records is told by. A wall clock that jumps ahead makes everything old at once, so that retention would delete what is
 * kept for days: the jump is warned of and counts an hour later. One that goes back counts at once, for it only keeps more.
 */
export class RetentionClock {
  readonly #clock: Clock
  readonly #logger: Logger
  /** Wall clock less monotonic clock, as it is believed. */
  #offsetMs: number
  #doubtedSinceMs: number | undefined

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
    this.#offsetMs = clock.now() - clock.monotonic()
  }

  /** Ms since the Unix epoch. */
  now(): number {
    const monotonicMs = this.#clock.monotonic()
    const offsetMs = this.#clock.now() - monotonicMs
    const aheadMs = Math.round(offsetMs - this.#offsetMs)
    if (aheadMs > TOLERANCE_MS && this.#isDoubted(monotonicMs, aheadMs)) return this.#offsetMs + monotonicMs
    this.#doubtedSinceMs = undefined
    this.#offsetMs = offsetMs
    return offsetMs + monotonicMs
  }

  #isDoubted(monotonicMs: number, aheadMs: number): boolean {
    if (this.#doubtedSinceMs === undefined) {
      this.#doubtedSinceMs = monotonicMs
      this.#logger.warn('The wall clock has jumped ahead: retention by age goes on by it in an hour, unless it is set back', { aheadMs })
      return true
    }
    if (monotonicMs - this.#doubtedSinceMs < DOUBT_MS) return true
    this.#logger.warn('The wall clock has stayed ahead: retention by age goes by it from now on', { aheadMs })
    return false
  }
}
