export interface Timer {
  /** The callback will not run any more; nothing happens if it has run already. */
  cancel(): void
}

/** Time as everything but this file sees it, so that a run can be repeated. */
export interface Clock {
  /** Wall-clock time in ms since the Unix epoch; may step in both directions. */
  now(): number
  /** Ms since some moment; never goes back. Durations are measured with this one. */
  monotonic(): number
  /** Calls `callback` once, `delayMs` from now. A pending timer keeps the process alive: its owner cancels it on close. */
  setTimer(delayMs: number, callback: () => void): Timer
}

/** setTimeout takes no more and fires at once beyond it. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1

class SystemTimer implements Timer {
  readonly #dueMs: number
  readonly #callback: () => void
  #handle: NodeJS.Timeout

  constructor(delayMs: number, callback: () => void) {
    this.#dueMs = performance.now() + delayMs
    this.#callback = callback
    this.#handle = this.#arm(delayMs)
  }

  cancel(): void {
    clearTimeout(this.#handle)
  }

  #arm(delayMs: number): NodeJS.Timeout {
    if (delayMs <= MAX_TIMEOUT_MS) return setTimeout(this.#callback, delayMs)
    return setTimeout(() => {
      this.#handle = this.#arm(this.#dueMs - performance.now())
    }, MAX_TIMEOUT_MS)
  }
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer: (delayMs, callback) => new SystemTimer(delayMs, callback),
}
