import { messageOf, type Offload, type Timer, ZERO_UUID } from '@tidelog/core'
import { errorName, Fetch, type FetchResponse } from '@tidelog/protocol'
import type { Cluster } from '../cluster/cluster.ts'
import { isolationLevelCode } from '../cluster/list-offsets.ts'
import type { ConsumerConfig } from '../config/consumer-config.ts'
import { BrokerError, ClientError, CorruptRecordError, RecordTooLargeError } from '../errors.ts'
import { PartitionMap } from '../topic-partition.ts'
import { consumerChannels } from './consumer-channels.ts'
import type { ConsumerMetrics } from './consumer-metrics.ts'
import type { RecordDeserializers } from './consumer-record.ts'
import { FetchSession, FINAL_EPOCH } from './fetch-session.ts'
import { FetchedChunk } from './fetched-chunk.ts'
import type { PartitionState } from './partition-state.ts'
import type { PositionValidator } from './position-validator.ts'

export interface FetcherOptions<K, V> {
  readonly cluster: Cluster
  readonly config: ConsumerConfig
  readonly deserializers: RecordDeserializers<K, V>
  readonly offload: Offload
  readonly metrics: ConsumerMetrics
  readonly validator: PositionValidator
  /** What is assigned now. */
  readonly partitions: () => Iterable<PartitionState<K, V>>
  /** Something can be handed out, or has gone wrong. */
  readonly notify: () => void
  /** The position is out of range: by `auto.offset.reset` it is looked up again, or the user hears of it. */
  readonly onOutOfRange: (state: PartitionState<K, V>) => void
  /** For the next poll. */
  readonly onError: (error: ClientError) => void
}

/** What is known of fetching from one broker. */
interface NodeState {
  readonly session: FetchSession
  isFetching: boolean
  /** Monotonic time before which a fetch that waits for nothing is not repeated. */
  notBeforeMs: number
  /** Answers in a row that were of no use. */
  uselessAnswers: number
  /** Monotonic time until which the broker takes nothing from this client, by its quota. KIP-219. */
  throttledUntilMs: number
}

/** Partitions to fetch from one broker. */
interface NodePlan<K, V> {
  readonly fetchable: PartitionState<K, V>[]
  /** Partitions with as much buffered as they may have: the broker is not asked for them, and so must not wait for others either. */
  isHeldBack: boolean
}

/** One fetched chunk is handed out while the next is on its way. */
const MAX_CHUNKS_PER_PARTITION = 2
/**
 * Ahead of the user by so many bytes, all partitions together, none is fetched; or by four times `max.partition.fetch.bytes`, where that is more. An answer
 * stays in memory until the last of its records is handed out, and for as long again until V8 collects it: more is no faster, and costs a multiple of it.
 */
const MAX_BYTES_AHEAD = 16 * 1024 * 1024
/** Less room than this part of it, or a broker's share where that is less, is not worth a fetch of its own. */
const SMALLEST_PART = 8
/** Ahead of the user by so many records, all partitions together, none is fetched that has some buffered. */
const MAX_RECORDS_AHEAD = 500_000
/** A partition whose buffer is full must not wait behind idle ones: then the broker is not to wait, and is asked again after this. */
const HELD_BACK_INTERVAL_MS = 100
const OLDEST_BY_TOPIC_ID = 13

type PartitionAnswer = FetchResponse['responses'][number]['partitions'][number]

/** Where each partition stood when it was asked for. */
interface Asked<K, V> {
  readonly state: PartitionState<K, V>
  readonly fetchGeneration: number
  /** ZERO_UUID: not known. */
  readonly topicId: string
}

/**
 * Keeps fetching what is assigned, one request a broker at a time, ahead of what is handed out: up to two chunks a partition, and together up
 * to 16 MiB, which `fetch.max.bytes` may lower and a large `max.partition.fetch.bytes` raises, and half a million records. Runs by itself; `wake` tells it that something may be fetched that could not before.
 */
