import type { Cluster, RetryOptions } from '../cluster/cluster.ts'
import type { AdminConfig } from '../config/admin-config.ts'
import type { WaitOptions } from '../wait.ts'

/** What every operation takes. */
export interface AdminCallOptions extends WaitOptions {
  /** Limit of the whole call; `defaultApiTimeoutMs` when absent. */
  readonly timeoutMs?: number
}

/** What operations take that can be tried out. */
export type ValidateOnly<O = AdminCallOptions> = O & { /** Check, and change nothing. */ readonly validateOnly?: boolean }

/** What the operations work with. */
export interface AdminContext {
  readonly cluster: Cluster
  readonly config: AdminConfig
}

export function callOptions({ cluster, config }: AdminContext, what: string, { timeoutMs, signal }: AdminCallOptions): RetryOptions {
  return { what, signal, deadline: cluster.deadline(timeoutMs ?? config['default.api.timeout.ms']), maxRetries: config.retries }
}
