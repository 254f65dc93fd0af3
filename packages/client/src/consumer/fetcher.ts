import { type Offload, type Timer, ZERO_UUID } from '@tidelog/core'
import { errorName, Fetch, type FetchResponse } from '@tidelog/protocol'
import { type Cluster, messageOf } from '../cluster/cluster.ts'
import { isolationLevelCode } from '../cluster/list-offsets.ts'
import type { ConsumerConfig } from '../config/consumer-config.ts'
import { BrokerError, ClientError, CorruptRecordError, RecordTooLargeError } from '../errors.ts'
import { consumerChannels } from './consumer-channels.ts'
import type { ConsumerMetrics } from './consumer-metrics.ts'
import type { RecordDeserializers } from './consumer-record.ts'
import { FetchedChunk } from './fetched-chunk.ts'
import type { PartitionState } from './partition-state.ts'

export interface FetcherOptions<K, V> {
  readonly cluster: Cluster
  readonly config: ConsumerConfig
  readonly deserializers: RecordDeserializers<K, V>
  readonly offload: Offload
  readonly metrics: ConsumerMetrics
  /** What is assigned now. */
  readonly partitions: () => Iterable<PartitionState<K, V>>
  /** Something can be handed out, or has gone wrong. */
  readonly notify: () => void
  /** The position is out of range: by `auto.offset.reset` it is looked up again, or the user hears of it. */
  readonly onOutOfRange: (state: PartitionState<K, V>) => void
  /** For the next poll. */
  readonly onError: (error: ClientError) => void
}

interface NodeState {
  isFetching: boolean
  /** Monotonic time before which a fetch that waits for nothing is not repeated. */
  notBeforeMs: number
}

/** One fetched chunk is handed out while the next is on its way. */
const MAX_CHUNKS_PER_PARTITION = 2
/** A partition whose buffer is full must not wait behind idle ones: then the broker is not to wait, and is asked again after this. */
const HELD_BACK_INTERVAL_MS = 100
const OLDEST_BY_TOPIC_ID = 13

type PartitionAnswer = FetchResponse['responses'][number]['partitions'][number]

/** Where each partition stood when it was asked for. */
interface Asked<K, V> {
  readonly state: PartitionState<K, V>
  readonly generation: number
}

/**
 * Keeps fetching what is assigned, one request a broker at a time, ahead of what is handed out: up to two chunks a partition. Runs by itself;
 * `wake` tells it that something may be fetched that could not before.
 */
export class Fetcher<K, V> {
  readonly #options: FetcherOptions<K, V>
  readonly #nodes = new Map<number, NodeState>()
  #isScheduled = false
  #timer: Timer | undefined
  #timerDueMs = 0

  constructor(options: FetcherOptions<K, V>) {
    this.#options = options
    options.cluster.onMetadata(() => this.wake())
  }

  wake(): void {
    if (this.#isScheduled || this.#options.cluster.closed) return
    this.#isScheduled = true
    // Not a microtask: a fetch that fails at once, and is tried again at once, would let nothing else happen.
    setImmediate(() => {
      this.#isScheduled = false
      if (!this.#options.cluster.closed) this.#pass()
    })
  }

  stop(): void {
    this.#timer?.cancel()
  }

  #pass(): void {
    const { cluster, partitions, config } = this.#options
    const nowMs = cluster.clock.monotonic()
    const perNode = new Map<number, { fetchable: PartitionState<K, V>[]; isHeldBack: boolean }>()
    let buffered = 0
    let nextDueMs = Number.POSITIVE_INFINITY
    const all = [...partitions()]
    for (const state of all) buffered += state.bufferedBytes
    for (const state of all) {
      if (state.needsPosition || state.isPaused) continue
      const nodeId = this.#nodeFor(state, nowMs)
      if (nodeId === undefined) continue
      let node = perNode.get(nodeId)
      if (node === undefined) {
        node = { fetchable: [], isHeldBack: false }
        perNode.set(nodeId, node)
      }
      if (state.chunks.length >= MAX_CHUNKS_PER_PARTITION || buffered >= config['fetch.max.bytes']) node.isHeldBack = true
      else if (state.notBeforeMs > nowMs) nextDueMs = Math.min(nextDueMs, state.notBeforeMs)
      else node.fetchable.push(state)
    }
    for (const [nodeId, { fetchable, isHeldBack }] of perNode) {
      if (fetchable.length === 0) continue
      const node = this.#stateOf(nodeId)
      if (node.isFetching) continue
      if (isHeldBack && node.notBeforeMs > nowMs) {
        nextDueMs = Math.min(nextDueMs, node.notBeforeMs)
        continue
      }
      this.#fetch(nodeId, node, fetchable, isHeldBack)
    }
    this.#arm(nextDueMs, nowMs)
  }

  #nodeFor(state: PartitionState<K, V>, nowMs: number): number | undefined {
    const { cluster } = this.#options
    const { preferredReplica } = state
    if (preferredReplica !== undefined) {
      if (preferredReplica.untilMs > nowMs && cluster.nodeOf(preferredReplica.nodeId) !== undefined) return preferredReplica.nodeId
      state.preferredReplica = undefined
    }
    const leaderId = cluster.metadata.partition(state.topic, state.partition)?.leaderId ?? -1
    if (leaderId >= 0) return leaderId
    cluster.requestRefresh()
    return undefined
  }