export class Fetcher<K, V> {
  readonly #options: FetcherOptions<K, V>
  readonly #nodes = new Map<number, NodeState>()
  readonly #maxBytesAhead: number
  /** What the fetches under way may bring, together. */
  #bytesInFlight = 0
  #isScheduled = false
  #isStopped = false
  #timer: Timer | undefined
  #timerDueMs = 0

  constructor(options: FetcherOptions<K, V>) {
    this.#options = options
    const { config } = options
    const wanted = Math.max(MAX_BYTES_AHEAD, 4 * config['max.partition.fetch.bytes'])
    this.#maxBytesAhead = Math.min(config['fetch.max.bytes'], wanted)
    options.cluster.onMetadata(() => this.wake())
  }

  wake(): void {
    if (this.#isScheduled || this.#isStopped || this.#options.cluster.closed) return
    this.#isScheduled = true
    // Not a microtask: a fetch that fails at once, and is tried again at once, would let nothing else happen.
    setImmediate(() => {
      this.#isScheduled = false
      if (!this.#isStopped && !this.#options.cluster.closed) this.#pass()
    })
  }

  /**
   * Fetches nothing more, and closes the sessions, so that brokers keep their memory for others: on a connection where no fetch waits, and only where there is one.
   * Nothing depends on the outcome.
   */
  async stop(): Promise<void> {
    const { cluster } = this.#options
    this.#isStopped = true
    this.#timer?.cancel()
    const closing = [...this.#nodes].map(async ([nodeId, { session }]) => {
      const connection = session.id === 0 ? undefined : cluster.openConnectionTo(nodeId)
      await connection?.send(Fetch, { ...this.#limits(0, 0), sessionId: session.id, sessionEpoch: FINAL_EPOCH, topics: [] })
    })
    await Promise.allSettled(closing)
  }

  #pass(): void {
    const { cluster, partitions, validator, config } = this.#options
    const nowMs = cluster.clock.monotonic()
    const all = [...partitions()]
    const { bytesLeft, mayRunAhead } = this.#room(all)
    const plans = new Map<number, NodePlan<K, V>>()
    let nextDueMs = Number.POSITIVE_INFINITY
    for (const state of all) {
      if (state.needsPosition || state.isPaused) continue
      const nodeId = this.#nodeFor(state, nowMs)
      if (nodeId === undefined) continue
      let plan = plans.get(nodeId)
      if (plan === undefined) {
        plan = { fetchable: [], isHeldBack: false }
        plans.set(nodeId, plan)
      }
      const buffered = state.chunks.length
      if (buffered >= MAX_CHUNKS_PER_PARTITION || (buffered > 0 && !mayRunAhead) || bytesLeft < this.#smallestRoom) plan.isHeldBack = true
      else if (state.notBeforeMs > nowMs) nextDueMs = Math.min(nextDueMs, state.notBeforeMs)
      else plan.fetchable.push(state)
    }
    validator.run()
    const maxBytes = Math.min(bytesLeft, Math.ceil(this.#maxBytesAhead / Math.max(1, plans.size)))
    for (const [nodeId, { fetchable, isHeldBack }] of plans) {
      if (fetchable.length === 0) continue
      const node = this.#stateOf(nodeId)
      if (node.isFetching) continue
      if (node.throttledUntilMs > nowMs) nextDueMs = Math.min(nextDueMs, node.throttledUntilMs)
      else if ((isHeldBack || node.uselessAnswers > 0) && node.notBeforeMs > nowMs) nextDueMs = Math.min(nextDueMs, node.notBeforeMs)
      else this.#fetch(nodeId, node, fetchable, { maxBytes, maxWaitMs: isHeldBack ? 0 : config['fetch.max.wait.ms'] })
    }
    this.#arm(nextDueMs, nowMs)
  }

  get #smallestRoom(): number {
    return this.#maxBytesAhead / Math.max(SMALLEST_PART, this.#nodes.size)
  }

  /** How much more may be fetched: what is buffered, or may come, is bounded. What nobody takes at the moment must not hold up the rest. */
  #room(states: readonly PartitionState<K, V>[]): { bytesLeft: number; mayRunAhead: boolean } {
    const maxBytes = this.#maxBytesAhead
    let bytes = this.#bytesInFlight
    let offsets = 0
    for (const state of states) {
      // A handler has it in hand; there are only so many handlers.
      if (state.isBusy) continue
      bytes += state.bufferedBytes
      offsets += state.bufferedOffsets
    }
    if (maxBytes - bytes < this.#smallestRoom) {
      for (const state of states) {
        if (!state.isPaused || state.isBusy || state.chunks.length === 0) continue
        bytes -= state.bufferedBytes
        state.refetch()
      }
    }
    return { bytesLeft: maxBytes - bytes, mayRunAhead: offsets < MAX_RECORDS_AHEAD }
  }

  /** Whom to fetch the partition from; undefined while that is not known, or the position not checked. */
  #nodeFor(state: PartitionState<K, V>, nowMs: number): number | undefined {
    const { cluster, validator } = this.#options
    const info = cluster.metadata.partition(state.topic, state.partition)
    if (info === undefined || info.leaderId < 0) {
      cluster.requestRefresh()
      return undefined
    }
    if (!validator.mayFetch(state, info, nowMs)) {
      if (state.notBeforeMs > nowMs) this.#arm(state.notBeforeMs, nowMs)
      return undefined
    }
    const { preferredReplica } = state
    if (preferredReplica === undefined) return info.leaderId
    const { nodeId, untilMs } = preferredReplica
    if (untilMs > nowMs && cluster.nodeOf(nodeId) !== undefined && !info.offlineReplicas.includes(nodeId)) return nodeId
    state.preferredReplica = undefined
    return info.leaderId
  }

  async #fetch(
    nodeId: number,
    node: NodeState,
    states: readonly PartitionState<K, V>[],
    limits: { maxBytes: number; maxWaitMs: number },
  ): Promise<void> {
    const { cluster, config, metrics, notify } = this.#options
    const { maxBytes, maxWaitMs } = limits
    node.isFetching = true
    this.#bytesInFlight += maxBytes
    let hasBrought = false
    try {
      const connection = cluster.openConnectionTo(nodeId, 'fetch') ?? (await cluster.connectionTo(nodeId, 'fetch'))
      const sentMs = cluster.clock.monotonic()
      // Positions may have changed while the connection was made.
      const asked = new PartitionMap(states.filter((state) => !state.needsPosition).map((state) => [state, this.#askedAs(state)]))
      const hasIds = [...asked.values()].every(({ topicId }) => topicId !== ZERO_UUID)
      const response = await connection.send(Fetch, this.#requestOf(node.session, asked, maxBytes, maxWaitMs), {
        timeoutMs: config['request.timeout.ms'] + maxWaitMs,
        ...(hasIds ? {} : { maxVersion: OLDEST_BY_TOPIC_ID - 1 }),
      })
      const latencyMs = cluster.clock.monotonic() - sentMs
      const bytesByTopic = this.#take(response, asked, nodeId, node)
      let bytes = 0
      for (const ofTopic of bytesByTopic.values()) bytes += ofTopic
      const { throttleTimeMs } = response
      node.throttledUntilMs = connection.throttledUntilMs
      metrics.fetched({ latencyMs, bytesByTopic, throttleTimeMs })
      if (consumerChannels.fetch.hasSubscribers) consumerChannels.fetch.publish({ nodeId, bytes, latencyMs })
      if (maxWaitMs === 0 && bytes === 0) node.notBeforeMs = cluster.clock.monotonic() + HELD_BACK_INTERVAL_MS
      hasBrought = bytes > 0
    } catch (error) {
      node.session.failed()
      if (cluster.closed) return
      cluster.requestRefresh()
      this.#failed(states, error)
    } finally {
      this.#bytesInFlight -= maxBytes
      node.isFetching = false
      this.wake()
    }
    if (!hasBrought) return
    // The next fetch leaves before the user's code has its turn, which takes as long as there are records: the broker works on it meanwhile.
    if (!this.#isStopped) this.#pass()
    notify()
  }

  /** The broker could not be asked: all its partitions wait a while. */
  #failed(states: readonly PartitionState<K, V>[], error: unknown): void {
    const { cluster, onError } = this.#options
    cluster.logger.debug('a fetch failed', { reason: messageOf(error) })
    for (const state of states) {
      state.preferredReplica = undefined
      this.#backOff(state)
    }
    if (!(error instanceof ClientError)) onError(new ClientError('UNEXPECTED', messageOf(error), { cause: error }))
    else if (!error.retriable) onError(error)
  }

  #backOff(state: PartitionState<K, V>): void {
    const { cluster } = this.#options
    state.notBeforeMs = cluster.clock.monotonic() + cluster.retryBackoffMs(state.failures++)
  }

  #askedAs(state: PartitionState<K, V>): Asked<K, V> {
    const topicId = this.#options.cluster.metadata.topic(state.topic)?.topicId ?? ZERO_UUID
    return { state, fetchGeneration: state.fetchGeneration, topicId }
  }

  #requestOf(session: FetchSession, asked: PartitionMap<Asked<K, V>>, maxBytes: number, maxWaitMs: number) {
    const { config } = this.#options
    return (version: number) => {
      const wanted = [...asked.values()].map(({ topicId, state: { topic, partition, fetchOffset, checkedLeader } }) => ({
        topic,
        partition,
        topicId,
        fetchOffset,
        currentLeaderEpoch: checkedLeader?.leaderEpoch ?? -1,
        partitionMaxBytes: config['max.partition.fetch.bytes'],
      }))
      return { ...this.#limits(maxBytes, maxWaitMs), ...session.next(wanted, version >= OLDEST_BY_TOPIC_ID) }
    }
  }

  #limits(maxBytes: number, maxWaitMs: number) {
    const { config } = this.#options
    return {
      maxWaitMs,
      minBytes: config['fetch.min.bytes'],
      maxBytes,
      isolationLevel: isolationLevelCode(config['isolation.level']),
      rackId: config['client.rack'],
    }
  }

