import type { Logger } from '@tidelog/core'
import {
  CONSUMER_OFFSETS_TOPIC,
  type Controller,
  type MetadataImage,
  type NewTopic,
  SHARE_GROUP_STATE_TOPIC,
  TRANSACTION_STATE_TOPIC,
} from '@tidelog/metadata'
import { KafkaError } from '@tidelog/protocol'
import type { BrokerConfig } from './config/broker-config.ts'

export interface AutoTopicCreationOptions {
  readonly controller: Controller
  readonly image: MetadataImage
  readonly config: BrokerConfig
  /** Whether this broker is all there will be: the internal topics' replication factors are then 1, whatever is configured. */
  readonly isOnlyBroker: boolean
  readonly logger: Logger
}

/** Creates topics that nobody has created: what clients ask about (auto.create.topics.enable) and the cluster's internal topics. */
export class AutoTopicCreation {
  readonly #options: AutoTopicCreationOptions
  readonly #creating = new Map<string, Promise<void>>()

  constructor(options: AutoTopicCreationOptions) {
    this.#options = options
  }

  /** Begins to create those that are missing and not being created; who wants to know how it went asks for the metadata again. */
  begin(topics: Iterable<string>): void {
    for (const topic of topics) {
      this.ensure(topic).catch((error) => {
        this.#options.logger.warn('a topic could not be created automatically', { topic, error })
      })
    }
  }

  /** Resolves when the topic is there. @throws KafkaError why it could not be created */
  ensure(topic: string): Promise<void> {
    if (this.#options.image.topic(topic) !== undefined) return Promise.resolve()
    let creating = this.#creating.get(topic)
    if (creating === undefined) {
      creating = this.#create(topic).finally(() => this.#creating.delete(topic))
      this.#creating.set(topic, creating)
    }
    return creating
  }

  async #create(name: string): Promise<void> {
    const { controller, config } = this.#options
    const [outcome] = await controller.createTopics([newTopicOf(name, this.#options)], { timeoutMs: config['request.timeout.ms'] })
    if (outcome !== undefined && 'error' in outcome && outcome.error.errorName !== 'TOPIC_ALREADY_EXISTS') {
      throw new KafkaError(outcome.error.errorName, outcome.error.message)
    }
  }
}

/** An internal topic as the configuration sets it up, any other as num.partitions and default.replication.factor say. */
export function newTopicOf(name: string, { config, isOnlyBroker }: Pick<AutoTopicCreationOptions, 'config' | 'isOnlyBroker'>): NewTopic {
  const internal = (partitions: number, replicationFactor: number, configs: Record<string, string | number | boolean>): NewTopic => ({
    name,
    partitions,
    replicationFactor: isOnlyBroker ? 1 : replicationFactor,
    assignments: [],
    configs: Object.entries(configs).map(([key, value]) => ({ name: key, value: String(value) })),
  })
  switch (name) {
    case CONSUMER_OFFSETS_TOPIC:
      return internal(config['offsets.topic.num.partitions'], config['offsets.topic.replication.factor'], {
        'cleanup.policy': 'compact',
        'compression.type': 'producer',
        'segment.bytes': config['offsets.topic.segment.bytes'],
      })
    case TRANSACTION_STATE_TOPIC:
      return internal(config['transaction.state.log.num.partitions'], config['transaction.state.log.replication.factor'], {
        'cleanup.policy': 'compact',
        'compression.type': 'uncompressed',
        'min.insync.replicas': isOnlyBroker ? 1 : config['transaction.state.log.min.isr'],
        'segment.bytes': config['transaction.state.log.segment.bytes'],
        'unclean.leader.election.enable': false,
      })
    case SHARE_GROUP_STATE_TOPIC:
      return internal(config['share.coordinator.state.topic.num.partitions'], config['share.coordinator.state.topic.replication.factor'], {
        'cleanup.policy': 'delete',
        'compression.type': 'producer',
        'min.insync.replicas': isOnlyBroker ? 1 : config['share.coordinator.state.topic.min.isr'],
        'retention.ms': -1,
        'segment.bytes': config['share.coordinator.state.topic.segment.bytes'],
      })
    default:
      // As num.partitions and default.replication.factor say.
      return { name, partitions: -1, replicationFactor: -1, assignments: [], configs: [] }
  }
}
