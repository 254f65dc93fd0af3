import { messageOf } from '@tidelog/core'
import type { NewRecord } from '@tidelog/protocol'
import type { Cluster } from '../cluster/cluster.ts'
import type { TopicInfo } from '../cluster/metadata-cache.ts'
import type { ProducerConfig } from '../config/producer-config.ts'
import { ClientError } from '../errors.ts'
import { type Deferred, deferred } from '../wait.ts'
import type { Accumulator, PartitionQueue } from './accumulator.ts'
import { type Delivery, failDelivery } from './delivery.ts'
import { partitionForKey } from './murmur2.ts'
import { type Partitioner, StickyPartitions } from './partitioner.ts'
import type { ProducerRecord } from './producer-record.ts'
import type { TurnClock } from './turn-clock.ts'

export interface TopicRouterOptions<K, V> {
  readonly cluster: Cluster
  readonly config: ProducerConfig
  readonly accumulator: Accumulator
  readonly clock: TurnClock
  readonly partitioner?: Partitioner<K, V>
  readonly wake: () => void
  /** Whether a broker takes what there is for it. */
  readonly isAvailable: (leaderId: number) => boolean
}

/** A record whose topic's partitions are not known yet. */
interface PendingRecord<K, V> {
  readonly record: ProducerRecord<K, V>
  readonly ready: NewRecord
  readonly bytes: number
  readonly delivery: Delivery
  readonly tag: number
}

interface TopicState<K, V> {
  readonly topic: string
  readonly sticky: StickyPartitions
  /** By partition, those used so far. */
  readonly queues: PartitionQueue[]
  /** In order; while something is here, everything for the topic goes here. */
  pending: PendingRecord<K, V>[]
  isResolving: boolean
  /** As the metadata had it after so many changes. */
  info: TopicInfo | undefined
  infoChange: number
  /** Monotonic. */
  lastUsedMs: number
}

/** Finds each record its partition and puts it into that partition's queue, in the order of the calls. */
export class TopicRouter<K, V> {
  readonly #options: TopicRouterOptions<K, V>
  readonly #topics = new Map<string, TopicState<K, V>>()
  /** Of the topic used last: mostly the next one's too. */
  #lastState: TopicState<K, V> | undefined
  #resolving = 0
  /** Ms that records have waited for their topics' metadata, a topic at a time. */
  metadataWaitMs = 0
  #settledWaiters: Deferred<void>[] = []

  constructor(options: TopicRouterOptions<K, V>) {
    this.#options = options
    options.cluster.onMetadata(() => this.#forgetIdle())
  }

  /** `bytes` of the memory bound are reserved for the record; they go back when it is done, or cannot be routed. */
  route(record: ProducerRecord<K, V>, ready: NewRecord, bytes: number, delivery: Delivery, tag: number): void {
    const { topic } = record
    const { cluster, clock, wake } = this.#options
    const state = this.#lastState?.topic === topic ? this.#lastState : this.#stateOf(topic)
    state.lastUsedMs = clock.monotonic()
    if (state.infoChange !== cluster.metadata.changes) {
      state.info = cluster.metadata.topic(topic)
      state.infoChange = cluster.metadata.changes
    }
    const info = state.pending.length === 0 ? state.info : undefined
    const isKnown = info !== undefined && info.partitions.length > (record.partition ?? 0)
    if (!isKnown) {
      state.pending.push({ record, ready, bytes, delivery, tag })
      if (!state.isResolving) this.#resolve(topic, state)
      return
    }
    this.#place(state, info, record, ready, bytes, delivery, tag)
    wake()
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

  #place(
    state: TopicState<K, V>,
    info: TopicInfo,
    record: ProducerRecord<K, V>,
    ready: NewRecord,
    bytes: number,
    delivery: Delivery,
    tag: number,
  ): void {
    const { accumulator } = this.#options
    const isSticky = record.partition === undefined && this.#isSticky(ready)
    let partition: number
    try {
      partition = isSticky ? state.sticky.next(info.partitions, bytes) : this.#choose(info, record, ready)
      if (!Number.isInteger(partition) || partition < 0 || partition >= info.partitions.length) {
        throw new ClientError(
          'INVALID_PARTITION',
          `topic ${record.topic} has no partition ${partition}, only 0 to ${info.partitions.length - 1}`,
        )
      }
    } catch (error) {
      accumulator.memory.release(bytes)
      const message = messageOf(error)
      failDelivery(delivery, error instanceof ClientError ? error : new ClientError('PARTITIONER_FAILED', message, { cause: error }), tag)
      return
    }
    const appended = accumulator.append(this.#queueOf(state, partition), ready, bytes, delivery, tag)
    if (isSticky) state.sticky.appended(appended)
  }

  /** Does it go wherever a batch is being filled? */
  #isSticky({ key }: NewRecord): boolean {
    const { partitioner, config } = this.#options
    return partitioner === undefined && (key == null || config['partitioner.ignore.keys'])
  }

  #choose({ partitions }: TopicInfo, record: ProducerRecord<K, V>, { key = null }: NewRecord): number {
    if (record.partition !== undefined) return record.partition
    const { partitioner } = this.#options
    return partitioner === undefined ? partitionForKey(key!, partitions.length) : partitioner(record, key, partitions.length)
  }

