import type { Writable } from 'node:stream'
import { libuvOffload, silentLogger, systemClock, systemRandom } from '@tidelog/core'
import { estimateRecordBytes, levelOf, type NewRecord, prepareCodec } from '@tidelog/protocol'
import { Cluster } from '../cluster/cluster.ts'
import type { PartitionInfo } from '../cluster/metadata-cache.ts'
import type { ProducerConfig } from '../config/producer-config.ts'
import { type ClientError, ClosedError, IllegalStateError, RecordTooLargeError, SerializationError } from '../errors.ts'
import type { Metric } from '../metrics.ts'
import { type MetricForSubscription, Telemetry } from '../telemetry/telemetry.ts'
import type { OffsetAndMetadata, TopicPartition } from '../topic-partition.ts'
import { before, Deadline, until, type WaitOptions } from '../wait.ts'
import { Accumulator } from './accumulator.ts'
import { BulkDelivery, CallbackDelivery, type Delivery, type RecordListener, SAME_FOR_ALL } from './delivery.ts'
import { HookedSender } from './hooked-sender.ts'
import type { Partitioner } from './partitioner.ts'
import { ProducerIdentity } from './producer-identity.ts'
import { ProducerMetrics } from './producer-metrics.ts'
import { type ProducerOptions, resolveProducerOptions } from './producer-options.ts'
import type { OnDelivery, ProducerRecord, RecordMetadata } from './producer-record.ts'
import { type WritableOptions, writableOf, writableStreamOf } from './producer-streams.ts'
import { RecordSerializer } from './record-serializer.ts'
import { Sender } from './sender.ts'
import { TopicRouter } from './topic-router.ts'
import { type RecordSender, runTransaction, type Transaction } from './transactions/transaction.ts'
import { TransactionManager } from './transactions/transaction-manager.ts'
import type { TransactionGroup } from './transactions/transaction-requests.ts'
import { TurnClock } from './turn-clock.ts'

const DEFAULT_CLOSE_TIMEOUT_MS = 30_000
const NO_SIGNAL: WaitOptions = {}

/**
 * Sends records to topics. Everything sent is gathered into batches by partition, whichever way it was sent, and records of a partition
 * arrive in the order of the calls. Idempotent with acks=all unless told otherwise: a record is appended once, however often it is sent.
 */
export class Producer<K = unknown, V = unknown> {
  readonly #config: ProducerConfig
  readonly #cluster: Cluster
  readonly #accumulator: Accumulator
  readonly #router: TopicRouter<K, V>
  readonly #sender: Sender
  readonly #transactions: TransactionManager | undefined
  /** Only where there is something to hook in: interceptors, transactions. */
  readonly #hooked: HookedSender<K, V> | undefined
  readonly #metrics = new ProducerMetrics()
  readonly #telemetry: Telemetry
  readonly #clock: TurnClock
  readonly #serializer: RecordSerializer<K, V>
  #closing: Promise<void> | undefined
  /** The first failure of an enqueued record that has no callback, for the next flush(). */
  #unreported: ClientError | undefined
  readonly #maxRecordBytes: number
  /** Size of the record that found no room last. */
  #refusedBytes = 0

