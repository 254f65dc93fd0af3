import { type Logger, ZERO_UUID } from '@tidelog/core'
import {
  KafkaError,
  type LeaderAndIsrRequest,
  type LeaderAndIsrResponse,
  type StopReplicaRequest,
  type StopReplicaResponse,
} from '@tidelog/protocol'
import type { Log, LogManager } from '@tidelog/storage'
import { Partition, type PartitionState } from './partition.ts'
import type { TimerWheel } from './timer-wheel.ts'

/** What the rest of the broker knows of the cluster's topics; a partition that is not here may be elsewhere. */
export interface TopicView {
  hasPartition(topic: string, index: number): boolean
  /** The name of the topic with that id; undefined when there is none. */
  topicName(topicId: string): string | undefined
}

/** Told when this broker begins or ends to lead a partition, in the order of the controller's decisions. */
export interface LeadershipListener {
  onLeader(partition: Partition): void
  onResigned(topic: string, index: number): void
}

/** Partitions of one decision that are opened or made at a time: they mostly wait for the disk. */
const PARTITIONS_AT_A_TIME = 8
/** As many new logs have their files when the controller is answered, so that whoever made a small topic finds its folders; those of more come later. */
const LOGS_MADE_AT_ONCE = 16

/** The partitions of one broker, as the controller's LeaderAndIsr and StopReplica say. */
export class ReplicaManager {
  readonly #nodeId: number
  readonly #logs: LogManager
  readonly #timers: TimerWheel
  readonly #topics: TopicView
  readonly #logger: Logger
  readonly #partitions = new Map<string, Map<number, Partition>>()
  /** Partitions of this broker whose log dir is offline, by name. */
  readonly #offline = new Set<string>()
  readonly #listeners: LeadershipListener[] = []
  #controllerEpoch = 0
  /** The controller's calls are applied one after the other, whole. */
  #applying: Promise<unknown> = Promise.resolve()

  constructor(options: { nodeId: number; logs: LogManager; timers: TimerWheel; topics: TopicView; logger: Logger }) {
    this.#nodeId = options.nodeId
    this.#logs = options.logs
    this.#timers = options.timers
    this.#topics = options.topics
    this.#logger = options.logger
  }

  addListener(listener: LeadershipListener): void {
    this.#listeners.push(listener)
  }

  /** The partition when this broker hosts it, as leader or follower. */
  hosted(topic: string, index: number): Partition | undefined {
    return this.#partitions.get(topic)?.get(index)
  }