  #queueOf(state: TopicState<K, V>, partition: number): PartitionQueue {
    let queue = state.queues[partition]
    if (queue === undefined) {
      queue = this.#options.accumulator.queueOf(state.topic, partition)
      state.queues[partition] = queue
    }
    return queue
  }

  /** Fetches the topic's metadata, for up to `max.block.ms`, and places what has been waiting for it. */
  #resolve(topic: string, state: TopicState<K, V>): void {
    const { cluster, config, wake } = this.#options
    state.isResolving = true
    this.#resolving++
    const deadline = cluster.deadline(config['max.block.ms'])
    const sinceMs = cluster.clock.monotonic()
    const known = cluster.metadata.topic(topic)
    // Known, and yet a record names a partition beyond: there may be more of them by now.
    const ready =
      known === undefined ? cluster.topic(topic, { deadline }) : cluster.refresh().then(() => cluster.topic(topic, { deadline }))
    ready
      .then(
        (info) => {
          const { pending } = state
          state.pending = []
          for (const { record, ready: bytesReady, bytes, delivery, tag } of pending)
            this.#place(state, info, record, bytesReady, bytes, delivery, tag)
        },
        (error: ClientError) => this.#failAll(state, error),
      )
      .then(() => {
        this.metadataWaitMs += cluster.clock.monotonic() - sinceMs
        state.isResolving = false
        this.#resolving--
        wake()
        if (this.#resolving === 0) for (const waiter of this.#settledWaiters.splice(0)) waiter.resolve()
      })
  }

  #failAll(state: TopicState<K, V>, error: ClientError): void {
    const { pending } = state
    state.pending = []
    for (const { bytes, delivery, tag } of pending) {
      this.#options.accumulator.memory.release(bytes)
      failDelivery(delivery, error, tag)
    }
  }

  #stateOf(topic: string): TopicState<K, V> {
    let state = this.#topics.get(topic)
    if (state === undefined) {
      const { cluster, config, accumulator, isAvailable } = this.#options
      const queues: PartitionQueue[] = []
      const sticky = new StickyPartitions(cluster.random, {
        batchSizeBytes: config['batch.size'],
        isAdaptive: config['partitioner.adaptive.partitioning.enable'],
        queueLength: (partition) => queues[partition]?.length ?? 0,
        isAvailable,
        closeIfFull: (partition, bytes) => accumulator.closeIfFull(queues[partition]!, bytes),
      })
      state = { topic, sticky, queues, pending: [], isResolving: false, lastUsedMs: 0, info: undefined, infoChange: -1 }
      this.#topics.set(topic, state)
    }
    this.#lastState = state
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
      if (this.#lastState === state) this.#lastState = undefined
    }
  }
}
