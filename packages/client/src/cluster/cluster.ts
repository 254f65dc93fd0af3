import { type Clock, type Logger, messageOf, type Random, type Timer } from '@tidelog/core'
import { type ExchangeObserver, type Resolver, systemResolver } from '@tidelog/net'
import {
  type Api,
  DescribeCluster,
  errorName,
  errorTable,
  FindCoordinator,
  Metadata,
  type MetadataResponse,
  type RequestInput,
  type ResponseOf,
} from '@tidelog/protocol'
import type { CommonConfig } from '../config/client-config.ts'
import { BrokerError, ClosedError, checkErrorCode, DisconnectedError, isFatal, isRetriable, TimeoutError } from '../errors.ts'
import { type ConnectionOptions, resolveSecurity } from '../security/security.ts'
import { backoffMs, before, Deadline, sleep, until, type WaitOptions } from '../wait.ts'
import type { BrokerAddress, BrokerConnection, SendOptions } from './broker-connection.ts'
import { BrokerSearch } from './broker-search.ts'
import { ConnectionPool, type Purpose } from './connection-pool.ts'
import { type BrokerNode, MetadataCache, type TopicInfo } from './metadata-cache.ts'
import type { Outcome } from './outcome.ts'
import type { RequestCounts } from './request-counts.ts'

export interface ClusterOptions {
  /** Names the client in errors: `producer`, `consumer`, `admin`. */
  readonly client: string
  readonly config: CommonConfig
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly observer?: ExchangeObserver | undefined
  readonly connection: ConnectionOptions
  /** Names and addresses; the system's when absent. */
  readonly resolver?: Resolver
  /** Whether asking for a missing topic may create it. */
  readonly allowAutoTopicCreation: boolean
  /** Talk to KRaft's controllers, these to begin with, and to no broker. KIP-919. */
  readonly bootstrapControllers?: readonly string[] | undefined
}

export interface RetryOptions extends WaitOptions {
  readonly deadline: Deadline
  /** Names the attempt in the TimeoutError. */
  readonly what: string
  /** Whether to try again; the errors that say they are retriable when absent. */
  readonly retryIf?: (error: unknown) => boolean
  readonly maxRetries?: number
}

/** What a coordinator may coordinate, with FindCoordinator's code of it. */
const coordinatorTypeCodes = { group: 0, 'transactional id': 1 } as const
export type CoordinatorType = keyof typeof coordinatorTypeCodes
const OLDEST_FIND_OF_SEVERAL = 4
/** DescribeCluster's endpoint type. */
const CONTROLLERS = 2

/** Errors of a topic that asking again does not mend. */
export const finalTopicErrors: ReadonlySet<string> = new Set(['INVALID_TOPIC_EXCEPTION', 'TOPIC_AUTHORIZATION_FAILED'])

/**
 * The brokers as one client sees them: connections, metadata kept fresh, coordinators found, requests retried with backoff.
 * Nothing here rejects unless somebody awaits it.
 */
export class Cluster {
  readonly metadata = new MetadataCache()
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly #options: ClusterOptions
  readonly #pool: ConnectionPool
  readonly #search: BrokerSearch
  /** Topics to ask for; null: all of them. */
  #interest: Set<string> | null = new Set()
  #refreshing: Promise<void> | undefined
  #refreshAgain: Promise<void> | undefined
  #refreshTimer: Timer | undefined
  #lastRefreshMs = Number.NEGATIVE_INFINITY
  /** Monotonic; since when metadata has been asked for and not come. */
  #unansweredSinceMs: number | undefined
  /** Answers in a row that left out a topic of interest. */
  #incompleteAnswers = 0
  readonly #metadataListeners: (() => void)[] = []

