import { Metadata } from '@tidelog/protocol'
import { type FoundOffset, listOffsets, type OffsetSpec } from '../cluster/list-offsets.ts'
import { type PartitionInfo, partitionInfoOf } from '../cluster/metadata-cache.ts'
import { ClosedError, IllegalStateError, InvalidOptionError } from '../errors.ts'
import type { Metric } from '../metrics.ts'
import { type MetricForSubscription, Telemetry } from '../telemetry/telemetry.ts'
import { type OffsetAndMetadata, PartitionMap, partitionName, type TopicPartition } from '../topic-partition.ts'
import { before, Deadline, type WaitOptions } from '../wait.ts'
import type { ConsumedBatch } from './consumed-batch.ts'
import { ConsumerCore } from './consumer-core.ts'
import type { ConsumerOptions, RebalanceListener } from './consumer-options.ts'
import { type ConsumerRecord, decodeAll } from './consumer-record.ts'
import type { GroupMembershipOperation } from './membership/membership.ts'
import { PartitionRunner, type RunOptions } from './partition-runner.ts'
import { PolledRecords } from './polled-records.ts'
import { BatchStream, RecordStream, type StreamOptions } from './record-streams.ts'
import { Stretch } from './stretch.ts'
import { type SubscriptionPattern, subscriptionOf } from './subscription.ts'

/** What calls of a consumer take that ask the cluster. */
export interface CallOptions extends WaitOptions {
  /** Limit of the call; `defaultApiTimeoutMs` when absent. */
  readonly timeoutMs?: number
}

/** What poll() takes. */
export interface PollOptions extends WaitOptions {
  /** How long to wait for records when there are none; until there are some when absent. */
  readonly timeoutMs?: number
  /** `maxPollRecords` when absent. */
  readonly maxRecords?: number
}

/** What close() takes. */
export interface CloseOptions {
  /** 10,000 when absent. */
  readonly timeoutMs?: number
  /** Whether the member leaves its group; KIP-1092. When absent, a static member stays, others leave. */
  readonly groupMembershipOperation?: GroupMembershipOperation
}

/** Which member of which group a consumer is, for a transaction that commits its offsets. KIP-447. */
export interface ConsumerGroupMetadata {
  readonly groupId: string
  /** The member epoch under `groupProtocol: 'consumer'`; -1: no member so far. */
  readonly generationId: number
  readonly memberId: string
  readonly groupInstanceId: string | null
}

const DEFAULT_CLOSE_TIMEOUT_MS = 10_000

/**
 * Reads records of topics, as a member of a group (`subscribe`) or of partitions of its own choice (`assign`), in one of four ways: `poll`,
 * `records`, `batches` or `run`. Heartbeats go on while records are processed; rebalances happen when the next records are asked for.
 */
export class Consumer<K = Buffer, V = Buffer> {
  readonly #core: ConsumerCore<K, V>
  readonly #telemetry: Telemetry
  /** As which member it is known, or was before it left. */
  #memberId = ''
  #reader: string | undefined
  #readerEnded: Promise<unknown> = Promise.resolve()
  #stopRun: AbortController | undefined
  #lastPolled = false
  readonly #pollStretch: Stretch
  #closing: Promise<void> | undefined

  /** @throws InvalidOptionError that names the option. */
  constructor(options: ConsumerOptions<K, V>) {
    this.#core = new ConsumerCore(options)
    const { cluster } = this.#core
    this.#telemetry = new Telemetry({ cluster, metrics: () => this.metrics(), labels: () => this.#labels() })
    this.#pollStretch = new Stretch(this.#core.cluster.clock)
  }

  // --- what to read ------------------------------------------------------------------------------------------------------------------

  /**
   * Joins the group with these topics, or all whose name a pattern matches, at the next read. A RegExp is matched by this client, which looks for
   * new topics every `metadataMaxAgeMs`; a SubscriptionPattern by the coordinator. A further call changes the subscription.
   * @throws InvalidOptionError without groupId, IllegalStateError after assign()
   */
  subscribe(topics: readonly string[] | string | RegExp | SubscriptionPattern, listener: RebalanceListener = {}): void {
    this.#checkOpen()
    this.#core.subscribe(subscriptionOf(topics), listener)
  }

