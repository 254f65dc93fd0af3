import { Producer as OurProducer } from '../../producer/producer.ts'
import { callTimeoutMs, type KafkaContext, retriesOf } from './client-options.ts'
import { codecNameOf } from './compression.ts'
import { KafkaJSError, KafkaJSNonRetriableError, KafkaJSProtocolError } from './errors.ts'
import { Instrumentation, networkEvents } from './instrumentation.ts'
import { Link } from './link.ts'
import { LogStartOffsets } from './log-start-offsets.ts'
import { Partitioners, partitionMetadataOf } from './partitioners.ts'
import { checkBatch, type PlacedRecord, recordOf, resultsOf } from './produce-requests.ts'
import { kafkaJSErrorOf } from './protocol-errors.ts'
import { type ResolvedRetry, resolveRetry } from './retry.ts'
import { Transactions } from './transactions.ts'
import type { PartitionMetadata } from './types-client.ts'
import type {
  Producer,
  ProducerBatch,
  ProducerConfig,
  ProducerEventsByName,
  ProducerRecord,
  RecordMetadata,
  TopicMessages,
  Transaction,
} from './types-producer.ts'

type Connection = 'disconnected' | 'connected' | 'disconnecting'

/** Batches are only as large as brokers take by default (`message.max.bytes`), however many messages one send() has. */
const BATCH_SIZE_BYTES = 256 * 1024
/** A broker says itself which record is too large for it. */
const MAX_REQUEST_BYTES = 64 * 1024 * 1024
const BUFFER_BYTES = 2 * MAX_REQUEST_BYTES
const MOST_IN_FLIGHT = 5
const PRODUCE_TIMEOUT_MS = 30_000
const ALL = -1

/** What one of our producers does the same way for all of its records, and kafkajs may do otherwise with each call. */
interface Manner {
  readonly acks: number
  readonly compression: number
  readonly timeout: number
}

const DEFAULT_MANNER: Manner = { acks: ALL, compression: 0, timeout: PRODUCE_TIMEOUT_MS }

/** @throws KafkaJSNonRetriableError for an idempotent producer without retries */
export function createProducer(context: KafkaContext, config: ProducerConfig): Producer {
  return new KafkaJSProducer(context, config).interface
}

class KafkaJSProducer {
  readonly interface: Producer
  readonly #context: KafkaContext
  readonly #config: ProducerConfig
  readonly #retry: ResolvedRetry
  readonly #events = networkEvents('producer')
  readonly #instrumentation: Instrumentation<ProducerEventsByName>
  readonly #partition: ReturnType<NonNullable<ProducerConfig['createPartitioner']>>
  readonly #isIdempotent: boolean
  readonly #link: Link<ProducerEventsByName>
  #status: Connection = 'disconnected'
  readonly #producers = new Map<string, OurProducer>()
  readonly #logStartOffsets = new LogStartOffsets()
  readonly #transactions: Transactions

