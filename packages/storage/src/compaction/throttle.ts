import type { Clock } from '@tidelog/core'

/** Rates are looked at over spans of this length. */
const SPAN_MS = 300

/** Keeps reading and writing at a rate, by waiting in between. */
export class Throttle {
  readonly #clock: Clock
  readonly #signal: AbortSignal | undefined
  #bytesPerSecond = Number.POSITIVE_INFINITY
  #sinceMs: number
  #bytes = 0

  /** @param signal Ends a wait. */
  constructor(clock: Clock, signal?: AbortSignal) {
    this.#clock = clock
    this.#signal = signal
    this.#sinceMs = clock.monotonic()
  }

  set bytesPerSecond(rate: number) {
    this.#bytesPerSecond = rate
  }

  /** Notes that `bytes` were read or written. Returns a promise when there is something to wait for. */
  note(bytes: number): Promise<void> | undefined {
    this.#bytes += bytes
    const spentMs = this.#clock.monotonic() - this.#sinceMs
    const neededMs = (this.#bytes / this.#bytesPerSecond) * 1000
    if (neededMs <= spentMs || neededMs < SPAN_MS) {
      if (spentMs >= SPAN_MS && neededMs <= spentMs) this.#restart()
      return undefined
    }
    return this.#wait(neededMs - spentMs)
  }

  #restart(): void {
    this.#sinceMs = this.#clock.monotonic()
    this.#bytes = 0
  }

  async #wait(ms: number): Promise<void> {
    if (this.#signal?.aborted === true) return
    await new Promise<void>((resolve) => {
      const done = (): void => {
        timer.cancel()
        this.#signal?.removeEventListener('abort', done)
        resolve()
      }
      const timer = this.#clock.setTimer(ms, done)
      this.#signal?.addEventListener('abort', done)
    })
    this.#restart()
  }
}
