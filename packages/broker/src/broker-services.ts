import type { Clock, Logger, Random } from '@tidelog/core'

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
}