  constructor(options: ClusterOptions) {
    this.#options = options
    this.clock = options.clock
    this.random = options.random
    this.logger = options.logger
    const resolver = options.resolver ?? systemResolver
    this.#pool = new ConnectionPool({ ...options, resolver, security: resolveSecurity(options.connection, options) })
    this.#search = new BrokerSearch({ ...options, resolver, pool: this.#pool, metadata: this.metadata })
  }

  get config(): CommonConfig {
    return this.#options.config
  }

  /** Whether what is called brokers here are controllers. */
  get usesControllers(): boolean {
    return this.#options.bootstrapControllers !== undefined
  }

  get closed(): boolean {
    return this.#pool.closed
  }

  /** Aborts, with a ClosedError, when the client closes. */
  get closing(): AbortSignal {
    return this.#pool.closing
  }

  get connectionMetrics(): ConnectionPool['metrics'] {
    return this.#pool.metrics
  }

  /** What has been sent to the brokers that the metadata names, by node id. */
  countsByNode(): [nodeId: number, counts: RequestCounts][] {
    return [...this.metadata.brokers.values()].flatMap((node) => {
      const counts = this.#pool.countsOf(node)
      return counts === undefined ? [] : [[node.nodeId, counts]]
    })
  }

  /** Since metadata has come last; NaN: it has not. */
  get metadataAgeMs(): number {
    return this.clock.monotonic() - this.#metadataSinceMs
  }
  #metadataSinceMs = Number.NaN

  /** Closes every connection; what waits fails with a ClosedError. Idempotent. */
  close(): void {
    this.#refreshTimer?.cancel()
    this.#pool.close()
  }

  deadline(timeoutMs: number): Deadline {
    return new Deadline(this.clock, timeoutMs)
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleep(this.clock, ms, signal, this.closing)
  }

  /** Wait before retry number `attempt` (from 0). */
  retryBackoffMs(attempt: number): number {
    return backoffMs(this.random, attempt, this.config['retry.backoff.ms'], this.config['retry.backoff.max.ms'])
  }