  async #fetch(nodeId: number, node: NodeState, states: readonly PartitionState<K, V>[], isHeldBack: boolean): Promise<void> {
    const { cluster, config, metrics, notify } = this.#options
    node.isFetching = true
    const maxWaitMs = isHeldBack ? 0 : config['fetch.max.wait.ms']
    const asked = states.map((state) => ({ state, generation: state.generation }))
    try {
      const connection = cluster.openConnectionTo(nodeId, 'fetch') ?? (await cluster.connectionTo(nodeId, 'fetch'))
      const sentMs = cluster.clock.monotonic()
      const request = this.#requestOf(asked, maxWaitMs)
      const response = await connection.send(Fetch, request, { timeoutMs: config['request.timeout.ms'] + maxWaitMs })
      const latencyMs = cluster.clock.monotonic() - sentMs
      const bytes = this.#take(response, asked, nodeId)
      metrics.fetched(latencyMs, bytes)
      if (consumerChannels.fetch.hasSubscribers) consumerChannels.fetch.publish({ nodeId, bytes, latencyMs })
      if (isHeldBack && bytes === 0) node.notBeforeMs = cluster.clock.monotonic() + HELD_BACK_INTERVAL_MS
      if (bytes > 0) notify()
    } catch (error) {
      if (cluster.closed) return
      cluster.requestRefresh()
      this.#failed(states, error)
    } finally {
      node.isFetching = false
      this.wake()
    }
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

  #requestOf(asked: readonly Asked<K, V>[], maxWaitMs: number) {
    const { cluster, config } = this.#options
    return (version: number) => {
      const byTopic = new Map<string, { partition: number; currentLeaderEpoch: number; fetchOffset: number; partitionMaxBytes: number }[]>()
      for (const { state } of asked) {
        const entry = {
          partition: state.partition,
          currentLeaderEpoch: cluster.metadata.partition(state.topic, state.partition)?.leaderEpoch ?? -1,
          fetchOffset: state.fetchOffset,
          partitionMaxBytes: config['max.partition.fetch.bytes'],
        }
        const entries = byTopic.get(state.topic)
        if (entries === undefined) byTopic.set(state.topic, [entry])
        else entries.push(entry)
      }
      return {
        maxWaitMs,
        minBytes: config['fetch.min.bytes'],
        maxBytes: config['fetch.max.bytes'],
        isolationLevel: isolationLevelCode(config['isolation.level']),
        topics: [...byTopic].map(([topic, partitions]) =>
          version >= OLDEST_BY_TOPIC_ID
            ? { topicId: cluster.metadata.topic(topic)?.topicId ?? ZERO_UUID, partitions }
            : { topic, partitions },
        ),
        forgottenTopicsData: [],
        rackId: config['client.rack'],
      }
    }
  }

  /** @returns How many bytes of records came. */
  #take(response: FetchResponse, asked: readonly Asked<K, V>[], nodeId: number): number {
    const { cluster } = this.#options
    if (response.errorCode !== 0) throw new BrokerError(response.errorCode, `fetch from broker ${nodeId}`)
    let bytes = 0
    const byTopic = new Map<string, Map<number, Asked<K, V>>>()
    for (const one of asked) {
      const entries = byTopic.get(one.state.topic)
      if (entries === undefined) byTopic.set(one.state.topic, new Map([[one.state.partition, one]]))
      else entries.set(one.state.partition, one)
    }
    for (const { topic, topicId, partitions } of response.responses) {
      const name = topic === '' ? cluster.metadata.nameOf(topicId) : topic
      for (const answer of partitions) {
        const one = name === undefined ? undefined : byTopic.get(name)?.get(answer.partitionIndex)
        if (one === undefined || one.state.generation !== one.generation) continue
        bytes += this.#takePartition(one.state, answer, response.nodeEndpoints)
      }
    }
    return bytes
  }

  #takePartition(state: PartitionState<K, V>, answer: PartitionAnswer, endpoints: FetchResponse['nodeEndpoints']): number {
    const { cluster, config, onError } = this.#options
    if (answer.errorCode !== 0) {
      this.#refused(state, answer, endpoints)
      return 0
    }
    state.failures = 0
    state.highWatermark = answer.highWatermark
    state.lastStableOffset = answer.lastStableOffset
    state.logStartOffset = answer.logStartOffset
    if (answer.preferredReadReplica >= 0) {
      const untilMs = cluster.clock.monotonic() + config['metadata.max.age.ms']
      state.preferredReplica = { nodeId: answer.preferredReadReplica, untilMs }
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

  #refused(state: PartitionState<K, V>, { errorCode, currentLeader }: PartitionAnswer, endpoints: FetchResponse['nodeEndpoints']): void {
    const { cluster, onOutOfRange, onError } = this.#options
    const { topic, partition } = state
    const name = errorName(errorCode)
    if (name === 'OFFSET_OUT_OF_RANGE') {
      // A follower may be behind; only the leader's word counts.
      if (state.preferredReplica !== undefined) state.preferredReplica = undefined
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
      node = { isFetching: false, notBeforeMs: 0 }
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
