import type { ConsumedBatch } from '../../consumer/consumed-batch.ts'
import { Consumer as OurConsumer } from '../../consumer/consumer.ts'
import type { ConsumerOptions } from '../../consumer/consumer-options.ts'
import type { HandlerContext } from '../../consumer/partition-runner.ts'
import { LogTruncationError, NoOffsetError } from '../../errors.ts'
import { groupByTopic, PartitionMap, type TopicPartition } from '../../topic-partition.ts'
import { type Deferred, deferred } from '../../wait.ts'
import type { KafkaContext } from './client-options.ts'
import { KafkaJSError, KafkaJSNonRetriableError, KafkaJSNumberOfRetriesExceeded } from './errors.ts'
import { FetchedBatch } from './fetched-batch.ts'
import type { GroupEvents } from './group-events.ts'
import type { Instrumentation } from './instrumentation.ts'
import { MessageHandlers, type SessionView } from './message-handlers.ts'
import { PausedPartitions } from './paused-partitions.ts'
import { isRebalancing, kafkaJSErrorOf } from './protocol-errors.ts'
import { ResolvedOffsets } from './resolved-offsets.ts'
import { isWorthARetry, pause, type ResolvedRetry, RetryTimes } from './retry.ts'
import type { Logger, Offsets, TopicPartitions } from './types-client.ts'
import type { ConsumerEvents, ConsumerEventsByName, ConsumerRunConfig } from './types-consumer.ts'

export interface SessionOptions {
  readonly context: KafkaContext
  readonly logger: Logger
  readonly groupId: string
  readonly retry: ResolvedRetry
  readonly consumerOptions: ConsumerOptions<Buffer, Buffer>
  readonly runConfig: ConsumerRunConfig
  /** By topic: whether a partition without a committed offset is read from its beginning. */
  readonly subscriptions: ReadonlyMap<string, boolean>
  readonly events: ConsumerEvents
  readonly instrumentation: Instrumentation<ConsumerEventsByName>
  readonly groupEvents: GroupEvents
  /** The session is over for this reason. */
  readonly onCrash: (error: Error) => void
}

const EARLIEST = -2
const LATEST = -1
const AT_ONCE_MS = 50
/** As one fetch brings them. */
const ALL_RECORDS = 2_147_483_647
const NOTHING = /(?!)/

/** From run() to stop() or a crash: one of our consumers, how far its messages are resolved, what is paused and sought. */
export class ConsumerSession implements SessionView {
  readonly offsets: ResolvedOffsets
  readonly #options: SessionOptions
  readonly #consumer: OurConsumer
  readonly #handlers: MessageHandlers
  readonly #pauses = new PausedPartitions()
  /** Offsets to go to when the partition is assigned and nobody handles messages of it. */
  readonly #seeks = new PartitionMap<number>()
  readonly #handled = new PartitionMap<true>()
  readonly #stopping = new AbortController()
  readonly #joined: Deferred<void> = deferred()
  #retryTimes: RetryTimes
  #ended: Promise<void> = Promise.resolve()

