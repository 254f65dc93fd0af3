import type { Clock, Logger, Random } from '@tidelog/core'
import type { ExchangeObserver } from '@tidelog/net'

/** What a client takes from outside, so that a run can be repeated, and watched. */
export interface Environment {
  /** The system's when absent. */
  readonly clock?: Clock
  readonly random?: Random
  /** Is told what no call can throw, as a message with its fields; nothing is logged when absent. */
  readonly logger?: Logger
  /** Hears of every request of this client, and its answer. */
  readonly observer?: ExchangeObserver
}