  /**
   * @throws KafkaError UNKNOWN_TOPIC_OR_PARTITION when the cluster has none, KAFKA_STORAGE_ERROR when its log dir is offline,
   * NOT_LEADER_OR_FOLLOWER when another broker leads it
   */
  leaderOf(topic: string, index: number): Partition {
    const partition = this.hosted(topic, index)
    if (partition?.isLeader) return partition
    if (this.isOffline(topic, index))
      throw new KafkaError('KAFKA_STORAGE_ERROR', `Partition ${topic}-${index} is in an offline log directory`)
    if (partition === undefined && !this.#topics.hasPartition(topic, index)) {
      throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `there is no partition ${topic}-${index}`)
    }
    throw new KafkaError('NOT_LEADER_OR_FOLLOWER', `this broker does not lead ${topic}-${index}`)
  }

  /** Whether this broker has the partition in a log dir that is offline. */
  isOffline(topic: string, index: number): boolean {
    return this.#offline.has(nameOf(topic, index))
  }

  /**
   * Begins to move a partition to another log dir of this broker; where it is ends a move. One that is not here yet will be made there.
   * @throws KafkaError INVALID_TOPIC_EXCEPTION (the name is too long), LOG_DIR_NOT_FOUND, KAFKA_STORAGE_ERROR, UNKNOWN_TOPIC_OR_PARTITION,
   * NOT_LEADER_OR_FOLLOWER when the cluster has it and this broker has not
   */
  async moveToLogDir(topic: string, index: number, path: string): Promise<void> {
    const isHere = await this.#logs.moveLog(topic, index, path, { isOffline: this.isOffline(topic, index) })
    if (isHere) return
    if (this.#topics.hasPartition(topic, index)) {
      throw new KafkaError('NOT_LEADER_OR_FOLLOWER', `this broker has no replica of ${topic}-${index}`)
    }
    throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `there is no partition ${topic}-${index}`)
  }

  /** A log dir has failed: its partitions are out of service until a restart finds it repaired. */
  onDirFailure(dir: string): void {
    for (const partition of [...this.partitions()]) if (partition.log.logDir === dir) this.#takeOffline(partition)
  }

  /** @throws KafkaError UNKNOWN_TOPIC_ID */
  topicName(topicId: string): string {
    const name = this.#topics.topicName(topicId)
    if (name === undefined) throw new KafkaError('UNKNOWN_TOPIC_ID', `there is no topic with id ${topicId}`)
    return name
  }

  *partitions(): Iterable<Partition> {
    for (const byIndex of this.#partitions.values()) yield* byIndex.values()
  }

  applyLeaderAndIsr(request: LeaderAndIsrRequest): Promise<LeaderAndIsrResponse> {
    return this.#inTurn(() => this.#leaderAndIsr(request))
  }

  applyStopReplica(request: StopReplicaRequest): Promise<StopReplicaResponse> {
    return this.#inTurn(() => this.#stopReplica(request))
  }

  /** Ends what waits on any partition; the logs are their manager's to close. */
  async close(): Promise<void> {
    await this.#inTurn(async () => {
      for (const partition of this.partitions()) partition.stop()
    })
  }

  async #leaderAndIsr({ controllerEpoch, topicStates, ungroupedPartitionStates }: LeaderAndIsrRequest): Promise<LeaderAndIsrResponse> {
    if (this.#isStale(controllerEpoch)) return { errorCode: staleControllerEpoch, partitionErrors: [], topics: [] }
    const partitionErrors: LeaderAndIsrResponse['partitionErrors'] = []
    const topics: LeaderAndIsrResponse['topics'] = []
    const states = [
      ...topicStates,
      ...ungroupedPartitionStates.map((state) => ({ topicName: state.topicName, topicId: ZERO_UUID, partitionStates: [state] })),
    ]
    const partitions = states.reduce((sum, { partitionStates }) => sum + partitionStates.length, 0)
    for (const { topicName, topicId, partitionStates } of states) {
      const errors = await inParallel(partitionStates, PARTITIONS_AT_A_TIME, async (state) => ({
        topicName,
        partitionIndex: state.partitionIndex,
        errorCode: await this.#codeOf(`${topicName}-${state.partitionIndex}`, () =>
          this.#lead(
            topicName,
            topicId,
            state.partitionIndex,
            {
              leaderId: state.leader,
              leaderEpoch: state.leaderEpoch,
              partitionEpoch: state.partitionEpoch,
              isr: state.isr,
              replicas: state.replicas,
            },
            { isNew: state.isNew, makesFiles: partitions <= LOGS_MADE_AT_ONCE },
          ),
        ),
      }))
      partitionErrors.push(...errors)
      topics.push({ topicId, partitionErrors: errors })
    }
    return { errorCode: 0, partitionErrors, topics }
  }

  async #lead(
    topic: string,
    topicId: string,
    index: number,
    state: PartitionState,
    options: { isNew: boolean; makesFiles: boolean },
  ): Promise<void> {
    if (this.isOffline(topic, index)) throw new KafkaError('KAFKA_STORAGE_ERROR', `${nameOf(topic, index)} is in an offline log directory`)
    let partition = this.hosted(topic, index)
    if (partition !== undefined && topicId !== ZERO_UUID && partition.topicId !== topicId) {
      throw new KafkaError('INCONSISTENT_TOPIC_ID', `${topic} is here with id ${partition.topicId}, not ${topicId}`)
    }
    if (partition !== undefined && isOlder(state, partition.state)) {
      throw new KafkaError('FENCED_LEADER_EPOCH', `${partition.name} is at leader epoch ${partition.leaderEpoch} already`)
    }
    const wasLeader = partition?.isLeader === true
    if (partition === undefined) {
      const log = await this.#logOf(topic, index, { topicId, ...options })
      if (log.topicId === undefined && topicId !== ZERO_UUID) await log.assignTopicId(topicId)
      partition = new Partition({ topic, index, topicId, log, nodeId: this.#nodeId, timers: this.#timers, state })
      const byIndex = this.#partitions.get(topic) ?? new Map<number, Partition>()
      this.#partitions.set(topic, byIndex)
      byIndex.set(index, partition)
    }
    try {
      await partition.become(state)
    } catch (error) {
      if (partition.log.isFailed) this.#takeOffline(partition)
      throw error
    }
    if (partition.isLeader && !wasLeader) for (const listener of this.#listeners) listener.onLeader(partition)
    if (!partition.isLeader && wasLeader) this.#tellResigned(topic, index)
  }

  /** @throws KafkaError KAFKA_STORAGE_ERROR, and the partition is offline */
  async #logOf(
    topic: string,
    index: number,
    { topicId, isNew, makesFiles }: { topicId: string; isNew: boolean; makesFiles: boolean },
  ): Promise<Log> {
    try {
      const log = await this.#logs.createLog(topic, index, topicId, { isNew, makesFiles })
      if (log.isFailed) throw new KafkaError('KAFKA_STORAGE_ERROR', `${log.name} is in ${log.logDir}, which is offline`)
      return log
    } catch (error) {
      this.#offline.add(nameOf(topic, index))
      throw error
    }
  }

  #takeOffline(partition: Partition): void {
    const { topic, index, isLeader } = partition
    this.#offline.add(nameOf(topic, index))
    this.#forget(partition)
    partition.stop('KAFKA_STORAGE_ERROR')
    if (isLeader) this.#tellResigned(topic, index)
  }

  #forget({ topic, index }: Partition): void {
    const byIndex = this.#partitions.get(topic)
    byIndex?.delete(index)
    if (byIndex?.size === 0) this.#partitions.delete(topic)
  }

  async #stopReplica({
    controllerEpoch,
    topicStates,
    topics,
    ungroupedPartitions,
    deletePartitions,
  }: StopReplicaRequest): Promise<StopReplicaResponse> {
    if (this.#isStale(controllerEpoch)) return { errorCode: staleControllerEpoch, partitionErrors: [] }
    const stops = [
      ...topicStates.flatMap(({ topicName, partitionStates }) =>
        partitionStates.map(({ partitionIndex, deletePartition }) => ({ topicName, partitionIndex, remove: deletePartition })),
      ),
      ...topics.flatMap(({ name, partitionIndexes }) =>
        partitionIndexes.map((partitionIndex) => ({ topicName: name, partitionIndex, remove: deletePartitions })),
      ),
      ...ungroupedPartitions.map(({ topicName, partitionIndex }) => ({ topicName, partitionIndex, remove: deletePartitions })),
    ]
    for (const { topicName, partitionIndex } of stops) this.#stop(topicName, partitionIndex)
    const removed = stops.flatMap(({ topicName, partitionIndex, remove }) =>
      remove ? { topic: topicName, partition: partitionIndex } : [],
    )
    for (const { topic, partition } of removed) this.#offline.delete(nameOf(topic, partition))
    const failed = await this.#logs.deleteLogs(removed)
    const partitionErrors = stops.map(({ topicName, partitionIndex }) => {
      const error = failed.get(`${topicName}-${partitionIndex}`)
      if (error !== undefined) this.#logger.error('a log could not be deleted', { partition: `${topicName}-${partitionIndex}`, error })
      return { topicName, partitionIndex, errorCode: error?.code ?? 0 }
    })
    return { errorCode: 0, partitionErrors }
  }

  #stop(topic: string, index: number): void {
    const partition = this.hosted(topic, index)
    if (partition === undefined) return
    const wasLeader = partition.isLeader
    partition.stop()
    this.#forget(partition)
    if (wasLeader) this.#tellResigned(topic, index)
  }

  #tellResigned(topic: string, index: number): void {
    for (const listener of this.#listeners) listener.onResigned(topic, index)
  }

  #isStale(controllerEpoch: number): boolean {
    if (controllerEpoch < this.#controllerEpoch) return true
    this.#controllerEpoch = controllerEpoch
    return false
  }

  async #codeOf(partition: string, work: () => Promise<void>): Promise<number> {
    try {
      await work()
      return 0
    } catch (error) {
      this.#logger.error('a decision of the controller could not be applied', { partition, error })
      return error instanceof KafkaError ? error.code : new KafkaError('KAFKA_STORAGE_ERROR').code
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#applying.then(work)
    this.#applying = result.catch(() => {})
    return result
  }
}

const nameOf = (topic: string, index: number) => `${topic}-${index}`
const staleControllerEpoch = new KafkaError('STALE_CONTROLLER_EPOCH').code

const isOlder = (next: PartitionState, now: PartitionState) =>
  next.leaderEpoch < now.leaderEpoch || (next.leaderEpoch === now.leaderEpoch && next.partitionEpoch < now.partitionEpoch)

/** Results in the order of `items`; no more than `limit` are worked on at a time. `work` must not throw. */
async function inParallel<T, R>(items: readonly T[], limit: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results = new Array<R>(items.length)
  let next = 0
  const worker = async () => {
    while (next < items.length) {
      const index = next++
      results[index] = await work(items[index]!)
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker))
  return results
}