  /**
   * Has the group rebalance at the next read, for an assignor that goes by more than the subscriptions. Classic protocol only.
   * @throws IllegalStateError
   */
  enforceRebalance(reason = 'the user asks for a rebalance'): void {
    this.#checkOpen()
    this.#core.enforceRebalance(reason)
  }

  /** Reads these partitions, in place of those before; needs no group. @throws IllegalStateError after subscribe() */
  assign(partitions: readonly TopicPartition[]): void {
    this.#checkOpen()
    this.#core.assign(partitions)
  }

  /** Leaves the group, after a last automatic commit, or drops the assignment. */
  unsubscribe(): Promise<void> {
    this.#checkOpen()
    return this.#core.unsubscribe()
  }

  /** Partitions that are assigned now. */
  assignment(): TopicPartition[] {
    return [...this.#core.states.keys()]
  }

  /** Topics subscribed to; for a pattern, those that match now. */
  subscription(): readonly string[] {
    return this.#core.subscribedTopics()
  }

  // --- reading -----------------------------------------------------------------------------------------------------------------------

  /**
   * The next records, at most `maxRecords`, waiting up to `timeoutMs` for the first. Asking again says that those before are done: automatic
   * commits include them from then on.
   * @throws NoOffsetError, CorruptRecordError, BrokerError of the group; what a rebalance listener throws; the signal's reason; ClosedError
   */
  async poll({ timeoutMs, maxRecords = this.#core.config['max.poll.records'], signal }: PollOptions = {}): Promise<PolledRecords<K, V>> {
    this.#checkOpen()
    signal?.throwIfAborted()
    const core = this.#core
    const end = this.#read('poll()')
    core.metrics.polls.began()
    core.turn.end()
    if (this.#lastPolled) core.consumeAll()
    this.#lastPolled = true
    const { clock, closing } = core.cluster
    const deadline = timeoutMs === undefined ? undefined : new Deadline(clock, timeoutMs)
    try {
      for (;;) {
        if (this.#pollStretch.isOver()) await this.#pollStretch.breathe()
        await core.advance()
        const records: ConsumerRecord<K, V>[] = []
        core.taker.take(maxRecords, records)
        const decoding = core.decodesEagerly ? decodeAll(records) : undefined
        if (decoding !== undefined) await decoding
        if (records.length > 0 || deadline?.expired) return new PolledRecords(records)
        await core.notifier.wait(deadline?.remainingMs ?? Number.POSITIVE_INFINITY, signal, closing)
        this.#pollStretch.restart()
        signal?.throwIfAborted()
      }
    } finally {
      core.metrics.polls.ended()
      core.turn.begin()
      end()
    }
  }

  /**
   * Records one by one, until the signal aborts (its reason is thrown) or the consumer closes (the loop ends). A record is done when the
   * loop asks for the next: automatic commits go up to there, never beyond. @throws as poll()
   */
  records({ signal }: WaitOptions = {}): AsyncIterableIterator<ConsumerRecord<K, V>> {
    return new RecordStream(this.#core, this.#streamOptions('records()', signal))
  }

  /** As records(), in batches of one partition, each of at most `maxPollRecords`. */
  batches({ signal }: WaitOptions = {}): AsyncIterableIterator<ConsumedBatch<K, V>> {
    return new BatchStream(this.#core, this.#streamOptions('batches()', signal), (offsets) => this.commit(offsets))
  }

  /**
   * Calls a handler for each record, or each batch, in order within each partition, partitions beside each other: a slow one holds up no
   * other. Resolves when the signal aborts or the consumer closes, after the running handlers. @throws what a handler throws; as poll()
   */
  async run(options: RunOptions<K, V>): Promise<void> {
    this.#checkOpen()
    const stop = new AbortController()
    const runner = new PartitionRunner(this.#core, { ...options, signal: stop.signal }, (offsets) => this.commit(offsets))
    const end = this.#read('run()')
    const { signal } = options
    const onAbort = () => stop.abort(signal?.reason)
    if (signal?.aborted) onAbort()
    else signal?.addEventListener('abort', onAbort, { once: true })
    this.#stopRun = stop
    const running = runner.run()
    this.#readerEnded = running.catch(() => {})
    try {
      await running
    } catch (error) {
      if (!(error instanceof ClosedError && this.#closing !== undefined)) throw error
    } finally {
      signal?.removeEventListener('abort', onAbort)
      this.#stopRun = undefined
      end()
    }
  }

  // --- positions ---------------------------------------------------------------------------------------------------------------------

  /** As committed() gives it: with the leader epoch, a log that was truncated since is noticed (KIP-320). */
  seek(partition: TopicPartition, to: OffsetAndMetadata): void
  /** Goes on from `offset`. @throws IllegalStateError for a partition that is not assigned */
  seek(partition: TopicPartition, offset: number): void
  seek(partition: TopicPartition, to: number | OffsetAndMetadata): void {
    const { offset, leaderEpoch = -1 } = typeof to === 'number' ? { offset: to } : to
    if (!Number.isSafeInteger(offset) || offset < 0) throw new InvalidOptionError(`seek: ${offset} is no offset`)
    this.#core.stateOf(partition).seek({ offset, leaderEpoch })
    this.#core.wake()
  }

  /** Goes on from the first record there is; of all assigned partitions when none are given. */
  seekToBeginning(partitions: readonly TopicPartition[] = this.assignment()): void {
    this.#reset(partitions, 'earliest')
  }

  /** Goes on behind the last record there is, under read_committed behind the last stable one. */
  seekToEnd(partitions: readonly TopicPartition[] = this.assignment()): void {
    this.#reset(partitions, 'latest')
  }

  /** Hands out no records of these partitions until resume(); they stay assigned. @throws IllegalStateError for one that is not */
  pause(partitions: readonly TopicPartition[]): void {
    for (const partition of partitions) this.#core.stateOf(partition).isPaused = true
  }

  /** Hands out their records again. @throws IllegalStateError for a partition that is not assigned */
  resume(partitions: readonly TopicPartition[]): void {
    for (const partition of partitions) this.#core.stateOf(partition).isPaused = false
    this.#core.wake()
  }

  /** Partitions that pause() holds back. */
  paused(): TopicPartition[] {
    return [...this.#core.states].filter(([, { isPaused }]) => isPaused).map(([partition]) => partition)
  }

  /** Offset of the next record, looked up when it is not known yet. @throws IllegalStateError, NoOffsetError, TimeoutError */
  async position(partition: TopicPartition, { timeoutMs, signal }: CallOptions = {}): Promise<number> {
    const core = this.#core
    const deadline = core.cluster.deadline(timeoutMs ?? core.config['default.api.timeout.ms'])
    const what = `the position of ${partitionName(partition)}`
    const lookUp = async () => {
      for (;;) {
        const { position } = core.stateOf(partition)
        if (position !== undefined) return position.offset
        if (this.#reader === undefined) await core.advance()
        else core.wake()
        await core.notifier.wait(Math.min(deadline.remainingMs, LOOK_AGAIN_MS), signal, core.cluster.closing)
      }
    }
    return before(lookUp(), core.cluster.clock, deadline, what)
  }

  /** -1: unknown, nothing has been fetched yet. */
  highWatermark(partition: TopicPartition): number {
    return this.#core.stateOf(partition).highWatermark
  }

  /**
   * How many offsets the position is behind the end of what may be read, as the last fetch told it: the last stable offset under
   * read_committed, else the high watermark. undefined: nothing has been fetched yet. @throws IllegalStateError
   */
  currentLag(partition: TopicPartition): number | undefined {
    return this.#core.stateOf(partition).lag
  }

  #reset(partitions: readonly TopicPartition[], to: OffsetSpec): void {
    for (const partition of partitions) this.#core.stateOf(partition).reset(to)
    this.#core.wake()
  }

  // --- commits -----------------------------------------------------------------------------------------------------------------------

  /**
   * Stores offsets as where the group goes on; without any, the position behind everything that has been handed out.
   * @throws CommitFailedError when the group has gone on without this consumer; BrokerError; TimeoutError; the signal's reason
   */
  commit(
    offsets: Iterable<TopicPartition & OffsetAndMetadata> = this.#core.positions(),
    { timeoutMs, signal }: CallOptions = {},
  ): Promise<void> {
    const { metrics, config } = this.#core
    const limit = timeoutMs ?? config['default.api.timeout.ms']
    return metrics.measured('commit-sync', () => this.#core.commit([...offsets], limit, signal))
  }

  /** What the group has committed; partitions without an offset are left out. */
  async committed(
    partitions: readonly TopicPartition[],
    { timeoutMs, signal }: CallOptions = {},
  ): Promise<PartitionMap<OffsetAndMetadata>> {
    this.#checkOpen()
    const core = this.#core
    if (core.committer === undefined) throw new InvalidOptionError('groupId is missing: groups and commits need one')
    const deadline = core.cluster.deadline(timeoutMs ?? core.config['default.api.timeout.ms'])
    const requireStable = core.config['isolation.level'] === 'read_committed'
    const { committer } = core
    return core.metrics.measured('committed', () =>
      committer.fetch(partitions, requireStable, { deadline, what: 'committed offsets', signal }),
    )
  }

  // --- the cluster -------------------------------------------------------------------------------------------------------------------

  /** Offsets of the first records there are. */
  async beginningOffsets(partitions: readonly TopicPartition[], options: CallOptions = {}): Promise<PartitionMap<number>> {
    return this.#offsets(
      partitions.map((partition) => ({ ...partition, spec: 'earliest' })),
      options,
    )
  }

  /** Offsets behind the last records there are; under read_committed, behind the last stable ones. */
  async endOffsets(partitions: readonly TopicPartition[], options: CallOptions = {}): Promise<PartitionMap<number>> {
    return this.#offsets(
      partitions.map((partition) => ({ ...partition, spec: 'latest' })),
      options,
    )
  }

  /** Of each partition, the first record with that timestamp (ms) or a later one; partitions without one are left out. */
  async offsetsForTimes(
    times: readonly (TopicPartition & { readonly timestamp: number })[],
    options: CallOptions = {},
  ): Promise<PartitionMap<FoundOffset>> {
    const queries = times.map(({ topic, partition, timestamp }) => ({ topic, partition, spec: { timestamp } }))
    const found = await this.#find(queries, options)
    return new PartitionMap([...found].filter(([, { offset }]) => offset >= 0))
  }

  /** Every topic that this client may see, with its partitions. */
  async topics({ timeoutMs, signal }: CallOptions = {}): Promise<Map<string, readonly PartitionInfo[]>> {
    this.#checkOpen()
    const { cluster, config } = this.#core
    const deadline = cluster.deadline(timeoutMs ?? config['default.api.timeout.ms'])
    const response = await cluster.requestAny(
      Metadata,
      (version) => ({ topics: version === 0 ? [] : null, allowAutoTopicCreation: false }),
      { deadline, what: 'topics', signal },
    )
    return new Map(
      response.topics
        .filter(({ errorCode, name }) => errorCode === 0 && name !== null)
        .map(({ name, partitions }) => [
          name!,
          partitions.map((partition) => partitionInfoOf(name!, partition)).sort((a, b) => a.partition - b.partition),
        ]),
    )
  }

  /** The topic's partitions, with leader and replicas. @throws TimeoutError, BrokerError */
  async partitionsFor(topic: string, { timeoutMs, signal }: CallOptions = {}): Promise<readonly PartitionInfo[]> {
    this.#checkOpen()
    const { cluster, config } = this.#core
    const deadline = cluster.deadline(timeoutMs ?? config['default.api.timeout.ms'])
    return (await cluster.topic(topic, { deadline, signal })).partitions
  }

  /** Which member this is, or was when it was given its partitions last: what a transaction commits is refused once they are another's. */
  groupMetadata(): ConsumerGroupMetadata {
    const { groupId } = this.#core.coordinator
    const { membership } = this.#core
    return { groupId, ...(membership?.transactionIdentity ?? { generationId: -1, memberId: '', groupInstanceId: null }) }
  }

  /** Values now, by Kafka's names; partitions and topics as far as they are assigned. */
  metrics(): Metric[] {
    const { metrics, config, cluster, states } = this.#core
    return metrics.snapshot(config['client.id'], cluster, states.values(), config['group.protocol'] === 'classic')
  }

  /** Pushed to brokers that subscribe to it, besides what the consumer counts itself. KIP-1076. @throws InvalidOptionError */
  registerMetricForSubscription(metric: MetricForSubscription): void {
    this.#checkOpen()
    this.#telemetry.register(metric)
  }

  /** Takes back what registerMetricForSubscription() has been given. */
  unregisterMetricFromSubscription(metric: Pick<MetricForSubscription, 'group' | 'name' | 'tags'>): void {
    this.#telemetry.unregister(metric)
  }

  /**
   * What brokers call this consumer where they take its metrics (KIP-714).
   * @throws IllegalStateError unless `enableMetricsPush`; UnsupportedVersionError where no broker takes metrics; TimeoutError
   */
  async clientInstanceId({ timeoutMs, signal }: CallOptions = {}): Promise<string> {
    this.#checkOpen()
    const { cluster, config } = this.#core
    return this.#telemetry.clientInstanceId({ deadline: cluster.deadline(timeoutMs ?? config['default.api.timeout.ms']), signal })
  }

  // --- end ---------------------------------------------------------------------------------------------------------------------------

  /**
   * Ends what reads, commits what is done, leaves the group and closes the connections, within `timeoutMs` (10 s) or little more. Idempotent:
   * the second call gives the first one's promise. Whether it leaves the group, `groupMembershipOperation` says (KIP-1092); when absent, a
   * static member (`groupInstanceId`) stays in it until its session times out, others leave.
   */
  close({ timeoutMs = DEFAULT_CLOSE_TIMEOUT_MS, groupMembershipOperation = 'default' }: CloseOptions = {}): Promise<void> {
    this.#closing ??= this.#close(timeoutMs, groupMembershipOperation)
    return this.#closing
  }

  /** close(), for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(timeoutMs: number, operation: GroupMembershipOperation): Promise<void> {
    const core = this.#core
    const { clock } = core.cluster
    const deadline = new Deadline(clock, timeoutMs)
    core.beginClose()
    this.#stopRun?.abort(new ClosedError('consumer'))
    await before(this.#readerEnded, clock, deadline, 'close').catch(() => {})
    // The last poll's records are done, as far as can be told; a loop has said for itself what is done.
    if (this.#lastPolled) core.consumeAll()
    const left = Promise.all([core.leave('the consumer is closing', deadline.remainingMs, operation), core.stopFetching()])
    await before(left, clock, deadline, 'close').catch(() => {})
    await this.#telemetry.close(deadline)
    core.close()
  }

  // --- helpers -----------------------------------------------------------------------------------------------------------------------

  #labels(): Readonly<Record<string, string | null>> {
    const { config, membership } = this.#core
    this.#memberId = membership?.identity.memberId || this.#memberId
    return {
      client_rack: config['client.rack'],
      group_id: config['group.id'],
      group_instance_id: config['group.instance.id'],
      group_member_id: this.#memberId,
    }
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new ClosedError('consumer')
  }

  /** One reader at a time: two would tear the order of each partition apart. @returns what ends it */
  #read(name: string): () => void {
    if (this.#reader !== undefined) throw new IllegalStateError(`${name} while ${this.#reader} reads: a consumer has one reader at a time`)
    this.#reader = name
    this.#lastPolled = name === 'poll()' && this.#lastPolled
    return () => {
      this.#reader = undefined
    }
  }

  #streamOptions(name: string, signal: AbortSignal | undefined): StreamOptions {
    this.#checkOpen()
    return { signal, onStart: () => this.#read(name) }
  }

  async #offsets(
    queries: readonly (TopicPartition & { readonly spec: OffsetSpec })[],
    options: CallOptions,
  ): Promise<PartitionMap<number>> {
    const found = await this.#find(queries, options)
    return new PartitionMap([...found].map(([partition, { offset }]) => [partition, offset]))
  }

  async #find(
    queries: readonly (TopicPartition & { readonly spec: OffsetSpec })[],
    { timeoutMs, signal }: CallOptions,
  ): Promise<PartitionMap<FoundOffset>> {
    this.#checkOpen()
    const { cluster, config } = this.#core
    const deadline = cluster.deadline(timeoutMs ?? config['default.api.timeout.ms'])
    const isolationLevel = config['isolation.level']
    const outcomes = await listOffsets(cluster, queries, { deadline, what: 'offsets', signal, isolationLevel })
    const found = new PartitionMap<FoundOffset>()
    for (const [index, { value, error }] of outcomes.entries()) {
      if (error !== undefined) throw error
      found.set(queries[index]!, value)
    }
    return found
  }
}

/** Positions are looked up in the background; a look now and then finds what woke somebody else. */
const LOOK_AGAIN_MS = 100
