import type { Clock } from '@tidelog/core'

/** As Kafka names the calls in its metrics. */
type Call = 'init' | 'begin' | 'send-offsets' | 'commit' | 'abort'

const calls: readonly Call[] = ['init', 'begin', 'send-offsets', 'commit', 'abort']
const NS_PER_MS = 1_000_000

/** How long the calls of transactions have taken in all: `txn-commit-time-ns-total` and its like. KIP-761. */
export class TransactionTimes {
  readonly #clock: Clock
  readonly #totalsMs = new Map<Call, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  async measure<T>(call: Call, run: () => Promise<T>): Promise<T> {
    const startedMs = this.#clock.monotonic()
    try {
      return await run()
    } finally {
      this.#add(call, startedMs)
    }
  }

  measureNow(call: Call, run: () => void): void {
    const startedMs = this.#clock.monotonic()
    run()
    this.#add(call, startedMs)
  }

  metrics(): Record<string, number> {
    return Object.fromEntries(calls.map((call) => [`txn-${call}-time-ns-total`, Math.round((this.#totalsMs.get(call) ?? 0) * NS_PER_MS)]))
  }

  #add(call: Call, startedMs: number): void {
    this.#totalsMs.set(call, (this.#totalsMs.get(call) ?? 0) + this.#clock.monotonic() - startedMs)
  }
}
