import { groupByTopic, type TopicPartition } from '../../topic-partition.ts'
import { assignorOf, PartitionAssigners } from './assigners.ts'
import { callTimeoutMs, type KafkaContext } from './client-options.ts'
import { KafkaJSCluster } from './cluster.ts'
import { ConsumerSession } from './consumer-session.ts'
import { type KafkaJSError, KafkaJSNonRetriableError, KafkaJSNumberOfRetriesExceeded } from './errors.ts'
import { GroupEvents } from './group-events.ts'
import { describeGroups } from './groups.ts'
import { Instrumentation, networkEvents } from './instrumentation.ts'
import { Link } from './link.ts'
import { checkedTopics, offsetOf, partitionOf, SPECIAL_OFFSETS } from './offset-arguments.ts'
import { type ResolvedRetry, resolveRetry, retryDefaults } from './retry.ts'
import type { Logger, TopicPartitionOffset, TopicPartitionOffsetAndMetadata } from './types-client.ts'
import type {
  Consumer,
  ConsumerConfig,
  ConsumerEvents,
  ConsumerEventsByName,
  ConsumerRunConfig,
  ConsumerSubscribeTopic,
  ConsumerSubscribeTopics,
} from './types-consumer.ts'
import type { Assigner, GroupDescription } from './types-group.ts'

const SESSION_TIMEOUT_MS = 30_000
/** Java's max.poll.interval.ms: kafkajs's rebalanceTimeout of a minute would put members with slow handlers out. */
const REBALANCE_TIMEOUT_MS = 300_000
const HEARTBEAT_INTERVAL_MS = 3000
const MAX_BYTES_PER_PARTITION = 1_048_576
const MAX_BYTES = 10_485_760
const READ_UNCOMMITTED = 0
const READ_COMMITTED = 1
/** Java's: with kafkajs's 5 s a partition that is resumed waits as long for a fetch of the others. */
const MAX_WAIT_MS = 500

const consumerEvents: ConsumerEvents = {
  ...networkEvents('consumer'),
  HEARTBEAT: 'consumer.heartbeat',
  COMMIT_OFFSETS: 'consumer.commit_offsets',
  GROUP_JOIN: 'consumer.group_join',
  FETCH_START: 'consumer.fetch_start',
  FETCH: 'consumer.fetch',
  START_BATCH_PROCESS: 'consumer.start_batch_process',
  END_BATCH_PROCESS: 'consumer.end_batch_process',
  STOP: 'consumer.stop',
  CRASH: 'consumer.crash',
  REBALANCING: 'consumer.rebalancing',
  RECEIVED_UNSUBSCRIBED_TOPICS: 'consumer.received_unsubscribed_topics',
}

/** @throws KafkaJSNonRetriableError without groupId, or when heartbeats are as rare as sessions are long */
export function createConsumer(context: KafkaContext, config: ConsumerConfig): Consumer {
  return new KafkaJSConsumer(context, config).interface
}

class KafkaJSConsumer {
  readonly interface: Consumer
  readonly #context: KafkaContext
  readonly #config: ConsumerConfig
  readonly #logger: Logger
  readonly #retry: ResolvedRetry
  readonly #instrumentation: Instrumentation<ConsumerEventsByName>
  readonly #groupEvents: GroupEvents
  readonly #link: Link<ConsumerEventsByName>
  readonly #cluster: KafkaJSCluster
  readonly #assigners: readonly Assigner[]
  readonly #subscriptions = new Map<string, boolean>()
  #session: ConsumerSession | undefined
  #stopping: Promise<void> | undefined
  #restart: { cancel(): void } | undefined

