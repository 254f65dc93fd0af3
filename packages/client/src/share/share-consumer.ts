import { setMaxListeners } from 'node:events'
import { libuvOffload, silentLogger, systemClock, systemRandom } from '@tidelog/core'
import { Cluster } from '../cluster/cluster.ts'
import type { ShareConsumerConfig } from '../config/share-consumer-config.ts'
import { needsEagerDecoding } from '../consumer/consumer-record.ts'
import { GroupCoordinator } from '../consumer/group-coordinator.ts'
import { Notifier } from '../consumer/notifier.ts'
import { Stretch } from '../consumer/stretch.ts'
import { type ClientError, ClosedError, IllegalStateError, InvalidOptionError, PartialFailureError } from '../errors.ts'
import type { Metric } from '../metrics.ts'
import { type MetricForSubscription, Telemetry } from '../telemetry/telemetry.ts'
import { PartitionMap, partitionName, type TopicPartition } from '../topic-partition.ts'
import { before, type Deadline, until, type WaitOptions } from '../wait.ts'
import type { AcknowledgementOutcome, AcknowledgeType } from './acknowledgements.ts'
import type { HeldRecord, RecordSource } from './held-record.ts'
import { resolveShareConsumerOptions, type ShareConsumerOptions } from './share-consumer-options.ts'
import { ShareFetcher } from './share-fetcher.ts'
import { type AssignedTopic, ShareMembership } from './share-membership.ts'
import { ShareMetrics } from './share-metrics.ts'
import { ShareRecord, type ShareRecordOwner } from './share-record.ts'
import type { SharedPartition } from './share-session.ts'

/** What a share consumer's poll() takes. */
export interface SharePollOptions extends WaitOptions {
  /** How long to wait for records when there are none; until there are some when absent. */
  readonly timeoutMs?: number
  /** `maxPollRecords` when absent. */
  readonly maxRecords?: number
}

/** What a share consumer's run() takes. */
export interface ShareRunOptions<K, V> {
  /** Handles one record; awaited. When it resolves, the record is accepted (implicit mode); in explicit mode it has acknowledged the record. */
  readonly eachRecord: (record: ShareRecord<K, V>, context: { readonly signal: AbortSignal }) => void | Promise<void>
  /** How many records are handled at a time, in no order; 1 when absent. */
  readonly concurrency?: number | undefined
  /** What becomes of a record whose handler has thrown. When absent, it is released, and run() throws what the handler threw. */
  readonly onError?: ((error: unknown, record: ShareRecord<K, V>) => AcknowledgeType) | undefined
  /**
   * Renews the acquisition locks of what this run holds, so that handlers may take longer than `acquisitionLockTimeoutMs`: true when absent. Brokers before Kafka 4.2 cannot, and give the record
   * to somebody else then. KIP-1222.
   */
  readonly renewLocks?: boolean | undefined
  /** Ends the run: running handlers are waited for, and nothing is thrown. */
  readonly signal?: AbortSignal | undefined
}

const DEFAULT_CLOSE_TIMEOUT_MS = 10_000
const MEMBER_ID_BYTES = 16
/** How many records go by between two looks at the clock. */
const RECORDS_PER_LOOK = 16

/**
 * A member of a share group (KIP-932, Kafka 4.2 and later): the members share the records of their topics, each record goes to one of them at a time, and comes again, to
 * whoever is next, unless it is accepted or rejected. Nothing is in order, no member has partitions to itself. Heartbeats go on while records are processed.
 */
export class ShareConsumer<K = Buffer, V = Buffer> {
  readonly #cluster: Cluster
  readonly #config: ShareConsumerConfig
  readonly #isExplicit: boolean
  readonly #decodesEagerly: boolean
  readonly #onAcknowledged: ((outcome: AcknowledgementOutcome) => void) | undefined
  readonly #membership: ShareMembership
  readonly #fetcher: ShareFetcher<K, V>
  readonly #metrics: ShareMetrics
  readonly #telemetry: Telemetry
  readonly #notifier: Notifier
  readonly #owner: ShareRecordOwner<K, V>
  #subscription: readonly string[] | undefined
  #assigned: readonly AssignedTopic[] = []
  /** What is assigned and known by name. */
  #partitions: readonly SharedPartition[] = []
  /** Handed out, and nothing said for good. */
  readonly #handedOut = new Map<ShareRecord<K, V>, RecordSource>()
  /** Acknowledgements that had no effect since the last commit(). */
  #failed = new PartitionMap<ClientError>()
  #failure: { readonly error: unknown } | undefined
  #reader: string | undefined
  #readerEnded: Promise<unknown> = Promise.resolve()
  readonly #stopping = new AbortController()
  #closing: Promise<void> | undefined