  /**
   * Does `attempt` until it succeeds or fails for good.
   * @throws TimeoutError with the last failure as its cause; what `attempt` throws; the signal's reason; ClosedError
   */
  async retry<T>({ deadline, what, signal, retryIf = isRetriable, maxRetries }: RetryOptions, attempt: () => Promise<T>): Promise<T> {
    let earlier: unknown
    for (let failures = 0; ; failures++) {
      signal?.throwIfAborted()
      if (this.closed) throw new ClosedError(this.#options.client)
      let failure: unknown
      try {
        return await before(until(attempt(), signal, this.closing), this.clock, deadline, what)
      } catch (error) {
        if (signal?.aborted || this.closed || !retryIf(error)) throw error
        failure = error
      }
      if (maxRetries !== undefined && failures >= maxRetries) throw failure
      const waitMs = this.retryBackoffMs(failures)
      if (waitMs >= deadline.remainingMs) {
        // That the time is over says less than what went wrong in it.
        const cause = failure instanceof TimeoutError ? (failure.cause ?? earlier ?? this.#pool.lastFailure ?? failure) : failure
        throw new TimeoutError(`${what} did not succeed within ${deadline.timeoutMs} ms: ${messageOf(cause)}`, cause)
      }
      earlier = failure
      await this.sleep(waitMs, signal)
    }
  }

  // --- connections -------------------------------------------------------------------------------------------------------------------

  /** The connection to a broker that the metadata names. @throws DisconnectedError when it names none of that id, and as BrokerConnection.open */
  async connectionTo(nodeId: number, purpose: Purpose = 'general', options?: WaitOptions): Promise<BrokerConnection> {
    const node = this.metadata.brokers.get(nodeId)
    if (node === undefined) {
      this.requestRefresh()
      throw new DisconnectedError(`broker ${nodeId} is not known`)
    }
    try {
      return await this.#pool.to(node, purpose, options)
    } catch (error) {
      // It may have moved, or another broker may lead by now.
      if (!this.closed) this.requestRefresh()
      throw error
    }
  }

  openConnectionTo(nodeId: number, purpose: Purpose = 'general'): BrokerConnection | undefined {
    const node = this.metadata.brokers.get(nodeId)
    return node === undefined ? undefined : this.#pool.openTo(node, purpose)
  }

  /** Closes what is open to a broker; when something is asked of it later, it is connected anew. */
  disconnectFrom(address: BrokerAddress): void {
    this.#pool.closeConnectionsTo(address)
  }

  /** The pool, for whoever chooses among the connections that there are. */
  get connections(): Pick<ConnectionPool, 'openFor' | 'openTo' | 'onConnected' | 'to'> {
    return this.#pool
  }

  /** Some broker: one that is connected, else the first that can be reached, the bootstrap servers last. */
  anyConnection(options?: WaitOptions): Promise<BrokerConnection> {
    // Of controllers the others only send who asks to the active one.
    return this.usesControllers ? this.controllerConnection(options) : this.#search.any(options)
  }

  /** The broker that the metadata names as controller; some broker when it names none. */
  async controllerConnection(options?: WaitOptions): Promise<BrokerConnection> {
    if (this.metadata.controllerId < 0) await this.refresh(options)
    const { controllerId, brokers } = this.metadata
    return brokers.has(controllerId) ? this.connectionTo(controllerId, 'general', options) : this.#search.any(options)
  }

  /** One request to some broker, retried until the deadline. */
  requestAny<A extends Api>(
    api: A,
    build: RequestInput<A> | ((version: number) => RequestInput<A>),
    options: RetryOptions & SendOptions,
    check: (response: ResponseOf<A>) => void = nothing,
  ): Promise<ResponseOf<A>> {
    return this.retry(options, async () => {
      const response = await (await this.anyConnection(options)).send(api, build, options)
      check(response)
      return response
    })
  }

  // --- coordinators ------------------------------------------------------------------------------------------------------------------

  /**
   * Asks, once, which broker coordinates a group. @returns its node id
   * @throws BrokerError COORDINATOR_NOT_AVAILABLE and others, DisconnectedError
   */
  findGroupCoordinator(groupId: string, options?: WaitOptions): Promise<number> {
    return this.#findCoordinator('group', groupId, options)
  }

  findTransactionCoordinator(transactionalId: string, options?: WaitOptions): Promise<number> {
    return this.#findCoordinator('transactional id', transactionalId, options)
  }

  async #findCoordinator(type: CoordinatorType, key: string, options?: WaitOptions): Promise<number> {
    const { value, error } = (await this.findCoordinators(type, [key], options)).get(key)!
    if (error !== undefined) throw error
    return value
  }

  /** As `findGroupCoordinator`, for several at a time. @returns Node id or failure of each key, in order. @throws DisconnectedError and others */
  async findCoordinators(type: CoordinatorType, keys: readonly string[], options?: WaitOptions): Promise<Map<string, Outcome<number>>> {
    const connection = await this.anyConnection(options)
    const keyType = coordinatorTypeCodes[type]
    const answers =
      connection.versionOf(FindCoordinator) >= OLDEST_FIND_OF_SEVERAL
        ? (await connection.send(FindCoordinator, { key: '', keyType, coordinatorKeys: [...keys] })).coordinators
        : await Promise.all(
            keys.map(async (key) => ({ ...(await connection.send(FindCoordinator, { key, keyType, coordinatorKeys: [] })), key })),
          )
    const byKey = new Map(answers.map((answer) => [answer.key, answer]))
    const outcomes = new Map<string, Outcome<number>>()
    for (const key of keys) {
      const found = byKey.get(key)
      const { errorCode, errorMessage, nodeId } = found ?? { errorCode: 0, errorMessage: null, nodeId: -1 }
      if (found === undefined) outcomes.set(key, { error: new DisconnectedError(`the broker did not say who coordinates ${type} ${key}`) })
      else if (errorCode === 0) outcomes.set(key, { value: nodeId })
      else outcomes.set(key, { error: new BrokerError(errorCode, `coordinator of ${type} ${key}`, errorMessage) })
    }
    if ([...outcomes.values()].some(({ value }) => value !== undefined && !this.metadata.brokers.has(value))) await this.refresh(options)
    return outcomes
  }

  // --- metadata ----------------------------------------------------------------------------------------------------------------------

  /** Runs after every answer that was taken in. */
  onMetadata(listener: () => void): void {
    this.#metadataListeners.push(listener)
  }

  /** Keeps these topics in the metadata; null means all topics. Does not ask for them: see refresh(). */
  setInterest(topics: Iterable<string> | null): void {
    this.#interest = topics === null ? null : new Set(topics)
  }

  addInterest(topic: string): void {
    this.#interest?.add(topic)
  }

  dropInterest(topic: string): void {
    if (this.#interest?.delete(topic)) this.metadata.forget(topic)
  }

  /** Fetches metadata once, starting after this call; calls at the same time share the request. */
  refresh({ signal }: WaitOptions = {}): Promise<void> {
    if (this.#refreshing === undefined) {
      this.#refreshing = this.#refresh().finally(() => {
        this.#refreshing = undefined
      })
      return until(this.#refreshing, signal)
    }
    this.#refreshAgain ??= this.#refreshing.catch(nothing).then(() => {
      this.#refreshAgain = undefined
      return this.refresh()
    })
    return until(this.#refreshAgain, signal)
  }