  constructor(context: KafkaContext, config: ConsumerConfig) {
    const { groupId, sessionTimeout = SESSION_TIMEOUT_MS, heartbeatInterval = HEARTBEAT_INTERVAL_MS, retry, metadataMaxAge } = config
    if (!groupId) throw new KafkaJSNonRetriableError('groupId of a consumer must be a text, and not an empty one')
    if (heartbeatInterval >= sessionTimeout) {
      throw new KafkaJSNonRetriableError(
        `heartbeatInterval (${heartbeatInterval}) must be lower than sessionTimeout (${sessionTimeout}), best by a factor of three`,
      )
    }
    this.#context = context
    this.#config = config
    this.#logger = context.logger.namespace('Consumer')
    // As in kafkajs, where retries of the Kafka object do not count for handlers.
    this.#retry = resolveRetry(retry ?? { retries: retryDefaults.retries }, context.config.retry)
    this.#instrumentation = new Instrumentation(consumerEvents, this.#logger, context.clock)
    this.#groupEvents = this.#makeGroupEvents()
    const { observer } = this.#groupEvents
    this.#link = new Link(context, this.#retry, consumerEvents, this.#instrumentation, { metadataMaxAge, observer })
    this.#cluster = new KafkaJSCluster({
      options: () => this.#link.options,
      observer: this.#link.network,
      retries: this.#link.retries,
      callTimeoutMs: () => this.#link.callTimeoutMs(),
      allowAutoTopicCreation: config.allowAutoTopicCreation ?? true,
      isolationLevel: config.readUncommitted ? READ_UNCOMMITTED : READ_COMMITTED,
    })
    const { partitionAssigners = [PartitionAssigners.roundRobin] } = config
    // Once, as in kafkajs: an assigner may remember things from one session to the next.
    this.#assigners = partitionAssigners.map((create) => create({ cluster: this.#cluster, groupId, logger: this.#logger }))
    this.interface = {
      connect: () => this.#connect(),
      disconnect: () => this.#disconnect(),
      subscribe: (subscription) => this.#subscribe(subscription),
      stop: () => this.#stop(),
      run: (runConfig) => this.#run(runConfig),
      commitOffsets: (offsets) => this.#commitOffsets(offsets),
      seek: (to) => this.#seek(to),
      describeGroup: () => this.#describeGroup(),
      pause: (topics) => {
        const checked = checkedTopics(topics)
        this.#running().pause(checked)
      },
      resume: (topics) => {
        const checked = checkedTopics(topics)
        this.#running().resume(checked)
      },
      paused: () => this.#session?.paused() ?? [],
      on: this.#instrumentation.on,
      logger: () => this.#logger,
      events: consumerEvents,
    }
  }

  #makeGroupEvents(): GroupEvents {
    const { groupId } = this.#config
    const emit = this.#instrumentation.emit.bind(this.#instrumentation)
    return new GroupEvents({
      heartbeat: () => {
        if (this.#session !== undefined) emit(consumerEvents.HEARTBEAT, { groupId, ...this.#session.identity })
      },
      rebalancing: () => emit(consumerEvents.REBALANCING, { groupId, memberId: this.#groupEvents.joined?.memberId ?? '' }),
      fetchStart: (nodeId) => emit(consumerEvents.FETCH_START, { nodeId }),
      // As in kafkajs 2, which counts none.
      fetched: (nodeId, duration) => emit(consumerEvents.FETCH, { numberOfBatches: 0, duration, nodeId }),
    })
  }

  // --- connection ----------------------------------------------------------------------------------------------------------------------

  async #connect(): Promise<void> {
    await this.#link.connect()
    this.#instrumentation.emit(consumerEvents.CONNECT, null)
  }

  async #disconnect(): Promise<void> {
    await this.#stop()
    await this.#cluster.disconnect()
    await this.#link.close()
    this.#instrumentation.emit(consumerEvents.DISCONNECT, null)
  }

  // --- subscription --------------------------------------------------------------------------------------------------------------------

  async #subscribe({ topic, topics, fromBeginning = false }: Partial<ConsumerSubscribeTopic & ConsumerSubscribeTopics>): Promise<void> {
    if (this.#session !== undefined) throw new KafkaJSNonRetriableError('a consumer that is running cannot subscribe to further topics')
    if (!topic && !topics) throw new KafkaJSNonRetriableError('topics is missing')
    if (topics != null && !Array.isArray(topics)) throw new KafkaJSNonRetriableError('topics must be an array')
    const wanted: readonly (string | RegExp)[] = topics ?? [topic!]
    for (const one of wanted) {
      if (typeof one === 'string' || (one as unknown) instanceof RegExp) continue
      throw new KafkaJSNonRetriableError(`${one} (${typeof one}) is no topic: it must be a text or a RegExp`)
    }
    const existing = wanted.some((one) => one instanceof RegExp) ? await this.#existingTopics() : []
    const names = wanted.flatMap((one) => (one instanceof RegExp ? existing.filter((name) => matches(one, name)) : [one]))
    const before = new Map(this.#subscriptions)
    // At once, as in kafkajs: run() may follow without waiting.
    for (const name of names) this.#subscriptions.set(name, fromBeginning)
    try {
      await this.#link.open()
      // Has what is missing created, where the broker does so.
      if (names.length > 0) await this.#cluster.addMultipleTargetTopics(names)
    } catch (error) {
      for (const name of names.filter((one) => !before.has(one))) this.#subscriptions.delete(name)
      throw error
    }
  }

  #existingTopics(): Promise<string[]> {
    return this.#link.try(async () => (await this.#link.admin.listTopics({ includeInternal: true })).map(({ name }) => name))
  }

  // --- running -------------------------------------------------------------------------------------------------------------------------

  async #run(runConfig: ConsumerRunConfig = {}): Promise<void> {
    if (this.#session !== undefined) {
      this.#logger.warn('run() was called while the consumer is running', { groupId: this.#config.groupId })
      return
    }
    await this.#start(runConfig)
  }

  async #start(runConfig: ConsumerRunConfig): Promise<void> {
    const { groupId } = this.#config
    this.#logger.info('starting', { groupId })
    try {
      // Without a pause when it is: seek() and pause() may follow run() at once.
      if (!this.#link.isOpen) await this.#link.connect()
    } catch (error) {
      await this.#crashed(error as Error, runConfig)
      return
    }
    const session = new ConsumerSession({
      context: this.#context,
      logger: this.#context.logger.namespace('ConsumerGroup'),
      groupId,
      retry: this.#retry,
      consumerOptions: this.#consumerOptions(),
      runConfig,
      subscriptions: this.#subscriptions,
      events: consumerEvents,
      instrumentation: this.#instrumentation,
      groupEvents: this.#groupEvents,
      onCrash: (error) => {
        this.#crashed(error, runConfig).catch((failure) =>
          this.#logger.error(`a crash could not be dealt with: ${failure.message}`, { groupId }),
        )
      },
    })
    this.#session = session
    this.#instrumentation.emit(consumerEvents.CONNECT, null)
    await session.start()
  }

  #consumerOptions() {
    const { options } = this.#link
    const {
      groupId,
      sessionTimeout = SESSION_TIMEOUT_MS,
      rebalanceTimeout = REBALANCE_TIMEOUT_MS,
      heartbeatInterval = HEARTBEAT_INTERVAL_MS,
      rackId,
    } = this.#config
    const context = {
      cluster: this.#cluster,
      topics: () => [...this.#subscriptions.keys()],
      onAssignment: (assignment: readonly TopicPartition[]) => this.#session?.received(assignment),
    }
    return {
      ...options,
      groupId,
      sessionTimeoutMs: sessionTimeout,
      maxPollIntervalMs: rebalanceTimeout,
      heartbeatIntervalMs: heartbeatInterval,
      partitionAssignmentStrategy: this.#assigners.map((assigner) => assignorOf(assigner, context)),
      maxPartitionFetchBytes: this.#config.maxBytesPerPartition ?? MAX_BYTES_PER_PARTITION,
      fetchMinBytes: this.#config.minBytes ?? 1,
      fetchMaxBytes: this.#config.maxBytes ?? MAX_BYTES,
      fetchMaxWaitMs: this.#config.maxWaitTimeInMs ?? MAX_WAIT_MS,
      isolationLevel: this.#config.readUncommitted ? ('read_uncommitted' as const) : ('read_committed' as const),
      allowAutoCreateTopics: this.#config.allowAutoTopicCreation ?? true,
      defaultApiTimeoutMs: callTimeoutMs(this.#retry, options.requestTimeoutMs),
      ...(rackId ? { clientRack: rackId } : {}),
    }
  }

  /** Calls at the same time share one stop. */
  #stop(): Promise<void> {
    this.#stopping ??= this.#stopNow().finally(() => {
      this.#stopping = undefined
    })
    return this.#stopping
  }

  async #stopNow(): Promise<void> {
    this.#restart?.cancel()
    this.#restart = undefined
    const session = this.#session
    if (session !== undefined) {
      await session.stop()
      this.#session = undefined
      this.#instrumentation.emit(consumerEvents.STOP, null)
    }
    this.#logger.info('stopped', { groupId: this.#config.groupId })
  }

  /** Ends the session, and begins another one later when that may help and the user does not mind. */
  async #crashed(error: Error, runConfig: ConsumerRunConfig): Promise<void> {
    const { groupId } = this.#config
    const { retryCount, retryTime } = error as Partial<KafkaJSNumberOfRetriesExceeded>
    this.#logger.error(`the consumer has crashed: ${error.name}: ${error.message}`, { groupId, retryCount, stack: error.stack })
    await this.#disconnect()
    const restart = await this.#shallRestart(error)
    this.#instrumentation.emit(consumerEvents.CRASH, { error, groupId, restart })
    if (!restart) return
    const afterMs = retryTime || this.#retry.initialRetryTime
    this.#logger.error(`the consumer starts again in ${afterMs} ms`, { groupId, retryCount, retryTime: afterMs })
    this.#restart = this.#context.clock.setTimer(afterMs, () => {
      this.#restart = undefined
      this.#start(runConfig).catch((failure) => this.#logger.error(`the consumer could not start again: ${failure.message}`, { groupId }))
    })
  }

  async #shallRestart(error: Error): Promise<boolean> {
    let cause: unknown = error
    while (cause instanceof Error && cause.cause) cause = cause.cause
    const isWorthIt = error instanceof KafkaJSNumberOfRetriesExceeded || (cause as Partial<KafkaJSError>).retriable === true
    const ask = this.#config.retry?.restartOnFailure ?? this.#context.config.retry?.restartOnFailure
    if (!isWorthIt || ask === undefined) return isWorthIt
    try {
      return await ask(error)
    } catch (failure) {
      this.#logger.error('restartOnFailure failed, and the consumer starts again', { error: failure, groupId: this.#config.groupId })
      return true
    }
  }

  // --- the running consumer --------------------------------------------------------------------------------------------------------------

  #running(): ConsumerSession {
    if (this.#session === undefined) throw new KafkaJSNonRetriableError('the consumer has no group yet: call run() first')
    return this.#session
  }

  async #commitOffsets(offsets: readonly TopicPartitionOffsetAndMetadata[] = []): Promise<void> {
    const checked = offsets.map(({ topic, partition, offset, metadata = null }) => {
      if (metadata !== null && typeof metadata !== 'string') {
        throw new KafkaJSNonRetriableError(`metadata of an offset must be a text or null, and not ${metadata}`)
      }
      return { topic, partition: partitionOf(topic, partition), offset: String(offsetOf(offset)), metadata }
    })
    const topics = [...groupByTopic(checked)].map(([topic, entries]) => ({
      topic,
      partitions: entries.map(({ partition, offset, metadata }) => ({ partition, offset, metadata })),
    }))
    const session = this.#running()
    if (session.isRunning) await session.commit({ topics })
  }

  #seek({ topic, partition, offset }: TopicPartitionOffset): void {
    const to = { topic, partition: partitionOf(topic, partition) }
    this.#running().seek(to, offsetOf(offset, SPECIAL_OFFSETS))
  }

  async #describeGroup(): Promise<GroupDescription> {
    const [group] = await this.#link.try(() => describeGroups(this.#link.admin, [this.#config.groupId]))
    return group!
  }
}

/** A global or sticky pattern would remember where it stopped. */
const matches = ({ source, flags }: RegExp, name: string): boolean => new RegExp(source, flags.replace(/[gy]/g, '')).test(name)
