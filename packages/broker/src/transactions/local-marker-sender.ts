import type { MarkerOutcome, MarkerResult, MarkerSend } from '@tidelog/coordinator'
import type { Logger } from '@tidelog/core'
import { TRANSACTION_STATE_TOPIC } from '@tidelog/metadata'
import { KafkaError } from '@tidelog/protocol'
import type { MarkerSender } from '../coordinators/transaction-coordinator-service.ts'
import type { TopicView } from '../replicas/replica-manager.ts'
import type { MarkerWriter } from './marker-writer.ts'

/** The coordinators' way to partitions of their own broker, which are all there are in a cluster of one. */
export class LocalMarkerSender implements MarkerSender {
  readonly #writer: Pick<MarkerWriter, 'write'>
  readonly #topics: Pick<TopicView, 'hasPartition'>
  readonly #logger: Logger

  constructor({
    writer,
    topics,
    logger,
  }: { writer: Pick<MarkerWriter, 'write'>; topics: Pick<TopicView, 'hasPartition'>; logger: Logger }) {
    this.#writer = writer
    this.#topics = topics
    this.#logger = logger
  }

  send(send: MarkerSend): Promise<readonly MarkerResult[]> {
    return Promise.all(
      send.partitions.map(async ({ topic, partition }) => ({ topic, partition, outcome: await this.#write(send, topic, partition) })),
    )
  }

  async #write(send: MarkerSend, topic: string, index: number): Promise<MarkerOutcome> {
    if (!this.#topics.hasPartition(topic, index)) {
      // Who does not even know of the coordinators' topic has not heard of the cluster's topics yet: nothing is gone.
      return this.#topics.hasPartition(TRANSACTION_STATE_TOPIC, 0) ? 'gone' : 'retry'
    }
    try {
      await this.#writer.write(topic, index, send)
      return 'written'
    } catch (error) {
      const { transactionalId, producerId, producerEpoch } = send
      this.#logger.warn('the end of a transaction could not be written', {
        transactionalId,
        producerId,
        producerEpoch,
        partition: `${topic}-${index}`,
        error,
      })
      return outcomeOf(error)
    }
  }
}

function outcomeOf(error: unknown): MarkerOutcome {
  if (!(error instanceof KafkaError)) return 'retry'
  switch (error.errorName) {
    // A newer epoch of the producer has been there: what this one had open cannot be ended by this marker any more.
    case 'INVALID_PRODUCER_EPOCH':
      return 'written'
    case 'TRANSACTION_COORDINATOR_FENCED':
      return 'fenced'
    default:
      return 'retry'
  }
}