  /** @returns How many bytes of records came, by topic. */
  #take(response: FetchResponse, asked: PartitionMap<Asked<K, V>>, nodeId: number, node: NodeState): ReadonlyMap<string, number> {
    const { cluster } = this.#options
    const { session } = node
    const why = session.answered(response)
    if (why !== undefined) {
      cluster.logger.debug('an answer to a fetch is of no use', { nodeId, reason: why })
      if (why === 'FETCH_SESSION_TOPIC_ID_ERROR') cluster.requestRefresh()
      // Sessions come and go; a broker that has nothing else to say is not asked again at once.
      if (node.uselessAnswers++ > 0) node.notBeforeMs = cluster.clock.monotonic() + cluster.retryBackoffMs(node.uselessAnswers)
      const { errorCode } = response
      if (errorCode !== 0 && !sessionErrors.has(why)) throw new BrokerError(errorCode, `fetch from broker ${nodeId}`)
      return new Map()
    }
    node.uselessAnswers = 0
    const bytesByTopic = new Map<string, number>()
    for (const row of response.responses) {
      const topic = session.topicOf(row)
      if (topic === undefined) continue
      let bytes = 0
      for (const answer of row.partitions) {
        const one = asked.get({ topic, partition: answer.partitionIndex })
        if (one === undefined || one.state.fetchGeneration !== one.fetchGeneration) continue
        bytes += this.#takePartition(one, answer, nodeId, response.nodeEndpoints)
      }
      if (bytes > 0) bytesByTopic.set(topic, bytes + (bytesByTopic.get(topic) ?? 0))
    }
    return bytesByTopic
  }

  #takePartition(
    { state, topicId }: Asked<K, V>,
    answer: PartitionAnswer,
    nodeId: number,
    endpoints: FetchResponse['nodeEndpoints'],
  ): number {
    const { cluster, config, onError } = this.#options
    if (answer.errorCode !== 0) {
      this.#refused(state, answer, nodeId, endpoints)
      return 0
    }
    state.failures = 0
    if (topicId !== ZERO_UUID) state.topicId = topicId
    state.highWatermark = answer.highWatermark
    state.endOffset = config['isolation.level'] === 'read_committed' ? answer.lastStableOffset : answer.highWatermark
    // Versions below 5 do not tell.
    if (answer.logStartOffset >= 0) state.logStartOffset = answer.logStartOffset
    if (answer.preferredReadReplica >= 0) {
      const untilMs = cluster.clock.monotonic() + config['metadata.max.age.ms']
      state.preferredReplica = { nodeId: answer.preferredReadReplica, untilMs }
      // The leader would name it again, and again.
      if (cluster.nodeOf(answer.preferredReadReplica) === undefined) {
        cluster.requestRefresh()
        this.#backOff(state)
      }
    }
    const { records } = answer
    if (records === null || records.length === 0) return 0
    try {
      const chunk = new FetchedChunk(state, records, this.#chunkOptions(answer))
      if (chunk.isEmpty) {
        const where = `${state.topic}-${state.partition} at offset ${state.fetchOffset}`
        throw new RecordTooLargeError(
          `the next batch of ${where} is larger than maxPartitionFetchBytes (${config['max.partition.fetch.bytes']})`,
        )
      }
      // A broker that sends what was not asked for would have the same fetched for ever.
      if (chunk.endOffset <= state.fetchOffset)
        throw new CorruptRecordError({ ...state, offset: state.fetchOffset }, 'the batches end before it')
      state.chunks.push(chunk)
      state.fetchOffset = chunk.endOffset
      return records.length
    } catch (error) {
      if (!(error instanceof CorruptRecordError || error instanceof RecordTooLargeError)) throw error
      this.#backOff(state)
      onError(error)
      return 0
    }
  }

  #chunkOptions({ abortedTransactions }: PartitionAnswer) {
    const { config, deserializers, offload } = this.#options
    return {
      deserializers,
      checkCrcs: config['check.crcs'],
      abortedTransactions: config['isolation.level'] === 'read_committed' ? (abortedTransactions ?? []) : null,
      offload,
    }
  }

  #refused(
    state: PartitionState<K, V>,
    { errorCode, currentLeader }: PartitionAnswer,
    nodeId: number,
    endpoints: FetchResponse['nodeEndpoints'],
  ): void {
    const { cluster, onOutOfRange, onError } = this.#options
    const { topic, partition } = state
    const name = errorName(errorCode)
    if (name === 'OFFSET_OUT_OF_RANGE') {
      state.preferredReplica = undefined
      // A follower may be behind, so only the leader's word counts; and what is buffered is handed out first.
      if (cluster.metadata.partition(topic, partition)?.leaderId !== nodeId) return
      if (state.chunks.length > 0) this.#backOff(state)
      else onOutOfRange(state)
      return
    }
    const { leaderId, leaderEpoch } = currentLeader
    const isHinted = leaderId >= 0 && cluster.metadata.hint({ topic, partition, leaderId, leaderEpoch }, endpoints)
    state.preferredReplica = undefined
    const error = new BrokerError(errorCode, `${topic}-${partition}`)
    if (!isHinted) {
      this.#backOff(state)
      cluster.requestRefresh()
    }
    cluster.logger.debug('a partition could not be fetched', { topic, partition, reason: error.code })
    if (!error.retriable) onError(error)
  }

  #stateOf(nodeId: number): NodeState {
    let node = this.#nodes.get(nodeId)
    if (node === undefined) {
      node = { session: new FetchSession(), isFetching: false, notBeforeMs: 0, uselessAnswers: 0, throttledUntilMs: 0 }
      this.#nodes.set(nodeId, node)
    }
    return node
  }

  #arm(dueMs: number, nowMs: number): void {
    if (dueMs === Number.POSITIVE_INFINITY || (this.#timer !== undefined && this.#timerDueMs <= dueMs)) return
    this.#timer?.cancel()
    this.#timerDueMs = dueMs
    this.#timer = this.#options.cluster.clock.setTimer(Math.max(0, dueMs - nowMs), () => {
      this.#timer = undefined
      this.wake()
    })
  }
}

/** The session is begun again, and that is all. */
const sessionErrors: ReadonlySet<string> = new Set([
  'FETCH_SESSION_ID_NOT_FOUND',
  'INVALID_FETCH_SESSION_EPOCH',
  'FETCH_SESSION_TOPIC_ID_ERROR',
])
