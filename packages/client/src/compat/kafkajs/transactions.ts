import type { Producer as OurProducer } from '../../producer/producer.ts'
import { KafkaJSNonRetriableError } from './errors.ts'
import { offsetOf, partitionOf, SPECIAL_OFFSETS } from './offset-arguments.ts'
import type { Offsets } from './types-client.ts'
import type { ProducerBatch, RecordMetadata, Transaction } from './types-producer.ts'

export interface TransactionOptions {
  /** A transactional producer of ours with that compression. */
  readonly create: (compression: number) => OurProducer
  /** Sends through it. */
  readonly sendBatch: (producer: OurProducer, batch: ProducerBatch) => Promise<RecordMetadata[]>
  /** Maps what our producer throws. */
  readonly attempt: <T>(call: () => Promise<T>) => Promise<T>
}

/** One after the other, over one transactional producer of ours, which has one compression: a transaction has that of its first send. */
export class Transactions {
  readonly #options: TransactionOptions
  #producer: OurProducer | undefined
  #compression = 0
  #isOpen = false
  #isEmpty = true

  constructor(options: TransactionOptions) {
    this.#options = options
  }

  /** @throws KafkaJSNonRetriableError while another one is open */
  async begin(): Promise<Transaction> {
    if (this.#isOpen) throw new KafkaJSNonRetriableError('this producer has a transaction that has not ended: commit or abort it first')
    this.#isOpen = true
    try {
      await this.#begin(this.#compression)
    } catch (error) {
      this.#isOpen = false
      throw error
    }
    return this.#interface()
  }

  async close(): Promise<void> {
    const producer = this.#producer
    this.#producer = undefined
    this.#isOpen = false
    await producer?.close()
  }

  async #begin(compression: number): Promise<void> {
    const { create, attempt } = this.#options
    let producer = this.#producer
    if (producer === undefined || this.#compression !== compression) {
      await producer?.close()
      producer = create(compression)
      this.#producer = producer
      this.#compression = compression
      await attempt(() => producer!.initTransactions())
    }
    this.#isEmpty = true
    await attempt(async () => producer!.beginTransaction())
  }

  #interface(): Transaction {
    let hasEnded = false
    const isActive = () => this.#isOpen && !hasEnded
    const guarded =
      <A extends unknown[], T>(call: (...args: A) => Promise<T>) =>
      async (...args: A): Promise<T> => {
        if (!isActive()) throw new KafkaJSNonRetriableError('the transaction has ended, and takes nothing more')
        return call(...args)
      }
    const end = (how: 'commitTransaction' | 'abortTransaction') =>
      guarded(async () => {
        await this.#options.attempt(() => this.#producer![how]())
        hasEnded = true
        this.#isOpen = false
      })
    return {
      isActive,
      send: guarded(({ topic, messages, ...manner }) => this.#send({ ...manner, topicMessages: [{ topic, messages }] })),
      sendBatch: guarded((batch) => this.#send(batch)),
      sendOffsets: guarded((offsets) => this.#sendOffsets(offsets)),
      commit: end('commitTransaction'),
      abort: end('abortTransaction'),
    }
  }

  async #send(batch: ProducerBatch): Promise<RecordMetadata[]> {
    const { compression = 0 } = batch
    const isFirst = this.#isEmpty
    this.#isEmpty = false
    if (isFirst && compression !== this.#compression) {
      await this.#options.attempt(() => this.#producer!.abortTransaction())
      await this.#begin(compression)
      this.#isEmpty = false
    }
    return this.#options.sendBatch(this.#producer!, batch)
  }

  async #sendOffsets({ consumerGroupId, topics }: Offsets & { consumerGroupId: string }): Promise<void> {
    if (!consumerGroupId) throw new KafkaJSNonRetriableError('consumerGroupId is missing')
    if (!Array.isArray(topics)) throw new KafkaJSNonRetriableError('topics must be an array')
    const offsets = topics.flatMap(({ topic, partitions }) =>
      partitions.map(({ partition, offset, ...rest }) => {
        const { metadata } = rest as { readonly metadata?: string | null }
        return {
          topic,
          partition: partitionOf(topic, partition),
          offset: offsetOf(offset, SPECIAL_OFFSETS),
          ...(metadata == null ? {} : { metadata }),
        }
      }),
    )
    this.#isEmpty = false
    await this.#options.attempt(() => this.#producer!.sendOffsetsToTransaction(offsets, { groupId: consumerGroupId }))
  }
}
