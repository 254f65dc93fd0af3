import type { Clock, Logger, Random } from '@tidelog/core'
import type { ExchangeObserver } from '@tidelog/net'
import type { Cluster, RetryOptions } from '../cluster/cluster.ts'
import type { WaitOptions } from '../cluster/wait.ts'
import type { AdminConfig } from '../config/admin-config.ts'

/** What every operation takes. */
export interface AdminCallOptions extends WaitOptions {
  /** Limit of the whole call; `defaultApiTimeoutMs` when absent. */
  readonly timeoutMs?: number
}

/** What the operations work with. */
export interface AdminContext {
  readonly cluster: Cluster
  readonly config: AdminConfig
}

/** What a client takes from outside, so that a run can be repeated, and watched. */
export interface Environment {
  readonly clock?: Clock
  readonly random?: Random
  readonly logger?: Logger
  /** Hears of every request of this client; node:diagnostics_channel tells of all clients of a process. */
  readonly observer?: ExchangeObserver
}

export function callOptions({ cluster, config }: AdminContext, what: string, { timeoutMs, signal }: AdminCallOptions): RetryOptions {
  return { what, signal, deadline: cluster.deadline(timeoutMs ?? config['default.api.timeout.ms']), maxRetries: config.retries }
}
