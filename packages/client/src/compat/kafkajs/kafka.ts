import { systemClock, systemRandom } from '@tidelog/core'
import { createAdmin } from './admin.ts'
import type { KafkaContext } from './client-options.ts'
import { createConsumer } from './consumer.ts'
import { logLevel } from './enums.ts'
import { consoleLogCreator, createLogger } from './logger.ts'
import { createProducer } from './producer.ts'
import type { Admin, AdminConfig } from './types-admin.ts'
import type { KafkaConfig, Logger } from './types-client.ts'
import type { Consumer, ConsumerConfig } from './types-consumer.ts'
import type { Producer, ProducerConfig } from './types-producer.ts'

/** kafkajs's entry: what it makes behaves as kafkajs's clients do, and is our Producer, Consumer and Admin below. */
export class Kafka {
  readonly #context: KafkaContext

  constructor(config: KafkaConfig) {
    const { logLevel: level = logLevel.INFO, logCreator = consoleLogCreator } = config
    const logger = createLogger(level, logCreator, systemClock)
    this.#context = {
      config,
      logger,
      clock: systemClock,
      random: systemRandom,
    }
  }

  /** @throws KafkaJSNonRetriableError for an idempotent producer without retries */
  producer(config: ProducerConfig = {}): Producer {
    return createProducer(this.#context, config)
  }

  /** @throws KafkaJSNonRetriableError without groupId, or when heartbeats are as rare as sessions are long */
  consumer(config: ConsumerConfig): Consumer {
    return createConsumer(this.#context, config)
  }

  admin(config: AdminConfig = {}): Admin {
    return createAdmin(this.#context, config)
  }

  logger(): Logger {
    return this.#context.logger
  }
}