  /** Has metadata fetched soon, at most once per retry.backoff.ms, by nobody's leave. */
  requestRefresh(): void {
    const sinceMs = this.clock.monotonic() - this.#lastRefreshMs
    this.#scheduleRefresh(Math.max(0, this.config['retry.backoff.ms'] - sinceMs))
  }

  /**
   * The topic's partitions, fetched when they are not known.
   * @throws BrokerError INVALID_TOPIC_EXCEPTION, TOPIC_AUTHORIZATION_FAILED; TimeoutError
   */
  async topic(name: string, options: WaitOptions & { readonly deadline: Deadline }): Promise<TopicInfo> {
    const known = this.metadata.topic(name)
    if (known !== undefined && known.partitions.length > 0) return known
    this.addInterest(name)
    const retryIf = (error: unknown) => isRetriable(error) && !(error instanceof BrokerError && finalTopicErrors.has(error.code))
    return this.retry({ ...options, what: `metadata of topic ${name}`, retryIf }, async () => {
      await this.refresh(options)
      const found = this.metadata.topic(name)
      if (found !== undefined && found.partitions.length > 0) return found
      throw new BrokerError(this.metadata.errorOf(name) || errorTable.UNKNOWN_TOPIC_OR_PARTITION.code, `topic ${name}`)
    })
  }

