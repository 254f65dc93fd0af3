import type { Clock, Logger, Random } from '@tidelog/core'
import type { ExchangeObserver } from '@tidelog/net'

/** What a client takes from outside, so that a run can be repeated, and watched. */
export interface Environment {
  readonly clock?: Clock
  readonly random?: Random
  readonly logger?: Logger
  /** Hears of every request of this client; node:diagnostics_channel tells of all clients of a process. */
  readonly observer?: ExchangeObserver
}
