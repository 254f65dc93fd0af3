import type { NewRecord } from '@tidelog/protocol'
import type { Cluster } from '../cluster/cluster.ts'
import type { PartitionInfo, TopicInfo } from '../cluster/metadata-cache.ts'
import { type Deferred, deferred } from '../cluster/wait.ts'
import type { ProducerConfig } from '../config/producer-config.ts'
import { ClientError } from '../errors.ts'
import type { Accumulator } from './accumulator.ts'
import { partitionForKey } from './murmur2.ts'
import { type Partitioner, StickyPartitions } from './partitioner.ts'
import { type Delivery, notify } from './producer-batch.ts'
import type { ProducerRecord } from './producer-record.ts'

export interface TopicRouterOptions<K, V> {
  readonly cluster: Cluster
  readonly config: ProducerConfig
  readonly accumulator: Accumulator
  readonly partitioner?: Partitioner<K, V>
  readonly wake: () => void
}

/** A record whose topic's partitions are not known yet. */
interface PendingRecord<K, V> {
  readonly record: ProducerRecord<K, V>
  readonly ready: NewRecord
  readonly bytes: number
  readonly deliver: Delivery
  readonly tag: number
}

interface TopicState<K, V> {
  readonly sticky: StickyPartitions
  /** In order; while something is here, everything for the topic goes here. */
  pending: PendingRecord<K, V>[]
  isResolving: boolean
  /** Monotonic. */
  lastUsedMs: number
}

/** Finds each record its partition and puts it into that partition's queue, in the order of the calls. */
export class TopicRouter<K, V> {
  readonly #options: TopicRouterOptions<K, V>
  readonly #topics = new Map<string, TopicState<K, V>>()
  #resolving = 0
  #settledWaiters: Deferred<void>[] = []

  constructor(options: TopicRouterOptions<K, V>) {
    this.#options = options
    options.cluster.onMetadata(() => this.#forgetIdle())
  }

  /** `bytes` of the memory bound are reserved for the record; they go back when it is done, or cannot be routed. */
  route(record: ProducerRecord<K, V>, ready: NewRecord, bytes: number, deliver: Delivery, tag: number): void {
    const { topic } = record
    const { cluster } = this.#options
    const state = this.#stateOf(topic)
    state.lastUsedMs = cluster.clock.monotonic()
    const info = state.pending.length === 0 ? cluster.metadata.topic(topic) : undefined
    const isKnown = info !== undefined && info.partitions.length > (record.partition ?? 0)
    if (!isKnown) {
      state.pending.push({ record, ready, bytes, deliver, tag })
      if (!state.isResolving) this.#resolve(topic, state)
      return
    }
    this.#place(state, info, { record, ready, bytes, deliver, tag })
    this.#options.wake()
  }

  /** Resolves when every record up to now is in a queue or has failed. */
  settled(): Promise<void> {
    if (this.#resolving === 0) return Promise.resolve()
    const waiter = deferred()
    this.#settledWaiters.push(waiter)
    return waiter.promise
  }

  failPending(error: ClientError): void {
    for (const state of this.#topics.values()) this.#failAll(state, error)
  }

  #place(state: TopicState<K, V>, info: TopicInfo, { record, ready, bytes, deliver, tag }: PendingRecord<K, V>): void {
    const { accumulator } = this.#options
    let partition: number
    try {
      partition = record.partition ?? this.#choose(state, info.partitions, record, ready.key ?? null, bytes)
      if (!Number.isInteger(partition) || partition < 0 || partition >= info.partitions.length) {
        throw new ClientError(
          'INVALID_PARTITION',
          `topic ${record.topic} has no partition ${partition}, only 0 to ${info.partitions.length - 1}`,
        )
      }
    } catch (error) {
      accumulator.memory.release(bytes)
      const message = error instanceof Error ? error.message : String(error)
      notify(
        deliver,
        error instanceof ClientError ? error : new ClientError('PARTITIONER_FAILED', message, { cause: error }),
        undefined,
        tag,
      )
      return
    }
    accumulator.append(record.topic, partition, ready, bytes, deliver, tag)
  }

  #choose(
    state: TopicState<K, V>,
    partitions: readonly PartitionInfo[],
    record: ProducerRecord<K, V>,
    key: Uint8Array | null,
    bytes: number,
  ): number {
    const { partitioner, config, accumulator } = this.#options
    if (partitioner !== undefined) return partitioner(record, key, partitions.length)
    if (key !== null && !config['partitioner.ignore.keys']) return partitionForKey(key, partitions.length)
    return state.sticky.next(partitions, bytes, (partition) => accumulator.queueLength(record.topic, partition))
  }

  /** Fetches the topic's metadata, for up to `max.block.ms`, and places what has been waiting for it. */
  #resolve(topic: string, state: TopicState<K, V>): void {
    const { cluster, config, wake } = this.#options
    state.isResolving = true
    this.#resolving++
    const deadline = cluster.deadline(config['max.block.ms'])
    const known = cluster.metadata.topic(topic)
    // Known, and yet a record names a partition beyond: there may be more of them by now.
    const ready =
      known === undefined ? cluster.topic(topic, { deadline }) : cluster.refresh().then(() => cluster.topic(topic, { deadline }))
    ready
      .then(
        (info) => {
          const { pending } = state
          state.pending = []
          for (const one of pending) this.#place(state, info, one)
        },
        (error: ClientError) => this.#failAll(state, error),
      )
      .then(() => {
        state.isResolving = false
        this.#resolving--
        wake()
        if (this.#resolving === 0) for (const waiter of this.#settledWaiters.splice(0)) waiter.resolve()
      })
  }

  #failAll(state: TopicState<K, V>, error: ClientError): void {
    const { pending } = state
    state.pending = []
    for (const { bytes, deliver, tag } of pending) {
      this.#options.accumulator.memory.release(bytes)
      notify(deliver, error, undefined, tag)
    }
  }

  #stateOf(topic: string): TopicState<K, V> {
    let state = this.#topics.get(topic)
    if (state === undefined) {
      const { cluster, config } = this.#options
      const sticky = new StickyPartitions(cluster.random, {
        batchSizeBytes: config['batch.size'],
        isAdaptive: config['partitioner.adaptive.partitioning.enable'],
      })
      state = { sticky, pending: [], isResolving: false, lastUsedMs: 0 }
      this.#topics.set(topic, state)
    }
    return state
  }

  /** The queues stay: their sequence numbers go on when the topic is used again. */
  #forgetIdle(): void {
    const { cluster, config, accumulator } = this.#options
    const idleSinceMs = cluster.clock.monotonic() - config['metadata.max.idle.ms']
    for (const [topic, state] of this.#topics) {
      if (state.lastUsedMs > idleSinceMs || state.isResolving || accumulator.hasTopic(topic)) continue
      cluster.dropInterest(topic)
      this.#topics.delete(topic)
    }
  }
}
