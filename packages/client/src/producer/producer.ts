import { libuvOffload, silentLogger, systemClock, systemRandom } from '@tidelog/core'
import { estimateRecordBytes, type NewRecord, prepareCodec } from '@tidelog/protocol'
import { Cluster } from '../cluster/cluster.ts'
import type { PartitionInfo } from '../cluster/metadata-cache.ts'
import { before, Deadline, until, type WaitOptions } from '../cluster/wait.ts'
import type { ProducerConfig } from '../config/producer-config.ts'
import { type ClientError, ClosedError, RecordTooLargeError, SerializationError } from '../errors.ts'
import type { Metric } from '../metrics.ts'
import { defaultSerializer, type SerdeContext, type Serializer, serializerOf } from '../serde/serde.ts'
import { Accumulator } from './accumulator.ts'
import { BulkDelivery, CallbackDelivery, type Delivery, type RecordListener, SAME_FOR_ALL } from './delivery.ts'
import type { Partitioner } from './partitioner.ts'
import { ProducerIdentity } from './producer-identity.ts'
import { ProducerMetrics } from './producer-metrics.ts'
import { type ProducerOptions, resolveProducerOptions } from './producer-options.ts'
import { headersOf, type OnDelivery, type ProducerRecord, type RecordMetadata } from './producer-record.ts'
import { Sender } from './sender.ts'
import { TopicRouter } from './topic-router.ts'
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
  readonly #metrics = new ProducerMetrics()
  readonly #clock: TurnClock
  readonly #serializeKey: Serializer<K>
  readonly #serializeValue: Serializer<V>
  #closing: Promise<void> | undefined
  /** The first failure of an enqueued record that has no callback, for the next flush(). */
  #unreported: ClientError | undefined
  readonly #maxRecordBytes: number
  #keyContext: SerdeContext = { topic: '', isKey: true }
  #valueContext: SerdeContext = { topic: '', isKey: false }
  /** Size of the record that found no room last. */
  #refusedBytes = 0

  /** @throws InvalidOptionError that names the option. */
  constructor(options: ProducerOptions<K, V>) {
    const config = resolveProducerOptions(options as ProducerOptions<never, never>)
    const { clock = systemClock, random = systemRandom, logger = silentLogger, observer } = options
    this.#config = config
    this.#serializeKey = options.keySerializer === undefined ? (defaultSerializer as Serializer<K>) : serializerOf(options.keySerializer)
    this.#serializeValue =
      options.valueSerializer === undefined ? (defaultSerializer as Serializer<V>) : serializerOf(options.valueSerializer)
    const cluster = new Cluster({ client: 'producer', config, clock, random, logger, observer, allowAutoTopicCreation: true })
    this.#cluster = cluster
    this.#clock = new TurnClock(clock)
    this.#maxRecordBytes = Math.min(config['max.request.size'], config['buffer.memory'])
    const codec = config['compression.type']
    this.#accumulator = new Accumulator({
      batchSizeBytes: config['batch.size'],
      bufferMemoryBytes: config['buffer.memory'],
      codec,
      level:
        codec === 'gzip' && config['compression.gzip.level'] >= 0
          ? config['compression.gzip.level']
          : codec === 'zstd'
            ? config['compression.zstd.level']
            : undefined,
      clock,
    })
    // Loads what the codec needs ahead of the first batch; if that fails, the batch's own attempt says so.
    prepareCodec(codec).catch(() => {})
    this.#sender = new Sender({
      cluster,
      config,
      accumulator: this.#accumulator,
      identity: config.isIdempotent ? new ProducerIdentity(cluster) : undefined,
      offload: libuvOffload(),
      metrics: this.#metrics,
    })
    const { partitioner } = options
    this.#router = new TopicRouter<K, V>({
      cluster,
      config,
      accumulator: this.#accumulator,
      clock: this.#clock,
      wake: () => this.#sender.wake(),
      ...(partitioner === undefined ? {} : { partitioner: partitioner as Partitioner<K, V> }),
    })
  }

  /**
   * Sends one record and waits until it is delivered; calls that do not wait for each other share batches all the same.
   * @throws SerializationError, RecordTooLargeError; TimeoutError of `maxBlockMs` or `deliveryTimeoutMs`; BrokerError; ClosedError.
   * After an aborted signal the record may still arrive.
   */
  send(record: ProducerRecord<K, V>, { signal }: WaitOptions = NO_SIGNAL): Promise<RecordMetadata> {
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
  async sendMany(records: readonly ProducerRecord<K, V>[], { signal }: WaitOptions = NO_SIGNAL): Promise<RecordMetadata[]> {
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
    this.#checkOpen()
    const prepared = this.#prepare(record)
    if (prepared instanceof Promise) {
      prepared.catch(() => {})
      throw new SerializationError('enqueue() needs serializers that return their bytes at once; send() awaits them')
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
    await until(bounded, signal)
    const failure = this.#unreported
    this.#unreported = undefined
    if (failure !== undefined) throw failure
  }

  /** The topic's partitions. @throws TimeoutError after `maxBlockMs`, BrokerError */
  async partitionsFor(topic: string, { signal }: WaitOptions = {}): Promise<readonly PartitionInfo[]> {
    this.#checkOpen()
    const deadline = this.#cluster.deadline(this.#config['max.block.ms'])
    return (await this.#cluster.topic(topic, { deadline, signal })).partitions
  }

  metrics(): Metric[] {
    return this.#metrics.snapshot(this.#config['client.id'], this.#cluster, this.#accumulator)
  }

  /**
   * Delivers what there is, for up to `timeoutMs` (30 s), fails the rest with a ClosedError and closes the connections. Never hangs; the
   * second call gives the first one's promise.
   */
  close({ timeoutMs = DEFAULT_CLOSE_TIMEOUT_MS }: { readonly timeoutMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(timeoutMs)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(timeoutMs: number): Promise<void> {
    const { clock } = this.#cluster
    if (timeoutMs > 0) {
      const flushed = this.#flushed()
      this.#sender.wake()
      await before(flushed, clock, new Deadline(clock, timeoutMs), 'close').catch(() => {})
    }
    this.#sender.stop()
    const error = new ClosedError('producer')
    this.#router.failPending(error)
    this.#accumulator.memory.failWaiting(error)
    this.#accumulator.failAll(error)
    this.#cluster.close()
  }

  async #flushed(): Promise<void> {
    await this.#router.settled()
    const flushed = this.#accumulator.flushed()
    this.#sender.wake()
    await flushed
  }

  readonly #unheard: RecordListener = {
    settle: (error) => {
      if (error !== undefined) this.#unreported ??= error
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
    const { topic, key, value, headers } = record
    const timestamp = record.timestamp ?? this.#clock.now()
    try {
      const keyBytes = key == null ? null : this.#serializeKey(key, this.#contextOf(topic, true))
      const valueBytes = value == null ? null : this.#serializeValue(value, this.#contextOf(topic, false))
      if (keyBytes instanceof Promise || valueBytes instanceof Promise) {
        return Promise.all([keyBytes, valueBytes]).then(
          ([k, v]) => ({ timestamp, key: k, value: v, ...(headers === undefined ? {} : { headers: headersOf(headers) }) }),
          (error) => {
            throw serializationError(topic, error)
          },
        )
      }
      return headers === undefined
        ? { timestamp, key: keyBytes, value: valueBytes }
        : { timestamp, key: keyBytes, value: valueBytes, headers: headersOf(headers) }
    } catch (error) {
      throw serializationError(topic, error)
    }
  }

  /** The same one for a run of records of one topic. */
  #contextOf(topic: string, isKey: boolean): SerdeContext {
    const last = isKey ? this.#keyContext : this.#valueContext
    if (last.topic === topic) return last
    const context = { topic, isKey }
    if (isKey) this.#keyContext = context
    else this.#valueContext = context
    return context
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

const serializationError = (topic: string, cause: unknown): SerializationError =>
  cause instanceof SerializationError
    ? cause
    : new SerializationError(`a record for ${topic} cannot be serialized: ${cause instanceof Error ? cause.message : String(cause)}`, cause)
