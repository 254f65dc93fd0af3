import type { Clock } from '@tidelog/core'

/** Longest time between two looks at the rate: a limit that was lifted is noticed soon. */
const LOOK_AGAIN_MS = 1000

/** Makes background work keep to so many bytes a second, all that share it together. The rate may change at any time. */
export class RateLimit {
  readonly #clock: Clock
  readonly #bytesPerSecond: () => number
  /** Bytes that were done and not yet waited for. */
  #owed = 0
  #lastMs: number

  constructor(clock: Clock, bytesPerSecond: () => number) {
    this.#clock = clock
    this.#bytesPerSecond = bytesPerSecond
    this.#lastMs = clock.monotonic()
  }

  /** A second's worth: what may be done in one go so that nobody has to wait much longer than that for it. */
  get bytesAtATime(): number {
    return Math.min(Math.max(1, this.#bytesPerSecond()), Number.MAX_SAFE_INTEGER)
  }

  /** Waits until the `bytes` that were just done are within the rate, or until `signal` says that there is no need any more. */
  async pace(bytes: number, signal: AbortSignal): Promise<void> {
    this.#settle()
    this.#owed += bytes
    for (;;) {
      const waitMs = (this.#owed * 1000) / this.bytesAtATime
      if (signal.aborted || waitMs < 1) return
      await this.#sleep(Math.min(waitMs, LOOK_AGAIN_MS), signal)
      this.#settle()
    }
  }

  /** Takes off what the time since the last look allowed. */
  #settle(): void {
    const nowMs = this.#clock.monotonic()
    this.#owed = Math.max(0, this.#owed - ((nowMs - this.#lastMs) * this.bytesAtATime) / 1000)
    this.#lastMs = nowMs
  }

  #sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        timer.cancel()
        signal.removeEventListener('abort', wake)
        resolve()
      }
      const timer = this.#clock.setTimer(ms, wake)
      signal.addEventListener('abort', wake)
    })
  }
}
