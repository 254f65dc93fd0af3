import type { Clock } from '@tidelog/core'

/** Whether the user's code has the word, and since when. */
export class UserTurn {
  readonly #clock: Clock
  #count = 0
  #isNow = false
  /** The turn that was last asked about, and the monotonic time when it first was. */
  #seen = 0
  #seenMs = 0
  /** A look at the turn that is on then will be taken when the event loop gets to it. */
  #isLookDue = false
  readonly #onTurn: () => void

  /** @param onTurn Hears of turns that last beyond the present turn of the event loop. */
  constructor(clock: Clock, onTurn: () => void) {
    this.#clock = clock
    this.#onTurn = onTurn
  }

  /** The user's code has the word. */
  begin(): void {
    this.#isNow = true
    this.#count++
    if (!this.#isLookDue) this.#lookLater()
  }

  /** The consumer has the word: time that passes is not the user's. */
  end(): void {
    this.#isNow = false
  }

  /**
   * Monotonic time since which the user's code has had the word, as far as can be told; undefined: it has not. Reading the clock for every record
   * would cost more than finding it, so it is read once in a turn of the event loop: what takes long waits for something, and then the loop turns.
   */
  sinceMs(): number | undefined {
    if (!this.#isNow) return undefined
    if (this.#seen !== this.#count) {
      this.#seen = this.#count
      this.#seenMs = this.#clock.monotonic()
    }
    return this.#seenMs
  }

  #lookLater(): void {
    this.#isLookDue = true
    setImmediate(() => {
      this.#isLookDue = false
      if (this.sinceMs() !== undefined) this.#onTurn()
    })
  }
}
