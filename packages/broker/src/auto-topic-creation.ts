import type { Logger } from '@tidelog/core'
import {
  CONSUMER_OFFSETS_TOPIC,
  type Controller,
  type MetadataImage,
  type NewTopic,
  SHARE_GROUP_STATE_TOPIC,
  TRANSACTION_STATE_TOPIC,
} from '@tidelog/metadata'
import type { BrokerConfig } from './config/broker-config.ts'

export interface AutoTopicCreationOptions {
  readonly controller: Controller
  readonly image: MetadataImage
  readonly config: BrokerConfig
  readonly logger: Logger
}

/** Creates topics that nobody has created: what clients ask about (auto.create.topics.enable) and the cluster's internal topics. */
export class AutoTopicCreation {
  readonly #options: AutoTopicCreationOptions
  readonly #creating = new Map<string, Promise<void>>()

  constructor(options: AutoTopicCreationOptions) {
    this.#options = options
  }

  /** Begins to create those that are missing, by one request; who wants to know how it went asks for the metadata again. */
  begin(topics: Iterable<string>): void {
    for (const [topic, creating] of this.#start(topics)) {
      creating.catch((error) => {
        this.#options.logger.warn('a topic could not be created automatically', { topic, error })
      })
    }
  }

  /** Resolves when the topic is there. @throws KafkaError why it could not be created */
  async ensure(topic: string): Promise<void> {
    await (this.#creating.get(topic) ?? this.#start([topic]).get(topic))
  }

  /** @returns Of each topic that was neither there nor being created, when it is there. */
  #start(topics: Iterable<string>): Map<string, Promise<void>> {
    const { controller, config, image } = this.#options
    const missing = [...topics].filter((topic) => image.topic(topic) === undefined && !this.#creating.has(topic))
    const started = new Map<string, Promise<void>>()
    if (missing.length === 0) return started
    const request = missing.map((topic) => newTopicOf(topic, config))
    const answer = controller
      .createTopics(request, { timeoutMs: config['request.timeout.ms'] })
      .then((outcomes) => new Map(outcomes.map((outcome) => [outcome.name, 'error' in outcome ? outcome.error : undefined])))
    for (const topic of missing) {
      const creating = answer
        .then((errors) => {
          const error = errors.get(topic)
          // Another client was faster.
          if (error !== undefined && error.errorName !== 'TOPIC_ALREADY_EXISTS') throw error
        })
        .finally(() => this.#creating.delete(topic))
      this.#creating.set(topic, creating)
      started.set(topic, creating)
    }
    return started
  }
}

/** An internal topic as the configuration sets it up, any other as num.partitions and default.replication.factor say. */
export function newTopicOf(name: string, config: BrokerConfig): NewTopic {
  const internal = (partitions: number, replicationFactor: number, configs: Record<string, string | number | boolean>): NewTopic => ({
    name,
    partitions,
    replicationFactor,
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
        'min.insync.replicas': config['transaction.state.log.min.isr'],
        'segment.bytes': config['transaction.state.log.segment.bytes'],
        'unclean.leader.election.enable': false,
      })
    case SHARE_GROUP_STATE_TOPIC:
      return internal(config['share.coordinator.state.topic.num.partitions'], config['share.coordinator.state.topic.replication.factor'], {
        'cleanup.policy': 'delete',
        'compression.type': 'producer',
        'min.insync.replicas': config['share.coordinator.state.topic.min.isr'],
        'retention.ms': -1,
        'segment.bytes': config['share.coordinator.state.topic.segment.bytes'],
      })
    default:
      // As num.partitions and default.replication.factor say.
      return { name, partitions: -1, replicationFactor: -1, assignments: [], configs: [] }
  }
}
