import type { Clock, Logger, Random } from '@tidelog/core'
import type { SupportedFeatures } from '../features.ts'
import type { MetadataStore } from '../store/metadata-store.ts'
import type { BrokerChannel } from './broker-channel.ts'
import type { TopicConfigValidator, TopicDefaults } from './create-topics.ts'

/** What of the broker's configuration the controller needs. */
export interface ControllerConfig {
  readonly topicDefaults: TopicDefaults
  /** unclean.leader.election.enable of that topic. */
  uncleanLeaderElection(topic: string): boolean
}

export interface ControllerOptions {
  readonly brokerId: number
  /** The broker's own session, in which it has registered itself. */
  readonly store: MetadataStore
  readonly channel: BrokerChannel
  /** What this broker can run. */
  readonly features: SupportedFeatures
  /** Read whenever a decision needs it. */
  readonly config: () => ControllerConfig
  readonly validateTopicConfigs: TopicConfigValidator
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}
