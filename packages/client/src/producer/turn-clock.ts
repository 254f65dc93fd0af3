import type { Clock } from '@tidelog/core'

const settled = Promise.resolve()

/** So many readings of one time at the most: a loop of the user's may go on for long without letting go. */
const MAX_READINGS = 64

/** The time, read once for everything that happens in one go: asking the system for each of a million records costs more than placing them. */
export class TurnClock {
  readonly #clock: Clock
  #nowMs = 0
  #monotonicMs = 0
  #readingsLeft = 0
  readonly #forget = () => {
    this.#readingsLeft = 0
  }

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Ms since the Unix epoch. */
  now(): number {
    this.#read()
    return this.#nowMs
  }

  monotonic(): number {
    this.#read()
    return this.#monotonicMs
  }

  #read(): void {
    if (this.#readingsLeft-- > 0) return
    this.#nowMs = this.#clock.now()
    this.#monotonicMs = this.#clock.monotonic()
    this.#readingsLeft = MAX_READINGS
    settled.then(this.#forget)
  }
}
