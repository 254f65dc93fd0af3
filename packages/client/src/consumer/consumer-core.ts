import { libuvOffload, messageOf, silentLogger, systemClock, systemRandom, type Timer, ZERO_UUID } from '@tidelog/core'
import { Cluster } from '../cluster/cluster.ts'
import type { ConsumerConfig } from '../config/consumer-config.ts'
import { type ClientError, ClosedError, CommitFailedError, IllegalStateError, InvalidOptionError, NoOffsetError } from '../errors.ts'
import { type OffsetAndMetadata, PartitionMap, type TopicPartition } from '../topic-partition.ts'
import { ConsumerInterceptors, InterceptedTaker } from './consumer-interceptor.ts'
import { ConsumerMetrics } from './consumer-metrics.ts'
import { type ConsumerOptions, type RebalanceListener, resolveConsumerOptions } from './consumer-options.ts'
import { needsEagerDecoding } from './consumer-record.ts'
import { Fetcher } from './fetcher.ts'
import { GroupCoordinator } from './group-coordinator.ts'
import { ClassicMembership } from './membership/classic-membership.ts'
import { ConsumerMembership } from './membership/consumer-membership.ts'
import type { GroupMembershipOperation, Membership } from './membership/membership.ts'
import { Notifier } from './notifier.ts'
import { OffsetCommitter } from './offset-committer.ts'
import { PartitionState } from './partition-state.ts'
import { PollInterval } from './poll-interval.ts'
import type { Position } from './position.ts'
import { PositionResolver } from './position-resolver.ts'
import { PositionValidator } from './position-validator.ts'
import { RecordTaker } from './record-taker.ts'
import { checkTopics, interestOf, type Subscription, topicsOf } from './subscription.ts'
import { UserTurn } from './user-turn.ts'

const NO_MEMBER = { generationId: -1, memberId: '', groupInstanceId: null } as const

/**
 * What all ways of reading share: assignment, positions, fetched records, membership. `advance` and `take` do the work;
 * poll(), the iterators and run() decide when.
 */
export class ConsumerCore<K, V> {
  readonly config: ConsumerConfig
  readonly cluster: Cluster
  readonly metrics: ConsumerMetrics
  /** What has been fetched. */
  readonly taker: RecordTaker<K, V>
  /** Who has the word. */
  readonly turn: UserTurn
  readonly notifier: Notifier
  readonly committer: OffsetCommitter | undefined
  /** run() stops the handlers of partitions here before they go. */
  beforeRevoke: ((partitions: readonly PartitionState<K, V>[]) => Promise<void>) | undefined
  /** Records are decoded before they are handed out: a deserializer may return a promise. */
  readonly decodesEagerly: boolean
  readonly #options: ReturnType<typeof resolveConsumerOptions<K, V>>
  readonly #coordinator: GroupCoordinator | undefined
  readonly #interceptors: ConsumerInterceptors<K, V> | undefined
  readonly #resolver: PositionResolver
  readonly #fetcher: Fetcher<K, V>
  #states = new PartitionMap<PartitionState<K, V>>()
  /** The same, as a list. */
  #order: readonly PartitionState<K, V>[] = []
  #subscription: Subscription | undefined
  #listener: RebalanceListener = {}
  #membership: Membership | undefined
  #errors: ClientError[] = []
  /** Of the metadata that named a topic which cannot be read. */
  #refusedAtVersion = -1
  #commitTimer: Timer | undefined
  #isCommitting = false
  #isClosing = false
  readonly #pollInterval: PollInterval
  /** A handler's: run() has several pieces of the user's code at a time. */
  oldestHandlerSinceMs: (() => number | undefined) | undefined

