import type { Clock } from '@tidelog/core'

/** Reading what is buffered never leaves the microtask queue; after this long timers and sockets get their turn. */
const MAX_STRETCH_MS = 10

/** How long somebody has gone on without a wait. */
export class Stretch {
  readonly #clock: Clock
  readonly #itemsPerLook: number
  #itemsUntilLook: number
  #sinceMs: number

  /** @param itemsPerLook How many items go by between two looks at the clock, which costs more than a small item does. */
  constructor(clock: Clock, itemsPerLook = 1) {
    this.#clock = clock
    this.#itemsPerLook = itemsPerLook
    this.#itemsUntilLook = itemsPerLook
    this.#sinceMs = clock.monotonic()
  }

  /** Asked once an item: is it time to breathe()? */
  isOver(): boolean {
    if (--this.#itemsUntilLook > 0) return false
    this.#itemsUntilLook = this.#itemsPerLook
    return this.#clock.monotonic() - this.#sinceMs > MAX_STRETCH_MS
  }

  /** Lets timers and sockets have their turn. */
  async breathe(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve))
    this.restart()
  }

  /** There has been a wait. */
  restart(): void {
    this.#sinceMs = this.#clock.monotonic()
  }
}
