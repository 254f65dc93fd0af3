import type { Clock } from '@tidelog/core'

/** Whether the user's code has the word, and since when. */
export class UserTurn {
  readonly #clock: Clock
  #count = 0
  #isNow = false
  /** The turn that was last asked about, and the monotonic time when it first was. */
  #seen = 0
  #seenMs = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The user's code has the word. */
  begin(): void {
    this.#isNow = true
    this.#count++
  }

  /** The consumer has the word: time that passes is not the user's. */
  end(): void {
    this.#isNow = false
  }

  /**
   * Monotonic time since which the user's code has had the word, as far as can be told; undefined: it has not. Reading the clock for every record
   * would cost more than finding it, so the answer is late by up to the time between two questions: heartbeats ask again and again.
   */
  sinceMs(): number | undefined {
    if (!this.#isNow) return undefined
    if (this.#seen !== this.#count) {
      this.#seen = this.#count
      this.#seenMs = this.#clock.monotonic()
    }
    return this.#seenMs
  }
}