  constructor(options: ConsumerOptions<K, V>) {
    const resolved = resolveConsumerOptions(options)
    const { config, deserializers } = resolved
    const { clock = systemClock, random = systemRandom, logger = silentLogger, observer } = options
    this.#options = resolved
    this.config = config
    this.notifier = new Notifier(clock)
    const allowAutoTopicCreation = config['allow.auto.create.topics']
    const base = { client: 'consumer', config, clock, random, logger, observer, connection: options }
    const cluster = new Cluster({ ...base, allowAutoTopicCreation })
    this.cluster = cluster
    this.metrics = new ConsumerMetrics(clock)
    this.#pollInterval = new PollInterval({
      clock,
      limitMs: config['max.poll.interval.ms'],
      busySinceMs: () => this.#busySinceMs(),
      onOver: () => this.#membership?.pollIntervalOver(),
    })
    this.turn = new UserTurn(clock, () => this.watchTurn())
    this.decodesEagerly = needsEagerDecoding(deserializers)
    const groupId = config['group.id']
    const notify = () => this.notifier.notify()
    if (groupId !== null) {
      this.#coordinator = new GroupCoordinator(cluster, groupId)
      this.committer = new OffsetCommitter({
        cluster,
        coordinator: this.#coordinator,
        metrics: this.metrics,
        identity: () => this.#membership?.identity ?? NO_MEMBER,
        topicIdOf: (partition) => this.#topicIdOf(partition),
        asksAsMember: config['group.protocol'] === 'consumer',
        onMembershipLost: (error, generationId) => this.#membership?.lost(error, generationId) ?? true,
      })
    }
    const onError = (error: ClientError) => this.#report(error)
    const partitions = () => this.#states.values()
    this.#resolver = new PositionResolver({ cluster, config, committer: this.committer, partitions, onError, notify })
    const validator = new PositionValidator({ cluster, policy: () => this.#resolver.policy(), onError, notify: () => this.wake() })
    this.#fetcher = new Fetcher({
      cluster,
      config,
      validator,
      deserializers,
      offload: libuvOffload(),
      metrics: this.metrics,
      partitions,
      notify,
      onError,
      onOutOfRange: (state) => this.#outOfRange(state),
    })
    const onDrained = (state: PartitionState) => {
      this.metrics.look(state)
      this.#fetcher.wake()
    }
    const taking = { notify, onDrained }
    const { interceptors = [] } = options
    if (interceptors.length > 0) this.#interceptors = new ConsumerInterceptors(interceptors, logger)
    this.taker = this.#interceptors === undefined ? new RecordTaker(taking) : new InterceptedTaker(taking, this.#interceptors)
    cluster.onMetadata(() => {
      this.#membership?.onMetadata()
      notify()
    })
  }

  // --- subscription and assignment ---------------------------------------------------------------------------------------------------

  get states(): PartitionMap<PartitionState<K, V>> {
    return this.#states
  }

  get membership(): Membership | undefined {
    return this.#membership
  }

  get coordinator(): GroupCoordinator {
    if (this.#coordinator === undefined) throw new InvalidOptionError('groupId is missing: groups and commits need one')
    return this.#coordinator
  }

  /** Topics subscribed to by name, and those that a pattern matches: under a pattern of the coordinator's, as far as they are assigned. */
  subscribedTopics(): readonly string[] {
    const subscription = this.#subscription
    if (subscription !== undefined && 'serverPattern' in subscription) return [...new Set(this.#order.map(({ topic }) => topic))]
    return topicsOf(subscription, this.cluster.metadata, this.config['exclude.internal.topics'])
  }

  subscribe(what: Subscription, listener: RebalanceListener): void {
    if (this.#subscription === undefined && this.#states.size > 0)
      throw new IllegalStateError('assign() was called: unsubscribe() before subscribe()')
    const { coordinator } = this
    if ('serverPattern' in what && this.config['group.protocol'] === 'classic')
      throw new InvalidOptionError("SubscriptionPattern needs groupProtocol: 'consumer'; a RegExp works with both protocols")
    this.#subscription = what
    this.#listener = listener
    this.cluster.setInterest(interestOf(what))
    for (const { topic } of this.#order) this.cluster.addInterest(topic)
    this.cluster.requestRefresh()
    if (this.#membership === undefined) this.#membership = this.#newMembership(coordinator)
    else this.#membership.rejoin('the subscription has changed')
    this.#armCommit()
  }

  #newMembership(coordinator: GroupCoordinator): Membership {
    const { cluster, config, metrics } = this
    const options = {
      cluster,
      config,
      coordinator,
      metrics,
      topics: () => topicsOf(this.#subscription, cluster.metadata, config['exclude.internal.topics']),
      serverPattern: () =>
        this.#subscription !== undefined && 'serverPattern' in this.#subscription ? this.#subscription.serverPattern : null,
      busySinceMs: () => this.#busySinceMs(),
      notify: () => this.notifier.notify(),
      actions: {
        owned: () => [...this.#states.keys()],
        revoke: (partitions: readonly TopicPartition[]) => this.#revoke(partitions),
        lose: (partitions: readonly TopicPartition[]) => this.#lose(partitions),
        assign: (partitions: readonly TopicPartition[]) => this.#assigned(partitions),
      },
    }
    if (config['group.protocol'] === 'consumer') return new ConsumerMembership(options)
    return new ClassicMembership({ ...options, assignors: this.#options.assignors })
  }

  #busySinceMs(): number | undefined {
    return this.oldestHandlerSinceMs?.() ?? this.turn.sinceMs()
  }

  /** A turn of the user's code lasts, or a handler of run() begins. */
  watchTurn(): void {
    if (this.#membership !== undefined) this.#pollInterval.begin()
  }

  /** @throws IllegalStateError without subscription, and where the coordinator alone decides */
  enforceRebalance(reason: string): void {
    if (this.config['group.protocol'] === 'consumer')
      throw new IllegalStateError("enforceRebalance() is of the classic protocol: under groupProtocol 'consumer' the coordinator decides")
    if (this.#membership === undefined) throw new IllegalStateError('enforceRebalance() needs subscribe() first')
    this.#membership.rejoin(reason)
  }

  /** Partitions of one's own choice, in place of those before. */
  assign(partitions: readonly TopicPartition[]): void {
    if (this.#subscription !== undefined) throw new IllegalStateError('subscribe() was called: unsubscribe() before assign()')
    const states = new PartitionMap<PartitionState<K, V>>()
    for (const { topic, partition } of partitions) {
      const key = { topic, partition }
      states.set(key, this.#states.get(key) ?? new PartitionState(key))
    }
    this.#setStates(states)
    this.#forgetTopics()
    this.cluster.setInterest(partitions.map(({ topic }) => topic))
    this.cluster.requestRefresh()
    this.#armCommit()
    this.notifier.notify()
  }

  /** Leaves the group, or drops the assignment. */
  async unsubscribe(): Promise<void> {
    await this.leave('the consumer has unsubscribed', this.config['request.timeout.ms'], 'default')
    this.#subscription = undefined
    this.#membership = undefined
    this.#setStates(new PartitionMap())
    this.#forgetTopics()
    this.cluster.setInterest([])
  }

  stateOf(partition: TopicPartition): PartitionState<K, V> {
    const state = this.#states.get(partition)
    if (state === undefined) throw new IllegalStateError(`${partition.topic}-${partition.partition} is not assigned to this consumer`)
    return state
  }

  #setStates(states: PartitionMap<PartitionState<K, V>>): void {
    for (const [partition, state] of this.#states) if (states.get(partition) !== state) this.metrics.look(state)
    this.#states = states
    this.#order = [...states.values()]
    this.taker.setPartitions(this.#order)
  }

  /** Not while a rebalance has taken the partitions away that it may give back: what is counted of a topic would begin anew. */
  #forgetTopics(): void {
    this.metrics.keepTopics(new Set(this.#order.map(({ topic }) => topic)))
  }

  async #assigned(partitions: readonly TopicPartition[]): Promise<void> {
    const states = new PartitionMap(this.#states)
    for (const partition of partitions) states.set(partition, new PartitionState(partition))
    this.#setStates(states)
    this.#forgetTopics()
    for (const { topic } of partitions) this.cluster.addInterest(topic)
    if (partitions.some(({ topic }) => this.cluster.metadata.topic(topic) === undefined)) this.cluster.requestRefresh()
    await this.#tell('assigned', this.#listener.onAssigned, partitions)
  }

  async #revoke(partitions: readonly TopicPartition[]): Promise<void> {
    await this.#stopHandlers(partitions)
    if (this.config['enable.auto.commit']) {
      await this.#commitConsumed(this.config['request.timeout.ms']).catch((error) => {
        this.cluster.logger.warn('offsets could not be committed before partitions go', { reason: messageOf(error) })
      })
    }
    try {
      await this.#tell('revoked', this.#listener.onRevoked, partitions)
    } finally {
      this.#drop(partitions)
    }
  }

  async #lose(partitions: readonly TopicPartition[]): Promise<void> {
    await this.#stopHandlers(partitions)
    try {
      await this.#tellLost(partitions)
    } finally {
      this.#drop(partitions)
    }
  }

  #tellLost(partitions: readonly TopicPartition[]): Promise<void> {
    return this.#tell('lost', this.#listener.onLost ?? this.#listener.onRevoked, partitions)
  }

  /** @throws what the listener throws */
  async #tell(what: 'assigned' | 'revoked' | 'lost', callback: RebalanceListener['onLost'], partitions: readonly TopicPartition[]) {
    const listener = this.#listener
    if (callback !== undefined) await this.metrics.group.callback(what, () => callback.call(listener, partitions))
  }

  async #stopHandlers(partitions: readonly TopicPartition[]): Promise<void> {
    if (this.beforeRevoke === undefined) return
    const states = partitions.map((partition) => this.#states.get(partition)).filter((state) => state !== undefined)
    await this.beforeRevoke(states)
  }

  #drop(partitions: readonly TopicPartition[]): void {
    const states = new PartitionMap(this.#states)
    for (const partition of partitions) {
      // Whatever is on its way to it, or still held of it, is nobody's.
      states.get(partition)?.reset(undefined)
      states.delete(partition)
    }
    this.#setStates(states)
  }

  // --- reading -----------------------------------------------------------------------------------------------------------------------

  /** advance() would do something, or throw. */
  get needsAttention(): boolean {
    return this.#errors.length > 0 || this.#isClosing || (this.#membership?.needsAttention ?? false)
  }

  /** Moves the rebalance on, looks positions up, fetches. @throws what has gone wrong since, once; what a listener throws */
  async advance(): Promise<void> {
    if (this.#isClosing) throw new ClosedError('consumer')
    const error = this.#errors.shift()
    if (error !== undefined) throw error
    if (this.#membership !== undefined) {
      if (this.cluster.metadata.version === 0 && 'regExp' in this.#subscription!) {
        this.cluster.requestRefresh()
        return
      }
      if (!this.#mayReadTopics()) return
      await this.#membership.advance()
    }
    this.#resolver.ensure()
    this.#fetcher.wake()
  }

  /**
   * False: a topic could not be read, which has been thrown; it may have been mended since, so newer metadata is waited for, and not the same said again.
   * @throws BrokerError for a topic that cannot be read
   */
  #mayReadTopics(): boolean {
    const { metadata } = this.cluster
    try {
      checkTopics(this.subscribedTopics(), metadata)
      return true
    } catch (error) {
      this.cluster.requestRefresh()
      if (this.#refusedAtVersion === metadata.version) return false
      this.#refusedAtVersion = metadata.version
      throw error
    }
  }

  /** After pause, resume, seek: something else can be fetched now. */
  wake(): void {
    this.#resolver.ensure()
    this.#fetcher.wake()
    this.notifier.notify()
  }

  #outOfRange(state: PartitionState<K, V>): void {
    const policy = this.#resolver.policy()
    const { topic, partition } = state
    if (policy === undefined) {
      state.notBeforeMs = this.cluster.clock.monotonic() + this.cluster.config['retry.backoff.ms']
      if (!this.#errors.some((error) => error.code === 'OFFSET_OUT_OF_RANGE'))
        this.#report(new NoOffsetError('OFFSET_OUT_OF_RANGE', [{ topic, partition }]))
      return
    }
    const reset = typeof policy === 'object' ? 'by duration' : policy
    this.cluster.logger.info('the position is out of range and is reset', { topic, partition, offset: state.fetchOffset, reset })
    state.lookUp(policy)
    this.wake()
  }

  #report(error: ClientError): void {
    // The user may not read for a while; what is repeated meanwhile is one error.
    if (!this.#errors.some(({ message }) => message === error.message)) this.#errors.push(error)
    this.notifier.notify()
  }

  // --- commits -----------------------------------------------------------------------------------------------------------------------

  /** Subscribed, and not, or no longer, in the group. */
  get #isOutside(): boolean {
    return this.#membership !== undefined && this.#membership.identity.generationId < 0
  }

  /** Everything handed out so far counts as done: what poll() means. */
  consumeAll(): void {
    for (const state of this.#order) if (state.position !== undefined) state.consumed = state.position
  }

  /** @throws CommitFailedError, BrokerError, TimeoutError, the signal's reason */
  async commit(offsets: readonly (TopicPartition & OffsetAndMetadata)[], timeoutMs: number, signal?: AbortSignal): Promise<void> {
    const { committer } = this
    if (committer === undefined) throw new InvalidOptionError('groupId is missing: groups and commits need one')
    // Without a generation the coordinator would take it for a commit from outside of the group, and an empty group takes those.
    if (this.#isOutside) {
      const { groupId } = this.coordinator
      throw new CommitFailedError(`this consumer is no member of group ${groupId} at the moment: its offsets were not committed`)
    }
    const deadline = this.cluster.deadline(timeoutMs)
    // What the user commits is done, also what the last poll brought: an automatic commit must not take it back.
    for (const { topic, partition, offset, leaderEpoch = -1 } of offsets) {
      const state = this.#states.get({ topic, partition })
      if (state?.consumed !== undefined && state.consumed.offset < offset) state.consumed = { offset, leaderEpoch }
    }
    await committer.commit(offsets, { deadline, what: 'commit', signal })
    this.#interceptors?.onCommit(offsets)
    for (const { topic, partition, offset } of offsets) {
      const state = this.#states.get({ topic, partition })
      if (state !== undefined) state.committed = offset
    }
  }

  #topicIdOf(partition: TopicPartition): string | undefined {
    const topicId = this.#states.get(partition)?.topicId ?? this.cluster.metadata.topic(partition.topic)?.topicId
    return topicId === ZERO_UUID ? undefined : topicId
  }

  /** Where the user is with each partition, as commit() takes it. */
  positions(): (TopicPartition & OffsetAndMetadata)[] {
    return this.#order.flatMap(({ topic, partition, position }) =>
      position === undefined ? [] : [{ topic, partition, ...asOffset(position) }],
    )
  }

  async #commitConsumed(timeoutMs: number): Promise<void> {
    if (this.committer === undefined || this.#isOutside) return
    const offsets = this.#order.flatMap(({ topic, partition, consumed, committed }) =>
      consumed === undefined || consumed.offset === committed ? [] : [{ topic, partition, ...asOffset(consumed) }],
    )
    if (offsets.length > 0) await this.commit(offsets, timeoutMs)
  }

  #armCommit(): void {
    if (!this.config['enable.auto.commit'] || this.committer === undefined || this.#commitTimer !== undefined) return
    this.#commitTimer = this.cluster.clock.setTimer(this.config['auto.commit.interval.ms'], () => {
      this.#commitTimer = undefined
      if (this.cluster.closed) return
      this.#armCommit()
      if (this.#isCommitting) return
      this.#isCommitting = true
      this.#commitConsumed(this.config['default.api.timeout.ms'])
        .catch((error) => {
          if (!this.cluster.closed) this.cluster.logger.warn('an automatic commit failed', { reason: messageOf(error) })
        })
        .finally(() => {
          this.#isCommitting = false
        })
    })
  }

  // --- end ---------------------------------------------------------------------------------------------------------------------------

  /** From now on nothing is handed out: whoever reads meets a ClosedError. */
  beginClose(): void {
    this.#isClosing = true
    this.notifier.notify()
  }

  /** Gives up the assignment: commits what is due, tells the listener, leaves the group. Errors are logged; the time is bounded. */
  async leave(reason: string, timeoutMs: number, operation: GroupMembershipOperation): Promise<void> {
    const deadline = this.cluster.deadline(timeoutMs)
    this.#commitTimer?.cancel()
    this.#commitTimer = undefined
    const owned = [...this.#states.keys()]
    try {
      if (this.config['enable.auto.commit']) await this.#commitConsumed(deadline.remainingMs)
    } catch (error) {
      this.cluster.logger.warn('offsets could not be committed at the end', { reason: messageOf(error) })
    }
    if (this.#membership === undefined) return
    if (owned.length > 0) {
      try {
        if (this.#isOutside) await this.#tellLost(owned)
        else await this.#tell('revoked', this.#listener.onRevoked, owned)
      } catch (error) {
        this.cluster.logger.warn('a rebalance listener failed at the end', { reason: messageOf(error) })
      }
      this.#drop(owned)
    }
    await this.#membership.leave(reason, deadline, operation)
  }

  /** Nothing more is fetched, and the brokers know it. */
  stopFetching(): Promise<void> {
    return this.#fetcher.stop()
  }

  close(): void {
    this.#commitTimer?.cancel()
    this.#pollInterval.stop()
    this.cluster.close()
    this.notifier.notify()
  }
}

const asOffset = ({ offset, leaderEpoch }: Position): OffsetAndMetadata => (leaderEpoch >= 0 ? { offset, leaderEpoch } : { offset })