  /** @throws InvalidOptionError that names the option. */
  constructor(options: ProducerOptions<K, V>) {
    const config = resolveProducerOptions(options)
    const { clock = systemClock, random = systemRandom, logger = silentLogger, observer } = options
    this.#config = config
    this.#serializer = new RecordSerializer(options)
    const base = { client: 'producer', config, clock, random, logger, observer, connection: options }
    const cluster = new Cluster({ ...base, allowAutoTopicCreation: true })
    this.#cluster = cluster
    this.#clock = new TurnClock(clock)
    this.#maxRecordBytes = Math.min(config['max.request.size'], config['buffer.memory'])
    const codec = config['compression.type']
    this.#accumulator = new Accumulator({
      batchSizeBytes: config['batch.size'],
      bufferMemoryBytes: config['buffer.memory'],
      codec,
      level: levelOf(codec, config),
      isTransactional: config['transactional.id'] !== null,
      clock,
      onSealed: () => this.#sender.batchSealed(),
    })
    // Loads what the codec needs ahead of the first batch; if that fails, the batch's own attempt says so.
    prepareCodec(codec).catch(() => {})
    this.#transactions = this.#transactionsOf(config['transactional.id'])
    this.#sender = new Sender({
      cluster,
      config,
      accumulator: this.#accumulator,
      identity: this.#transactions ?? (config.isIdempotent ? new ProducerIdentity(cluster) : undefined),
      transactions: this.#transactions,
      offload: libuvOffload(),
      metrics: this.#metrics,
    })
    const { partitioner, interceptors = [] } = options
    if (this.#transactions !== undefined || interceptors.length > 0) {
      this.#hooked = new HookedSender({ sender: this.#plain, interceptors, transactions: this.#transactions, logger })
    }
    this.#telemetry = new Telemetry({
      cluster,
      metrics: () => this.metrics(),
      labels: () => ({ transactional_id: config['transactional.id'] }),
    })
    this.#router = new TopicRouter<K, V>({
      cluster,
      config,
      accumulator: this.#accumulator,
      clock: this.#clock,
      wake: () => this.#sender.wakeForRecord(),
      isAvailable: (leaderId) => this.#sender.isAvailable(leaderId),
      ...(partitioner === undefined ? {} : { partitioner: partitioner as Partitioner<K, V> }),
    })
  }

  /**
   * Sends one record and waits until it is delivered; calls that do not wait for each other share batches all the same.
   * @throws SerializationError, RecordTooLargeError; TimeoutError of `maxBlockMs` or `deliveryTimeoutMs`; BrokerError; ClosedError.
   * After an aborted signal the record may still arrive.
   */
  send(record: ProducerRecord<K, V>, options: WaitOptions = NO_SIGNAL): Promise<RecordMetadata> {
    return this.#hooked === undefined ? this.#send(record, options) : this.#hooked.send(record, options)
  }

  #send(record: ProducerRecord<K, V>, { signal }: WaitOptions = NO_SIGNAL): Promise<RecordMetadata> {
    if (signal?.aborted) return Promise.reject(signal.reason)
    const delivered = new Promise<RecordMetadata>((resolve, reject) => {
      const taken = this.#take(record, resolve, SAME_FOR_ALL, signal)
      if (taken !== undefined) taken.catch(reject)
    })
    return signal === undefined ? delivered : until(delivered, signal)
  }

  /**
   * Sends records in order and waits until all are delivered: one promise for all of them.
   * @returns Metadata in the order of `records`.
   * @throws as send(): the first failure to deliver, after every record has met its fate; at once when a record cannot be sent, and
   * those before it are on their way then
   */
  sendMany(records: readonly ProducerRecord<K, V>[], options: WaitOptions = NO_SIGNAL): Promise<RecordMetadata[]> {
    return this.#hooked === undefined ? this.#sendMany(records, options) : this.#hooked.sendMany(records, options)
  }

  async #sendMany(records: readonly ProducerRecord<K, V>[], { signal }: WaitOptions = NO_SIGNAL): Promise<RecordMetadata[]> {
    signal?.throwIfAborted()
    if (records.length === 0) return []
    const delivery = new BulkDelivery(records.length)
    for (let index = 0; index < records.length; index++) {
      const taken = this.#take(records[index]!, delivery, index, signal)
      if (taken !== undefined) await taken
    }
    await until(delivery.done, signal)
    if (delivery.failure !== undefined) throw delivery.failure
    return delivery.results
  }

  /**
   * Puts a record among those to send, without a promise.
   * @param onDelivery Hears what became of it; without one, the next flush() throws the first failure.
   * @returns false when `bufferMemory` is full: nothing was taken; go on after ready().
   * @throws SerializationError, also for a serializer that returns a promise; RecordTooLargeError; ClosedError
   */
  enqueue(record: ProducerRecord<K, V>, onDelivery?: OnDelivery): boolean {
    return this.#hooked === undefined ? this.#enqueue(record, onDelivery) : this.#hooked.enqueue(record, onDelivery)
  }

  #enqueue(record: ProducerRecord<K, V>, onDelivery?: OnDelivery): boolean {
    this.#checkOpen()
    const prepared = this.#prepare(record)
    if (prepared instanceof Promise) {
      prepared.catch(() => {})
      const why = 'enqueue() needs serializers that return their bytes at once; send() awaits them'
      throw new SerializationError(why, undefined, { isAsynchronous: true })
    }
    const bytes = this.#sizeOf(prepared, record.topic)
    if (!this.#accumulator.memory.tryReserve(bytes)) {
      this.#refusedBytes = bytes
      return false
    }
    this.#router.route(record, prepared, bytes, onDelivery === undefined ? this.#unheard : new CallbackDelivery(onDelivery), SAME_FOR_ALL)
    return true
  }

  /** Resolves when there is room again in `bufferMemory`. @throws the signal's reason, ClosedError */
  async ready({ signal }: WaitOptions = {}): Promise<void> {
    this.#checkOpen()
    signal?.throwIfAborted()
    await this.#accumulator.memory.whenRoomy(this.#refusedBytes, { signal })
  }

  /**
   * Sends everything at once and waits until all that was sent before is delivered or has failed.
   * @throws The first failure of an enqueued record without callback; TimeoutError after `timeoutMs`; the signal's reason
   */
  async flush({ timeoutMs, signal }: WaitOptions & { readonly timeoutMs?: number } = {}): Promise<void> {
    signal?.throwIfAborted()
    const flushed = this.#flushed()
    this.#sender.wake()
    const { clock } = this.#cluster
    const bounded = timeoutMs === undefined ? flushed : before(flushed, clock, new Deadline(clock, timeoutMs), 'flush')
    const sinceMs = clock.monotonic()
    await until(bounded, signal).finally(() => {
      this.#metrics.flushMs += clock.monotonic() - sinceMs
    })
    const failure = this.#unreported
    this.#unreported = undefined
    if (failure !== undefined) throw failure
  }

  /**
   * A Node stream of records, of which it takes no more than `bufferMemory` has room for. Delivers what it has got before it ends; a record that
   * fails destroys it. The producer stays open.
   */
  writable(options: WritableOptions = {}): Writable {
    this.#checkOpen()
    return writableOf(this.#hooked ?? this.#plain, () => this.flush(), options)
  }

  /** As writable(), as a stream of the web's kind. */
  writableStream(options: WritableOptions = {}): WritableStream<ProducerRecord<K, V>> {
    this.#checkOpen()
    return writableStreamOf(this.#hooked ?? this.#plain, () => this.flush(), options)
  }

  /** The topic's partitions. @throws TimeoutError after `maxBlockMs`, BrokerError */
  async partitionsFor(topic: string, { signal }: WaitOptions = {}): Promise<readonly PartitionInfo[]> {
    this.#checkOpen()
    const deadline = this.#cluster.deadline(this.#config['max.block.ms'])
    return (await this.#cluster.topic(topic, { deadline, signal })).partitions
  }

  /** Values now, by Kafka's names; those of topics bear the topic as a tag. */
  metrics(): Metric[] {
    const waits = { 'metadata-wait-time-ns-total': Math.round(this.#router.metadataWaitMs * 1_000_000) }
    const more = { ...waits, ...this.#transactions?.times.metrics() }
    return this.#metrics.snapshot(this.#config['client.id'], this.#cluster, this.#accumulator, more)
  }

  /** Pushed to brokers that subscribe to it, besides what the producer counts itself. KIP-1076. @throws InvalidOptionError */
  registerMetricForSubscription(metric: MetricForSubscription): void {
    this.#checkOpen()
    this.#telemetry.register(metric)
  }

  /** Takes back what registerMetricForSubscription() has been given. */
  unregisterMetricFromSubscription(metric: Pick<MetricForSubscription, 'group' | 'name' | 'tags'>): void {
    this.#telemetry.unregister(metric)
  }

  /**
   * What brokers call this producer where they take its metrics (KIP-714).
   * @throws IllegalStateError unless `enableMetricsPush`; UnsupportedVersionError where no broker takes metrics; TimeoutError
   */
  async clientInstanceId({ timeoutMs, signal }: WaitOptions & { readonly timeoutMs?: number } = {}): Promise<string> {
    this.#checkOpen()
    return this.#telemetry.clientInstanceId({ deadline: this.#cluster.deadline(timeoutMs ?? this.#config['max.block.ms']), signal })
  }

  // --- transactions ------------------------------------------------------------------------------------------------------------------

  /**
   * Begins a transaction, has `work` add to it, and commits: the records and offsets become visible to readers of committed records all
   * together, or never. When `work` throws, or anything of the transaction has failed, it is aborted instead and the error thrown. Calls
   * initTransactions() when nobody has; one transaction at a time.
   * @returns what `work` returns
   * @throws what `work` throws; TransactionAbortableError when a record has failed, after the abort; ProducerFencedError and other fatal errors;
   * TimeoutError when the outcome of the commit could not be learned within `maxBlockMs`: the next call, or commitTransaction(), finds it out
   */
  async transaction<R>(work: (transaction: Transaction<K, V>) => R | Promise<R>, options: WaitOptions = {}): Promise<R> {
    return runTransaction(this.#transactional(), this.#hooked!, work, options)
  }

  /**
   * Fences every older producer of the transactional id, and has what it left open aborted. Once, before the first transaction.
   * @throws ProducerFencedError and other fatal errors; TimeoutError after `maxBlockMs`, or that it is not allowed: then it may be called again
   */
  async initTransactions(options?: WaitOptions): Promise<void> {
    await this.#transactional().initTransactions(options)
  }

  /** Records sent from here on belong to the transaction, until it is committed or aborted. @throws IllegalStateError; what is fatal */
  beginTransaction(): void {
    this.#transactional().begin()
  }

  /**
   * Commits a group's offsets together with the transaction. @param groupMetadata consumer.groupMetadata(), so that a member which the group
   * has gone on without cannot commit (KIP-447)
   * @throws TransactionAbortableError; what is fatal; TimeoutError after `maxBlockMs`, and then the transaction can only be aborted
   */
  async sendOffsetsToTransaction(
    offsets: Iterable<TopicPartition & OffsetAndMetadata>,
    groupMetadata: TransactionGroup,
    options?: WaitOptions,
  ): Promise<void> {
    await this.#transactional().sendOffsets([...offsets], groupMetadata, options)
  }

  /**
   * Delivers what is under way, and commits.
   * @throws TransactionAbortableError when a record or offsets have failed: abort then; what is fatal; TimeoutError when nothing is known of the
   * outcome `maxBlockMs` later, or the signal's reason: call again to go on
   */
  async commitTransaction(options?: WaitOptions): Promise<void> {
    await this.#transactional().commit(options)
  }

  /** Fails what has not left yet, and has what has been written never become visible. @throws as commitTransaction(), to be called again likewise */
  async abortTransaction(options?: WaitOptions): Promise<void> {
    await this.#transactional().abort(options)
  }

  #transactional(): TransactionManager {
    this.#checkOpen()
    if (this.#transactions === undefined) throw new IllegalStateError('transactionalId is missing: transactions need one')
    return this.#transactions
  }

  #transactionsOf(transactionalId: string | null): TransactionManager | undefined {
    if (transactionalId === null) return undefined
    return new TransactionManager({
      cluster: this.#cluster,
      config: this.#config,
      transactionalId,
      wake: () => this.#sender.wake(),
      flushed: () => this.#flushed(),
      isIdle: () => this.#accumulator.incompleteCount === 0,
      dropWaiting: (error) => {
        this.#router.failPending(error)
        this.#accumulator.memory.failWaiting(error)
        return this.#accumulator.failWaiting(error)
      },
    })
  }

  // --- end ---------------------------------------------------------------------------------------------------------------------------

  /**
   * Delivers what there is, for up to `timeoutMs` (30 s), fails the rest with a ClosedError and closes the connections; an open transaction is
   * aborted. Never hangs; the second call gives the first one's promise.
   */
  close({ timeoutMs = DEFAULT_CLOSE_TIMEOUT_MS }: { readonly timeoutMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(timeoutMs)
    return this.#closing
  }

  /** close(), for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(timeoutMs: number): Promise<void> {
    const { clock } = this.#cluster
    const deadline = new Deadline(clock, timeoutMs)
    if (timeoutMs > 0) {
      const ended = this.#transactions === undefined ? this.#flushed() : this.#transactions.close()
      this.#sender.wake()
      await before(ended, clock, deadline, 'close').catch(() => {})
    }
    this.#sender.stop()
    const error = new ClosedError('producer')
    this.#router.failPending(error)
    this.#accumulator.memory.failWaiting(error)
    this.#accumulator.failAll(error)
    await this.#telemetry.close(deadline)
    this.#cluster.close()
  }

  async #flushed(): Promise<void> {
    await this.#router.settled()
    const flushed = this.#accumulator.flushed()
    this.#sender.wake()
    await flushed
  }

  readonly #plain: RecordSender<K, V> = {
    send: (record, options) => this.#send(record, options),
    sendMany: (records, options) => this.#sendMany(records, options),
    enqueue: (record, onDelivery) => this.#enqueue(record, onDelivery),
    ready: (options) => this.ready(options),
  }

  readonly #unheard: RecordListener = {
    delivered: () => {},
    failed: (error) => {
      this.#unreported ??= error
    },
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new ClosedError('producer')
  }

  /** Takes the record in at once; or a promise of that, when its bytes or the room for them have to be waited for. @throws as the promise */
  #take(record: ProducerRecord<K, V>, delivery: Delivery, tag: number, signal: AbortSignal | undefined): Promise<void> | undefined {
    const ready = this.#prepare(record)
    if (ready instanceof Promise) return this.#takeLater(record, ready, delivery, tag, signal)
    this.#checkOpen()
    const bytes = this.#sizeOf(ready, record.topic)
    if (!this.#accumulator.memory.tryReserve(bytes)) return this.#takeWithRoom(record, ready, bytes, delivery, tag, signal)
    this.#router.route(record, ready, bytes, delivery, tag)
    return undefined
  }

  async #takeLater(
    record: ProducerRecord<K, V>,
    prepared: Promise<NewRecord>,
    delivery: Delivery,
    tag: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const ready = await until(prepared, signal, this.#cluster.closing)
    this.#checkOpen()
    const bytes = this.#sizeOf(ready, record.topic)
    if (this.#accumulator.memory.tryReserve(bytes)) this.#router.route(record, ready, bytes, delivery, tag)
    else await this.#takeWithRoom(record, ready, bytes, delivery, tag, signal)
  }

  #takeWithRoom(
    record: ProducerRecord<K, V>,
    ready: NewRecord,
    bytes: number,
    delivery: Delivery,
    tag: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    this.#sender.wake()
    const options = { timeoutMs: this.#config['max.block.ms'], signal }
    return this.#accumulator.memory.reserve(bytes, options, () => this.#router.route(record, ready, bytes, delivery, tag))
  }

  #prepare(record: ProducerRecord<K, V>): NewRecord | Promise<NewRecord> {
    return this.#serializer.serialize(record, record.timestamp ?? this.#clock.now())
  }

  #sizeOf(record: NewRecord, topic: string): number {
    const bytes = estimateRecordBytes(record)
    const limit = this.#maxRecordBytes
    if (bytes > limit) {
      const which = limit === this.#config['max.request.size'] ? 'maxRequestSize' : 'bufferMemory'
      throw new RecordTooLargeError(`a record for ${topic} takes ${bytes} bytes, ${which} is ${limit}`)
    }
    return bytes
  }
}
