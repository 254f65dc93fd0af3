import type { Clock, Timer } from '@tidelog/core'

export interface PollIntervalOptions {
  readonly clock: Clock
  readonly limitMs: number
  /** Monotonic time since which the user's code has had the word; undefined: the consumer has it. */
  readonly busySinceMs: () => number | undefined
  /** It has had it for `limitMs`. */
  readonly onOver: () => void
}

/** Acts when the user's code has had the word for `max.poll.interval.ms`. One timer serves all turns: while each is short, it is set anew once in that time. */
export class PollInterval {
  readonly #options: PollIntervalOptions
  #timer: Timer | undefined
  #isStopped = false

  constructor(options: PollIntervalOptions) {
    this.#options = options
  }

  /** The user's code has got the word. */
  begin(): void {
    if (this.#timer === undefined) this.#look()
  }

  stop(): void {
    this.#isStopped = true
    this.#timer?.cancel()
  }

  #look(): void {
    this.#timer = undefined
    const { clock, limitMs, busySinceMs, onOver } = this.#options
    const sinceMs = busySinceMs()
    if (sinceMs === undefined || this.#isStopped) return
    const leftMs = sinceMs + limitMs - clock.monotonic()
    if (leftMs > 0) this.#timer = clock.setTimer(leftMs, () => this.#look())
    else onOver()
  }
}
