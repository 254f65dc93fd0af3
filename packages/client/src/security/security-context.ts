import type { Clock, Logger, Random } from '@tidelog/core'
import type { CommonConfig } from '../config/client-config.ts'

/** What logins are made of and with. */
export interface SecurityContext {
  readonly config: CommonConfig
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}
