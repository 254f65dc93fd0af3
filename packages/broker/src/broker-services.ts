import type { Clock, Logger, Random } from '@tidelog/core'
import type { Api } from '@tidelog/protocol'

/**
 * What a broker hands to its handlers: one instance a broker, built by `startBroker` before the first connection is served.
 * A service appears here with the room that implements it.
 */
export interface BrokerServices {
  readonly nodeId: number
  readonly clusterId: string
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** In order of key; what ApiVersions announces. */
  readonly servedApis: readonly Api[]
}