  /** @throws InvalidOptionError that names the option. */
  constructor(options: ShareConsumerOptions<K, V>) {
    const { config, groupId, deserializers } = resolveShareConsumerOptions(options)
    const { clock = systemClock, random = systemRandom, logger = silentLogger, observer } = options
    const base = { client: 'share consumer', config, clock, random, logger, observer, connection: options }
    const cluster = new Cluster({ ...base, allowAutoTopicCreation: false })
    this.#cluster = cluster
    this.#metrics = new ShareMetrics(clock)
    this.#config = config
    this.#isExplicit = config['share.acknowledgement.mode'] === 'explicit'
    this.#decodesEagerly = needsEagerDecoding(deserializers)
    this.#onAcknowledged = options.onAcknowledged
    this.#notifier = new Notifier(clock)
    this.#owner = {
      acknowledge: (record, type) => this.#acknowledgeByUser(record, type),
      renew: (record) => this.#renew(record),
    }
    const memberId = Buffer.from(random.bytes(MEMBER_ID_BYTES)).toString('base64url')
    this.#fetcher = new ShareFetcher<K, V>({
      cluster,
      config,
      memberId,
      deserializers,
      offload: libuvOffload(),
      metrics: this.#metrics,
      partitions: () => this.#partitions,
      notify: () => this.#notifier.notify(),
      onAcknowledged: (outcome) => this.#acknowledged(outcome),
      onError: (error) => this.#report(error),
    })
    this.#membership = new ShareMembership({
      cluster,
      coordinator: new GroupCoordinator(cluster, groupId),
      memberId,
      rackId: config['client.rack'] === '' ? null : config['client.rack'],
      metrics: this.#metrics.group,
      onAssigned: (topics) => this.#assign(topics),
      onRefused: () => this.#notifier.notify(),
    })
    const labels = () => ({ client_rack: config['client.rack'], group_id: groupId, group_member_id: memberId })
    this.#telemetry = new Telemetry({ cluster, metrics: () => this.metrics(), labels })
    cluster.onMetadata(() => this.#resolve())
  }

  // --- what to read ------------------------------------------------------------------------------------------------------------------

  /** Joins the group with these topics; a further call changes them. */
  subscribe(topics: readonly string[] | string): void {
    this.#checkOpen()
    const names = typeof topics === 'string' ? [topics] : [...new Set(topics)]
    if (names.length === 0 || names.includes('')) throw new InvalidOptionError('subscribe() needs names of topics')
    this.#subscription = names
    this.#cluster.setInterest(names)
    this.#cluster.requestRefresh()
    this.#membership.subscribe(names)
  }

  /** Topics subscribed to. */
  subscription(): readonly string[] {
    return this.#subscription ?? []
  }

  /** Leaves the group: what has been acknowledged is sent, everything else is released. */
  async unsubscribe({ timeoutMs = this.#config['default.api.timeout.ms'] }: { readonly timeoutMs?: number } = {}): Promise<void> {
    this.#checkOpen()
    const deadline = this.#cluster.deadline(timeoutMs)
    this.#subscription = undefined
    this.#cluster.setInterest([])
    await this.#leave(deadline)
  }

  /** Partitions that this member shares with others at the moment. */
  assignment(): TopicPartition[] {
    return this.#partitions.map(({ topic, partition }) => ({ topic, partition }))
  }

  /** How long a record that was acquired is this member's, as brokers say with every answer; undefined before the first. */
  get acquisitionLockTimeoutMs(): number | undefined {
    return this.#fetcher.acquisitionLockTimeoutMs
  }

  // --- reading -----------------------------------------------------------------------------------------------------------------------

  /**
   * The next records, at most `maxRecords`, waiting up to `timeoutMs` for the first. In implicit mode this accepts what the poll before has handed out.
   * @throws IllegalStateError in explicit mode, when records of the poll before are not acknowledged
   * @throws UnsupportedVersionError from brokers without share groups; BrokerError of the group; CorruptRecordError; the signal's reason; ClosedError
   */
  async poll({ timeoutMs, maxRecords = this.#config['max.poll.records'], signal }: SharePollOptions = {}): Promise<ShareRecord<K, V>[]> {
    signal?.throwIfAborted()
    const end = this.#read('poll()')
    try {
      if (!this.#isExplicit) for (const record of [...this.#handedOut.keys()]) this.#acknowledge(record, 'accept')
      this.#checkAcknowledged()
      const deadline = timeoutMs === undefined ? undefined : this.#cluster.deadline(timeoutMs)
      const records: ShareRecord<K, V>[] = []
      for (let record = await this.#next(deadline, signal); record !== undefined; record = this.#take()) {
        records.push(record)
        if (records.length >= maxRecords) break
      }
      for (const record of records) await this.#decode(record)
      return records
    } finally {
      end()
    }
  }

  /**
   * Records one by one, until `signal` aborts, which ends the loop quietly, or the consumer closes. In implicit mode a record is accepted when the loop comes
   * back for the next one; a loop that breaks or throws leaves its last record to somebody else.
   * @throws as poll()
   */
  async *records({ signal }: WaitOptions = {}): AsyncGenerator<ShareRecord<K, V>, void, undefined> {
    const end = this.#read('records()')
    const stretch = new Stretch(this.#cluster.clock, RECORDS_PER_LOOK)
    let current: ShareRecord<K, V> | undefined
    try {
      for (;;) {
        if (current !== undefined && this.#handedOut.has(current)) {
          if (this.#isExplicit) this.#checkAcknowledged()
          else this.#acknowledge(current, 'accept')
        }
        if (stretch.isOver()) await stretch.breathe()
        current = await this.#nextQuietly(signal)
        if (current === undefined) return
        yield current
      }
    } finally {
      // The loop has left: for somebody else to try.
      if (current !== undefined && this.#handedOut.has(current)) this.#acknowledge(current, 'release')
      end()
    }
  }

  /**
   * Hands records to a handler, several at a time if that is wished for, until `signal` aborts or the consumer closes.
   * @throws what a handler throws, unless there is `onError`; else as poll()
   */
  async run(options: ShareRunOptions<K, V>): Promise<void> {
    const end = this.#read('run()')
    if (options.renewLocks !== false) this.#fetcher.keepLocks(() => this.#held())
    const running = this.#run(options)
    this.#readerEnded = running.catch(nothing)
    try {
      await running
    } finally {
      this.#fetcher.keepLocks(undefined)
      end()
    }
  }

  /** Handed out, and nothing said for good. */
  *#held(): Generator<HeldRecord> {
    for (const [{ offset }, source] of this.#handedOut) yield { ...source, offset }
  }

  async #run({ eachRecord, concurrency = 1, onError, signal }: ShareRunOptions<K, V>): Promise<void> {
    if (!(Number.isInteger(concurrency) && concurrency >= 1))
      throw new InvalidOptionError('concurrency must be a whole number of 1 or more')
    const stop = new AbortController()
    const stopped = AbortSignal.any([stop.signal, this.#stopping.signal, ...(signal === undefined ? [] : [signal])])
    // Every worker listens, and so may its handler.
    setMaxListeners(0, stopped, this.#stopping.signal)
    let failure: { readonly error: unknown } | undefined
    const handle = async (record: ShareRecord<K, V>) => {
      try {
        await eachRecord(record, { signal: stopped })
        if (this.#isExplicit && this.#handedOut.has(record)) throw new IllegalStateError(`the handler of ${record} has not acknowledged it`)
        if (this.#handedOut.has(record)) this.#acknowledge(record, 'accept')
      } catch (error) {
        if (this.#handedOut.has(record)) this.#acknowledge(record, onError?.(error, record) ?? 'release')
        if (onError === undefined) throw error
      }
    }
    const worker = async () => {
      try {
        for (let record = await this.#nextQuietly(stopped); record !== undefined; record = await this.#nextQuietly(stopped))
          await handle(record)
      } catch (error) {
        failure ??= { error }
        stop.abort()
      }
    }
    await Promise.all(Array.from({ length: concurrency }, worker))
    if (failure !== undefined) throw failure.error
  }

  /** As #next, and undefined when a signal aborts or the consumer closes. */
  async #nextQuietly(signal: AbortSignal | undefined): Promise<ShareRecord<K, V> | undefined> {
    try {
      const record = await this.#next(undefined, signal)
      if (record !== undefined) await this.#decode(record)
      return record
    } catch (error) {
      if (signal?.aborted || error instanceof ClosedError) return undefined
      throw error
    }
  }

  /** The next record, acquired if there is none; undefined when the deadline passes. */
  async #next(deadline: Deadline | undefined, signal: AbortSignal | undefined): Promise<ShareRecord<K, V> | undefined> {
    signal?.throwIfAborted()
    this.#throwFailure()
    const ready = this.#take()
    if (ready !== undefined) return ready
    // Several handlers may wait: that is one poll.
    if (this.#waiting++ === 0) this.#metrics.polls.began()
    try {
      for (;;) {
        this.#throwFailure()
        const record = this.#take()
        if (record !== undefined) return record
        if (deadline?.expired) return undefined
        this.#fetcher.want(true)
        await this.#notifier.wait(deadline?.remainingMs ?? Number.POSITIVE_INFINITY, signal, this.#stopping.signal, this.#cluster.closing)
      }
    } finally {
      if (--this.#waiting === 0) {
        this.#metrics.polls.ended()
        this.#fetcher.want(false)
      }
    }
  }
  #waiting = 0

  #take(): ShareRecord<K, V> | undefined {
    const taken = this.#fetcher.take()
    if (taken === undefined) return undefined
    const { record, deliveryCount, ...source } = taken
    const shared = new ShareRecord(record, deliveryCount, this.#owner)
    this.#handedOut.set(shared, source)
    return shared
  }

  async #decode(record: ShareRecord<K, V>): Promise<void> {
    if (this.#decodesEagerly) await record.decode()
  }

  // --- acknowledging -----------------------------------------------------------------------------------------------------------------

  /**
   * Sends what has been acknowledged, in implicit mode all that the last poll() has handed out, and waits until brokers have taken it.
   * @throws the failure of a partition, or PartialFailureError, when an acknowledgement since the last commit() has had no effect: the records will come again
   */
  async commit({
    timeoutMs = this.#config['default.api.timeout.ms'],
    signal,
  }: WaitOptions & { readonly timeoutMs?: number } = {}): Promise<void> {
    this.#checkOpen()
    signal?.throwIfAborted()
    if (!this.#isExplicit && this.#reader === undefined)
      for (const record of [...this.#handedOut.keys()]) this.#acknowledge(record, 'accept')
    const outcomes = await before(
      until(this.#fetcher.flush(), signal, this.#cluster.closing),
      this.#cluster.clock,
      this.#cluster.deadline(timeoutMs),
      'commit',
    )
    const failures = new Map<string, ClientError>()
    for (const [partition, error] of this.#failed) failures.set(partitionName(partition), error)
    this.#failed = new PartitionMap()
    if (failures.size === 0) return
    const succeeded = outcomes.map(partitionName).filter((name) => !failures.has(name))
    if (failures.size === 1 && succeeded.length === 0) throw [...failures.values()][0]!
    throw new PartialFailureError('commit', failures, [...new Set(succeeded)])
  }

  #acknowledgeByUser(record: ShareRecord<K, V>, type: AcknowledgeType): void {
    this.#checkExplicit(record)
    this.#acknowledge(record, type)
  }

  async #renew(record: ShareRecord<K, V>): Promise<void> {
    await this.#fetcher.renew(this.#checkExplicit(record), record.offset)
  }

  #checkExplicit(record: ShareRecord<K, V>): RecordSource {
    this.#checkOpen()
    if (!this.#isExplicit)
      throw new IllegalStateError(`${record} cannot be acknowledged one by one: the share consumer's acknowledgement is implicit`)
    const source = this.#handedOut.get(record)
    if (source === undefined) throw new IllegalStateError(`${record} has been acknowledged already`)
    return source
  }

  #acknowledge(record: ShareRecord<K, V>, type: AcknowledgeType): void {
    const source = this.#handedOut.get(record)!
    this.#handedOut.delete(record)
    this.#fetcher.acknowledge(source, record.offset, type)
  }

  #acknowledged(outcome: AcknowledgementOutcome): void {
    if (outcome.error !== undefined) this.#failed.set(outcome, outcome.error)
    try {
      this.#onAcknowledged?.(outcome)
    } catch (error) {
      this.#report(error)
    }
  }

  /** @throws IllegalStateError in explicit mode, when something that was handed out has not been acknowledged */
  #checkAcknowledged(): void {
    const [record] = this.#handedOut.keys()
    if (record !== undefined)
      throw new IllegalStateError(`${record} has not been acknowledged: acknowledge what was handed out before asking for more`)
  }

  // --- the group ---------------------------------------------------------------------------------------------------------------------

  #assign(topics: readonly AssignedTopic[]): void {
    this.#assigned = topics
    this.#resolve()
  }

  /** Topics are assigned by id: their names come with the metadata. */
  #resolve(): void {
    const { metadata } = this.#cluster
    const before = this.#partitions
    const named = this.#assigned.flatMap(({ topicId, partitions }) => {
      const topic = metadata.nameOf(topicId)
      return topic === undefined ? [] : partitions.map((partition) => ({ topicId, topic, partition }))
    })
    if (this.#assigned.some(({ topicId }) => metadata.nameOf(topicId) === undefined)) this.#cluster.requestRefresh()
    const keyOf = ({ topicId, partition }: SharedPartition) => `${topicId}/${partition}`
    if (named.map(keyOf).sort().join() === before.map(keyOf).sort().join()) return
    this.#partitions = named
    this.#fetcher.assignmentChanged()
  }

  // --- state -------------------------------------------------------------------------------------------------------------------------

  /** Values now, by Kafka's names. */
  metrics(): Metric[] {
    return this.#metrics.snapshot(this.#config['client.id'], this.#cluster)
  }

  /** Pushed to brokers that subscribe to it, besides what the share consumer counts itself. KIP-1076. @throws InvalidOptionError */
  registerMetricForSubscription(metric: MetricForSubscription): void {
    this.#checkOpen()
    this.#telemetry.register(metric)
  }

  /** Takes back what registerMetricForSubscription() has been given. */
  unregisterMetricFromSubscription(metric: Pick<MetricForSubscription, 'group' | 'name' | 'tags'>): void {
    this.#telemetry.unregister(metric)
  }

  /** What brokers call this consumer (KIP-714). @throws IllegalStateError unless `enableMetricsPush`; UnsupportedVersionError where none takes metrics; TimeoutError */
  async clientInstanceId({ timeoutMs, signal }: WaitOptions & { readonly timeoutMs?: number } = {}): Promise<string> {
    this.#checkOpen()
    const limitMs = timeoutMs ?? this.#config['default.api.timeout.ms']
    return this.#telemetry.clientInstanceId({ deadline: this.#cluster.deadline(limitMs), signal })
  }

  /**
   * Sends what has been acknowledged, releases what has not, and leaves the group, within `timeoutMs` (10 s); never throws. Idempotent. A running run() is
   * waited for as long.
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
    const deadline = this.#cluster.deadline(timeoutMs)
    this.#stopping.abort(new ClosedError('share consumer'))
    await before(this.#readerEnded, clock, deadline, 'close').catch(nothing)
    await this.#fetcher.stop(deadline)
    await this.#membership.leave(deadline)
    this.#handedOut.clear()
    await this.#telemetry.close(deadline)
    this.#cluster.close()
  }

  async #leave(deadline: Deadline): Promise<void> {
    this.#assigned = []
    this.#partitions = []
    await this.#fetcher.endSessions(deadline)
    this.#handedOut.clear()
    await this.#membership.leave(deadline)
  }

  #report(error: unknown): void {
    this.#failure ??= { error }
    this.#notifier.notify()
  }

  #throwFailure(): void {
    this.#membership.check()
    const failure = this.#failure
    this.#failure = undefined
    if (failure !== undefined) throw failure.error
    this.#checkOpen()
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new ClosedError('share consumer')
  }

  #read(name: string): () => void {
    this.#checkOpen()
    if (this.#subscription === undefined) throw new IllegalStateError(`${name} needs subscribe()`)
    if (this.#reader !== undefined)
      throw new IllegalStateError(`${name} while ${this.#reader} reads: a share consumer has one reader at a time`)
    this.#reader = name
    return () => {
      this.#reader = undefined
    }
  }
}

const nothing = (): void => {}
