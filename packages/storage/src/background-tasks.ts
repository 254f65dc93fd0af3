import type { Clock, Logger, Timer } from '@tidelog/core'

/** Work that is done by the clock, once or again and again, until it is stopped. */
export class BackgroundTasks {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #timers = new Set<Timer>()
  readonly #running = new Set<Promise<void>>()
  #isStopped = false

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
  }

  /** Runs `work` again and again, `intervalMs` after it was done. The longest that a configuration can say is never. */
  every(intervalMs: number, delayMs: number, work: () => Promise<void>): void {
    if (intervalMs >= Number.MAX_SAFE_INTEGER) return
    this.later(delayMs, async () => {
      await work().catch((error: unknown) => this.#logger.error('Upkeep of the logs failed', { error }))
      this.every(intervalMs, intervalMs, work)
    })
  }

  /** Runs `work`, which must not reject, once. */
  later(delayMs: number, work: () => Promise<void>): void {
    if (this.#isStopped) return
    const timer = this.#clock.setTimer(delayMs, () => {
      this.#timers.delete(timer)
      this.run(work())
    })
    this.#timers.add(timer)
  }

  /** Lets `stop` wait for work that has begun and does not reject. */
  run(work: Promise<void>): void {
    const running = work.then(() => void this.#running.delete(running))
    this.#running.add(running)
  }

  /** Begins nothing any more; resolves when what is under way is done. */
  async stop(): Promise<void> {
    this.#isStopped = true
    for (const timer of this.#timers) timer.cancel()
    this.#timers.clear()
    await Promise.all(this.#running)
  }
}