  async #refresh(): Promise<void> {
    this.#refreshTimer?.cancel()
    this.#refreshTimer = undefined
    const interest = this.#interest
    const asked = interest === null ? null : [...interest]
    const nowMs = this.clock.monotonic()
    this.#lastRefreshMs = nowMs
    this.#unansweredSinceMs ??= nowMs
    if (nowMs - this.#unansweredSinceMs > this.config['metadata.recovery.rebootstrap.trigger.ms']) {
      this.#rebootstrap('the brokers known have not given metadata for too long')
    }
    try {
      const response = this.usesControllers ? await this.#askForControllers() : await this.#askForMetadata(asked)
      this.#unansweredSinceMs = undefined
      const { clusterId } = this.metadata
      if (clusterId !== null && response.clusterId !== null && response.clusterId !== clusterId)
        this.logger.warn('the brokers are another cluster now', { before: clusterId, now: response.clusterId })
      this.metadata.update(response, asked)
      this.#metadataSinceMs = this.clock.monotonic()
    } finally {
      if (!this.closed && (this.#interest === null || this.#interest.size > 0)) this.#scheduleRefresh(this.config['metadata.max.age.ms'])
    }
    this.#askForMissing(asked ?? [])
    for (const listener of this.#metadataListeners) listener()
  }

  async #askForMetadata(asked: readonly string[] | null): Promise<MetadataResponse> {
    for (let isAgain = false; ; isAgain = true) {
      const connection = await this.anyConnection()
      const response = await connection.send(Metadata, (version) => ({
        // Version 0 has no null: an empty list means all topics there.
        topics: asked === null ? (version === 0 ? [] : null) : asked.map((name) => ({ name })),
        allowAutoTopicCreation: this.#options.allowAutoTopicCreation,
      }))
      if (response.errorCode === 0) return response
      const mayRebootstrap = this.config['metadata.recovery.strategy'] === 'rebootstrap' && !isAgain
      if (response.errorCode !== errorTable.REBOOTSTRAP_REQUIRED.code || !mayRebootstrap) checkErrorCode(response.errorCode, 'metadata')
      this.#rebootstrap('a broker wants it')
    }
  }

  /** Who the controllers are, as metadata. KIP-919. @throws BrokerError MISMATCHED_ENDPOINT_TYPE from a broker */
  async #askForControllers(): Promise<Pick<MetadataResponse, 'brokers' | 'clusterId' | 'controllerId' | 'topics'>> {
    const request = { includeClusterAuthorizedOperations: false, includeFencedBrokers: false, endpointType: CONTROLLERS }
    const response = await (await this.#search.any()).send(DescribeCluster, request)
    checkErrorCode(response.errorCode, 'controllers', response.errorMessage)
    const { clusterId, controllerId } = response
    const brokers = response.brokers.map(({ brokerId, host, port, rack }) => ({ nodeId: brokerId, host, port, rack }))
    return { clusterId, controllerId, brokers, topics: [] }
  }

  /** Forgets the brokers, so that bootstrap.servers are asked who they are now. KIP-899, KIP-1102. */
  #rebootstrap(reason: string): void {
    if (this.config['metadata.recovery.strategy'] !== 'rebootstrap') return
    this.logger.info('going back to the bootstrap servers', { reason })
    this.metadata.forgetBrokers()
    this.#pool.closeConnections()
    this.#unansweredSinceMs = this.clock.monotonic()
  }

  /** A topic that is being created, or is yet to be, is asked for until it is there: who waits for it may have nothing else to ask for. */
  #askForMissing(topics: readonly string[]): void {
    const isMissing = (name: string): boolean => {
      const code = this.metadata.errorOf(name)
      return code !== 0 && this.#interest?.has(name) === true && !finalTopicErrors.has(errorName(code))
    }
    if (topics.some(isMissing)) this.#scheduleRefresh(this.retryBackoffMs(this.#incompleteAnswers++))
    else this.#incompleteAnswers = 0
  }

  /** Keeps the earlier of two dates. */
  #scheduleRefresh(delayMs: number): void {
    if (this.closed) return
    const dueMs = this.clock.monotonic() + delayMs
    if (this.#refreshTimer !== undefined && this.#refreshDueMs <= dueMs) return
    this.#refreshTimer?.cancel()
    this.#refreshDueMs = dueMs
    this.#refreshTimer = this.clock.setTimer(delayMs, () => {
      this.#refreshTimer = undefined
      this.refresh().catch((error) => {
        if (this.closed) return
        this.logger.debug('metadata cannot be fetched', { reason: messageOf(error) })
        // Who lets us not in is not asked again by itself, but when somebody needs an answer.
        if (!isFatal(error)) this.requestRefresh()
      })
    })
  }
  #refreshDueMs = 0

  nodeOf(nodeId: number): BrokerNode | undefined {
    return this.metadata.brokers.get(nodeId)
  }
}

const nothing = (): void => {}