  constructor(options: SessionOptions) {
    const { autoCommit = true, autoCommitInterval = null, autoCommitThreshold = null } = options.runConfig
    this.#options = options
    this.#retryTimes = new RetryTimes(options.retry, options.context.random)
    this.offsets = new ResolvedOffsets({ autoCommit, autoCommitInterval, autoCommitThreshold }, options.context.clock.now())
    this.#consumer = new OurConsumer({
      ...options.consumerOptions,
      enableAutoCommit: false,
      autoOffsetReset: 'none',
      maxPollRecords: ALL_RECORDS,
    })
    this.#handlers = new MessageHandlers(this, options)
  }

  get isRunning(): boolean {
    return !this.#stopping.signal.aborted
  }

  /** Resolves when the group has given partitions for the first time, or the session has crashed. */
  async start(): Promise<void> {
    const topics = [...this.#options.subscriptions.keys()]
    this.#consumer.subscribe(topics.length === 0 ? NOTHING : topics, {
      onAssigned: (partitions) => this.#assigned(partitions),
      onRevoked: (partitions) => this.#revoked(partitions),
      onLost: (partitions) => this.#lost(partitions),
    })
    this.#ended = this.#run().finally(() => this.#joined.resolve())
    await this.#joined.promise
  }

  /** Waits for what is being handled, then leaves the group. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#ended
    await this.#consumer.close()
  }

  // --- the loop ------------------------------------------------------------------------------------------------------------------------

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    while (this.isRunning) {
      try {
        const { partitionsConsumedConcurrently = 1 } = this.#options.runConfig
        const eachBatch = (batch: ConsumedBatch, context: HandlerContext) => this.#handle(batch, context)
        await this.#consumer.run({ eachBatch, partitionConcurrency: partitionsConsumedConcurrently, signal })
      } catch (error) {
        if (this.isRunning) await this.#failed(error)
      }
    }
  }

  async #failed(error: unknown): Promise<void> {
    const { context, onCrash, logger } = this.#options
    if (error instanceof LogTruncationError) {
      logger.error(error.message, { topic: error.topic, partition: error.partition })
      if (error.divergent === undefined) await this.#startOver([error]).catch((failure) => this.#failed(failure))
      else this.#goTo(error, error.divergent.offset)
      return
    }
    if (error instanceof NoOffsetError) {
      const isOutOfRange = error.code === 'OFFSET_OUT_OF_RANGE'
      if (isOutOfRange) logger.error('the position of a partition is out of range, and is reset', { partitions: error.partitions })
      // One that has got a position meanwhile keeps it.
      const lost = error.partitions.filter((partition) => isOutOfRange || this.offsets.next(partition) === undefined)
      await this.#startOver(lost).catch((failure) => this.#failed(failure))
      return
    }
    // What a handler throws may be anything, and is tried again unless it says not.
    const failure = error instanceof Error ? kafkaJSErrorOf(error) : new KafkaJSError(String(error))
    if (isRebalancing(failure)) {
      await pause(context.clock, AT_ONCE_MS, this.#stopping.signal)
      return
    }
    if (!isWorthARetry(failure)) {
      this.#stopping.abort()
      onCrash(new KafkaJSNonRetriableError(failure, { cause: (failure.cause as Error | undefined) ?? failure }))
      return
    }
    const { count: retryCount, retryTime } = this.#retryTimes
    const waitMs = this.#retryTimes.next()
    if (waitMs === undefined) {
      this.#stopping.abort()
      onCrash(new KafkaJSNumberOfRetriesExceeded(error instanceof Error ? failure : failure.message, { retryCount, retryTime }))
      return
    }
    logger.debug('messages could not be handled, and are tried again', { retryCount, retryTime, error: failure.message })
    await pause(context.clock, waitMs, this.#stopping.signal)
  }

  /** One batch of one partition, from its messages to the commit. */
  async #handle(ours: ConsumedBatch, { signal, progress }: HandlerContext): Promise<void> {
    const { clock } = this.#options.context
    const { instrumentation, events } = this.#options
    const batch = new FetchedBatch(ours)
    const { topic, partition, highWatermark } = batch
    const payload = {
      topic,
      partition,
      highWatermark,
      offsetLag: batch.offsetLag(),
      offsetLagLow: batch.offsetLagLow(),
      batchSize: batch.messages.length,
      firstOffset: batch.firstOffset(),
      lastOffset: batch.lastOffset(),
    }
    const sinceMs = clock.now()
    this.#handled.set(batch, true)
    instrumentation.emit(events.START_BATCH_PROCESS, payload)
    try {
      await this.#handlers.handle(batch, { signal, progress })
      instrumentation.emit(events.END_BATCH_PROCESS, { ...payload, duration: clock.now() - sinceMs })
      await this.autoCommit()
      this.#retryTimes = new RetryTimes(this.#options.retry, this.#options.context.random)
    } finally {
      this.#handled.delete(batch)
      this.#goOn(ours)
    }
  }

  /** To where the user has sought, else to the first message that is not resolved, wherever the fetch ended. */
  #goOn(batch: ConsumedBatch): void {
    const { topic, partition } = batch
    if (!this.#isAssigned(batch)) return
    if (this.#applySeek({ topic, partition })) return
    const next = this.offsets.next(batch) ?? batch.records[0]!.offset
    if (next !== batch.nextOffset) this.#consumer.seek({ topic, partition }, next)
  }

  // --- the group -----------------------------------------------------------------------------------------------------------------------

  async #assigned(partitions: readonly TopicPartition[]): Promise<void> {
    const { groupEvents, instrumentation, events, groupId, context } = this.#options
    await this.#start(partitions)
    for (const partition of partitions) this.#applySeek(partition)
    const { joined } = groupEvents
    instrumentation.emit(events.GROUP_JOIN, {
      groupId,
      memberId: joined?.memberId ?? '',
      leaderId: joined?.leaderId ?? '',
      isLeader: joined !== undefined && joined.leaderId === joined.memberId,
      memberAssignment: Object.fromEntries(this.#byTopic(this.#assignment()).map(({ topic, partitions: indexes }) => [topic, indexes])),
      groupProtocol: joined?.groupProtocol ?? '',
      duration: joined === undefined ? 0 : context.clock.now() - joined.startMs,
    })
    this.#joined.resolve()
  }

  /** Another member's assigner may give what this one does not read, and what our consumer leaves alone. */
  received(assigned: readonly TopicPartition[]): void {
    const { subscriptions, instrumentation, events, groupId, logger } = this.#options
    const unsubscribed = assigned.filter(({ topic }) => !subscriptions.has(topic))
    if (unsubscribed.length === 0) return
    const namesOf = (partitions: readonly TopicPartition[]) => [...new Set(partitions.map(({ topic }) => topic))]
    const { generationId, memberId } = this.#consumer.groupMetadata()
    const payload = {
      groupId,
      generationId,
      memberId,
      assignedTopics: namesOf(assigned),
      topicsSubscribed: [...subscriptions.keys()],
      topicsNotSubscribed: namesOf(unsubscribed),
    }
    logger.warn('the group has given partitions of topics that this consumer does not subscribe to', payload)
    instrumentation.emit(events.RECEIVED_UNSUBSCRIBED_TOPICS, payload)
  }

  /** Where the group has got to, or where those begin of which it has read nothing. */
  async #start(partitions: readonly TopicPartition[]): Promise<void> {
    if (partitions.length === 0) return
    const committed = await this.#consumer.committed(partitions)
    const known = partitions.map((partition) => [partition, committed.get(partition)?.offset ?? -1] as const)
    const fresh = await this.#defaultOffsets(known.filter(([, offset]) => offset < 0).map(([partition]) => partition))
    // All in one go: our consumer looks for the positions of those that have none.
    for (const [partition, offset] of known) this.#goTo(partition, offset < 0 ? fresh.get(partition)! : offset)
    this.#consumer.pause(partitions.filter((partition) => this.#pauses.has(partition)))
  }

  async #startOver(partitions: readonly TopicPartition[]): Promise<void> {
    for (const [partition, offset] of await this.#defaultOffsets(partitions)) this.#goTo(partition, offset)
  }

  /** Where partitions begin, or end, as their topics are subscribed to. */
  async #defaultOffsets(partitions: readonly TopicPartition[]): Promise<PartitionMap<number>> {
    if (partitions.length === 0) return new PartitionMap()
    const isFromBeginning = ({ topic }: TopicPartition) => this.#options.subscriptions.get(topic) === true
    const [first, last] = await Promise.all([
      this.#consumer.beginningOffsets(partitions.filter(isFromBeginning)),
      this.#consumer.endOffsets(partitions.filter((partition) => !isFromBeginning(partition))),
    ])
    return new PartitionMap([...first, ...last])
  }

  #goTo(partition: TopicPartition, offset: number): void {
    if (!this.#isAssigned(partition)) return
    this.offsets.start(partition, offset)
    this.#consumer.seek(partition, offset)
  }

  async #revoked(partitions: readonly TopicPartition[]): Promise<void> {
    await this.autoCommit().catch((error) => {
      this.#options.logger.warn('offsets could not be committed before partitions go', { error: error.message })
    })
    this.#lost(partitions)
  }

  #lost(partitions: readonly TopicPartition[]): void {
    for (const partition of partitions) this.offsets.drop(partition)
  }

  #assignment(): TopicPartition[] {
    return this.#consumer.assignment().filter(({ topic }) => this.#options.subscriptions.has(topic))
  }

  #isAssigned({ topic, partition }: TopicPartition): boolean {
    return this.#consumer.assignment().some((one) => one.topic === topic && one.partition === partition)
  }

  #byTopic(partitions: readonly TopicPartition[]): TopicPartitions[] {
    return [...groupByTopic(partitions)].map(([topic, entries]) => ({
      topic,
      partitions: entries.map(({ partition }) => partition).sort((a, b) => a - b),
    }))
  }

  // --- commits -------------------------------------------------------------------------------------------------------------------------

  /** What is resolved and not committed, if commits are automatic. A group that is rebalancing takes none; what is not committed is read again. */
  async autoCommit(): Promise<void> {
    if (this.#options.runConfig.autoCommit === false) return
    try {
      await this.commit(this.offsets.uncommittedByTopic())
    } catch (error) {
      if (!isRebalancing(error)) throw error
      this.#options.logger.debug('the group is rebalancing, and took no offsets', { error: (error as Error).message })
    }
  }

  /** @throws KafkaJSProtocolError REBALANCE_IN_PROGRESS and others */
  async commit({ topics }: { readonly topics: Offsets['topics'] }): Promise<void> {
    const { context, instrumentation, events, groupId } = this.#options
    const offsets = topics.flatMap(({ topic, partitions }) =>
      partitions.map(({ partition, offset, ...rest }) => {
        const { metadata } = rest as { readonly metadata?: string | null }
        return { topic, partition: Number(partition), offset: Number(offset), ...(metadata == null ? {} : { metadata }) }
      }),
    )
    if (offsets.length === 0) return
    const { generationId, memberId } = this.#consumer.groupMetadata()
    try {
      await this.#consumer.commit(offsets)
    } catch (error) {
      throw kafkaJSErrorOf(error)
    }
    const nowMs = context.clock.now()
    for (const { topic, partition, offset } of offsets) this.offsets.committed({ topic, partition }, offset, nowMs)
    instrumentation.emit(events.COMMIT_OFFSETS, { groupId, memberId, groupGenerationId: generationId, topics })
  }

  get identity(): { readonly memberId: string; readonly groupGenerationId: number } {
    const { generationId, memberId } = this.#consumer.groupMetadata()
    return { memberId, groupGenerationId: generationId }
  }

  // --- seek and pause ------------------------------------------------------------------------------------------------------------------

  hasSeek(partition: TopicPartition): boolean {
    return this.#seeks.has(partition)
  }

  /** @param offset -1: behind the last message, -2: the first. */
  seek(partition: TopicPartition, offset: number): void {
    this.#seeks.set(partition, offset)
    if (!this.#handled.has(partition)) this.#applySeek(partition)
  }

  /** False: there is nothing to seek, or it is not assigned. */
  #applySeek(partition: TopicPartition): boolean {
    const offset = this.#seeks.get(partition)
    if (offset === undefined || !this.#isAssigned(partition)) return false
    this.#seeks.delete(partition)
    if (offset >= 0) this.#goTo(partition, offset)
    this.#settleSeek(partition, offset).catch((error) => {
      this.#options.logger.error(`a seek failed: ${error.message}`, { ...partition, offset: String(offset) })
    })
    return true
  }

  async #settleSeek(partition: TopicPartition, offset: number): Promise<void> {
    let to = offset
    if (offset === EARLIEST || offset === LATEST) {
      this.#consumer.pause([partition])
      const found = offset === EARLIEST ? this.#consumer.beginningOffsets([partition]) : this.#consumer.endOffsets([partition])
      to = (await found).get(partition)!
      this.#goTo(partition, to)
      if (this.#isAssigned(partition) && !this.#pauses.has(partition)) this.#consumer.resume([partition])
    }
    if (this.#options.runConfig.autoCommit !== false) await this.#consumer.commit([{ ...partition, offset: to }])
  }

  pause(topics: readonly { readonly topic: string; readonly partitions?: readonly number[] }[]): void {
    for (const { topic, partitions } of topics) this.#pauses.pause(topic, partitions)
    this.#consumer.pause(this.#assignment().filter((partition) => this.#pauses.has(partition)))
  }

  resume(topics: readonly { readonly topic: string; readonly partitions?: readonly number[] }[]): void {
    for (const { topic, partitions } of topics) this.#pauses.resume(topic, partitions)
    this.#consumer.resume(this.#assignment().filter((partition) => !this.#pauses.has(partition)))
  }

  isPaused(partition: TopicPartition): boolean {
    return this.#pauses.has(partition)
  }

  paused(): TopicPartitions[] {
    return this.#byTopic(this.#assignment().filter((partition) => this.#pauses.has(partition)))
  }
}