  constructor(context: KafkaContext, config: ProducerConfig) {
    const { createPartitioner = Partitioners.DefaultPartitioner, idempotent = false, retry } = config
    this.#context = context
    this.#config = config
    this.#isIdempotent = idempotent
    this.#retry = resolveRetry(retry, context.config.retry)
    if (idempotent && this.#retry.retries < 1) {
      throw new KafkaJSNonRetriableError('an idempotent producer needs retries: without them it cannot get over a passing error')
    }
    const logger = context.logger.namespace('Producer')
    this.#instrumentation = new Instrumentation(this.#events, logger, context.clock)
    this.#link = new Link(context, this.#retry, this.#events, this.#instrumentation, {
      metadataMaxAge: config.metadataMaxAge,
      observer: this.#logStartOffsets.observer,
    })
    this.#partition = createPartitioner()
    this.#transactions = new Transactions({
      create: (compression) => new OurProducer({ ...this.#optionsFor({ ...DEFAULT_MANNER, compression }), ...this.#transactionOptions() }),
      sendBatch: (producer, batch) => this.#sendWith(producer, batch, true),
      attempt: (call) => this.#link.try(call),
    })
    this.interface = {
      connect: () => this.#connect(),
      disconnect: () => this.#disconnect(),
      isIdempotent: () => this.#isIdempotent,
      events: this.#events,
      on: this.#instrumentation.on,
      send: (record) => this.#send(record),
      sendBatch: (batch) => this.#sendBatch(batch),
      transaction: () => this.#begin(),
      logger: () => logger,
    }
  }

  async #connect(): Promise<void> {
    await this.#link.connect()
    this.#status = 'connected'
    this.#instrumentation.emit(this.#events.CONNECT, null)
  }

  /** What has been sent is delivered first. */
  async #disconnect(): Promise<void> {
    this.#status = 'disconnecting'
    const producers = [...this.#producers.values()]
    this.#producers.clear()
    await Promise.all([...producers.map((producer) => producer.close()), this.#transactions.close()])
    await this.#link.close()
    this.#status = 'disconnected'
    this.#instrumentation.emit(this.#events.DISCONNECT, null)
  }

  #checkConnected(): void {
    if (this.#status === 'disconnecting') throw new KafkaJSNonRetriableError('the producer is disconnecting, and takes no more messages')
    if (this.#status === 'disconnected') throw new KafkaJSError('The producer is disconnected')
  }

  #send({ topic, messages, ...manner }: ProducerRecord): Promise<RecordMetadata[]> {
    return this.#sendBatch({ ...manner, topicMessages: [{ topic, messages }] })
  }

  async #sendBatch(batch: ProducerBatch): Promise<RecordMetadata[]> {
    return this.#sendWith(undefined, batch, this.#isIdempotent)
  }

  /** @param producer One that goes with the batch when undefined. */
  async #sendWith(producer: OurProducer | undefined, batch: ProducerBatch, isIdempotent: boolean): Promise<RecordMetadata[]> {
    const { topicMessages = [], ...given } = batch
    const manner = { ...DEFAULT_MANNER, ...withoutHoles(given) }
    checkBatch(topicMessages, { ...manner, isIdempotent })
    this.#checkConnected()
    const sender = producer ?? this.#producerFor(manner)
    return this.#link.try(async () => {
      const records = await this.#place(sender, topicMessages)
      const metadata = await sender.sendMany(records)
      return manner.acks === 0 ? [] : resultsOf(records, metadata, (partition) => this.#logStartOffsets.of(partition))
    })
  }

  async #begin(): Promise<Transaction> {
    if (!this.#config.transactionalId) throw new KafkaJSNonRetriableError('transactionalId is missing: transactions need one')
    this.#checkConnected()
    return this.#transactions.begin()
  }

  #transactionOptions() {
    const { transactionalId, transactionTimeout } = this.#config
    return {
      transactionalId: transactionalId!,
      enableIdempotence: true,
      retries: Math.max(1, retriesOf(this.#retry)),
      ...(transactionTimeout === undefined ? {} : { transactionTimeoutMs: transactionTimeout }),
    }
  }

  /** Every message as a record in the partition that kafkajs would give it. */
  async #place(producer: OurProducer, topicMessages: readonly TopicMessages[]): Promise<PlacedRecord[]> {
    const placed: PlacedRecord[] = []
    for (const { topic, messages } of topicMessages) {
      const partitionMetadata = await this.#partitionsOf(producer, topic)
      const nowMs = this.#context.clock.now()
      for (const message of messages) {
        placed.push(recordOf(topic, message, this.#partition({ topic, partitionMetadata, message }), nowMs))
      }
    }
    return placed
  }

  /** @throws KafkaJSNonRetriableError around what a broker says of a topic that cannot be, as in kafkajs */
  async #partitionsOf(producer: OurProducer, topic: string): Promise<PartitionMetadata[]> {
    try {
      // Our producer's own metadata request would have the topic created.
      if (this.#config.allowAutoTopicCreation === false) await this.#link.admin.describeTopics([topic])
      return (await producer.partitionsFor(topic)).map(partitionMetadataOf)
    } catch (error) {
      const failure = kafkaJSErrorOf(error)
      if (failure instanceof KafkaJSProtocolError && !failure.retriable) throw new KafkaJSNonRetriableError(failure, { cause: failure })
      throw error
    }
  }

  #producerFor(manner: Manner): OurProducer {
    const key = `${manner.acks}/${manner.compression}/${manner.timeout}`
    let producer = this.#producers.get(key)
    if (producer === undefined) {
      producer = new OurProducer(this.#optionsFor(manner))
      this.#producers.set(key, producer)
    }
    return producer
  }

  #optionsFor({ acks, compression, timeout }: Manner) {
    const { options } = this.#link
    const retries = retriesOf(this.#retry)
    const timeoutMs = callTimeoutMs(this.#retry, timeout)
    return {
      ...options,
      acks: String(acks) as '-1' | '0' | '1',
      compressionType: codecNameOf(compression)!,
      requestTimeoutMs: Math.min(timeout, options.requestTimeoutMs),
      retries,
      // Java's default, and no worse for those who did not ask for it: nothing is appended twice, and order holds.
      enableIdempotence: acks === ALL && retries > 0,
      maxInFlightRequestsPerConnection: Math.min(this.#config.maxInFlightRequests ?? MOST_IN_FLIGHT, MOST_IN_FLIGHT),
      deliveryTimeoutMs: timeoutMs,
      maxBlockMs: timeoutMs,
      lingerMs: 0,
      batchSize: BATCH_SIZE_BYTES,
      maxRequestSize: MAX_REQUEST_BYTES,
      bufferMemory: BUFFER_BYTES,
    }
  }
}

/** What is there but undefined is not given. */
const withoutHoles = <T extends object>(given: T): { [K in keyof T]?: NonNullable<T[K]> } =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value != null)) as { [K in keyof T]?: NonNullable<T[K]> }
