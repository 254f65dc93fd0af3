import { KafkaError } from '@tidelog/protocol'
import { writeInChunks } from '../store/bulk-write.ts'
import { isStoreError, type MetadataStore, type OperationResult, type StoreOperation } from '../store/metadata-store.ts'
import {
  CONTROLLER_EPOCH,
  configPath,
  deleteTopicPath,
  encodeConfigs,
  encodeFeatures,
  encodePartitionState,
  encodeTopic,
  FEATURE,
  partitionPath,
  partitionStatePath,
  partitionsPath,
  topicPath,
} from '../znodes.ts'
import type { PartitionState, StoredLeadership, TopicState } from './cluster-state.ts'
import type { PlannedTopic } from './create-topics.ts'
import type { NextLeadership } from './leader-election.ts'

/** This controller's term of office: writes carry its number and happen only while no later controller has been elected. */
export interface ControllerTerm {
  readonly epoch: number
  /** Version of the node that holds the epoch. */
  readonly epochVersion: number
}

export interface LeadershipChange {
  readonly topic: TopicState
  readonly index: number
  readonly next: NextLeadership
}

/** The controller's writes, each fenced by its term. Large ones go in several transactions, of which the first names what the others complete. */
export class ControllerStore {
  readonly #store: MetadataStore
  readonly #term: ControllerTerm

  constructor(store: MetadataStore, term: ControllerTerm) {
    this.#store = store
    this.#term = term
  }

  /**
   * Writes a topic with its configs and its partitions' first leaders.
   * @param leaders By partition index; a partition without one stays without until a replica is live.
   * @throws KafkaError NOT_CONTROLLER; TOPIC_ALREADY_EXISTS when somebody else has written it
   */
  async createTopic(planned: PlannedTopic, leaders: ReadonlyMap<number, NextLeadership>): Promise<TopicState> {
    const { name, topicId, configs, partitions } = planned
    const configNode = configPath('topics', name)
    const hasConfigs = (await this.#store.exists(configNode)) !== undefined
    const operations: StoreOperation[] = [
      { type: hasConfigs ? 'set' : 'create', path: configNode, data: encodeConfigs(configs) },
      { type: 'create', path: topicPath(name), data: encodeTopic(topicId, partitions) },
      emptyNode(partitionsPath(name)),
    ]
    for (const [index, next] of leaders) operations.push(emptyNode(partitionPath(name, index)), this.#createState(name, index, next))
    const results = await this.#write(operations).catch((error) => {
      if (!isStoreError(error, 'NodeExists')) throw error
      throw new KafkaError('TOPIC_ALREADY_EXISTS', `Topic '${name}' already exists.`)
    })
    const topic: TopicState = { name, topicId, version: 0, partitions: new Map() }
    for (const [index, assignment] of partitions) topic.partitions.set(index, { ...assignment, leadership: undefined })
    const states = results.slice(3)
    for (const [at, [index, next]] of [...leaders].entries()) {
      topic.partitions.set(index, { ...topic.partitions.get(index)!, leadership: this.#stored(next, states[2 * at + 1]!) })
    }
    return topic
  }

  /** Writes a topic's larger assignment. The new partitions have no leader yet. @throws KafkaError NOT_CONTROLLER */
  async addPartitions(topic: TopicState, added: ReadonlyMap<number, readonly number[]>): Promise<TopicState> {
    const partitions = new Map(topic.partitions)
    for (const [index, replicas] of added) {
      partitions.set(index, { replicas, addingReplicas: [], removingReplicas: [], leadership: undefined })
    }
    const data = encodeTopic(topic.topicId, partitions)
    await this.#write([{ type: 'set', path: topicPath(topic.name), data, version: topic.version }])
    return { ...topic, version: topic.version + 1, partitions }
  }

  /** Writes leaders and ISRs, and puts them into the topics. @throws KafkaError NOT_CONTROLLER */
  async setLeaderships(changes: readonly LeadershipChange[]): Promise<void> {
    const operations: StoreOperation[] = []
    const resultOf: number[] = []
    const parents = new Set<string>()
    for (const { topic, index, next } of changes) {
      const { leadership } = topic.partitions.get(index)!
      if (leadership === undefined) {
        if (!parents.has(topic.name)) operations.push(...(await this.#missingNode(partitionsPath(topic.name))))
        parents.add(topic.name)
        operations.push(...(await this.#missingNode(partitionPath(topic.name, index))))
      }
      resultOf.push(operations.length)
      operations.push(
        leadership === undefined ? this.#createState(topic.name, index, next) : this.#setState(topic.name, index, next, leadership),
      )
    }
    const results = await this.#write(operations)
    for (const [at, { topic, index, next }] of changes.entries()) {
      const before = topic.partitions.get(index)!
      topic.partitions.set(index, { ...before, leadership: this.#stored(next, results[resultOf[at]!]!) } satisfies PartitionState)
    }
  }

  /** Writes the finalized feature levels, unless somebody else has since `version`. @throws KafkaError NOT_CONTROLLER; StoreError BadVersion */
  async setFeatures(levels: ReadonlyMap<string, number>, version: number): Promise<void> {
    await this.#write([{ type: 'set', path: FEATURE, data: encodeFeatures(levels), version }])
  }

  /** Notes that a topic is to be deleted. @throws KafkaError NOT_CONTROLLER */
  async markForDeletion(topic: string): Promise<void> {
    await this.#write([emptyNode(deleteTopicPath(topic))])
  }

  /** Removes the mark of a topic that there is not. */
  async unmarkForDeletion(topic: string): Promise<void> {
    await this.#write([{ type: 'delete', path: deleteTopicPath(topic) }])
  }

  /** Removes a notification that has been taken in. @throws KafkaError NOT_CONTROLLER */
  async removeEvent(path: string): Promise<void> {
    await this.#write([{ type: 'delete', path }])
  }

  /** Removes all that is known of a topic, the mark last. @throws KafkaError NOT_CONTROLLER */
  async removeTopic(topic: string): Promise<void> {
    const operations: StoreOperation[] = []
    const partitions = await this.#childrenOf(partitionsPath(topic))
    for (const partition of partitions) {
      const path = `${partitionsPath(topic)}/${partition}`
      for (const child of await this.#childrenOf(path)) operations.push({ type: 'delete', path: `${path}/${child}` })
      operations.push({ type: 'delete', path })
    }
    for (const path of [partitionsPath(topic), configPath('topics', topic), topicPath(topic), deleteTopicPath(topic)]) {
      if ((await this.#store.exists(path)) !== undefined) operations.push({ type: 'delete', path })
    }
    await this.#write(operations)
  }

  async #childrenOf(path: string): Promise<string[]> {
    return (await this.#store.exists(path)) === undefined ? [] : this.#store.children(path)
  }

  async #missingNode(path: string): Promise<StoreOperation[]> {
    return (await this.#store.exists(path)) === undefined ? [emptyNode(path)] : []
  }

  #createState(topic: string, index: number, next: NextLeadership): StoreOperation {
    const data = encodePartitionState({ ...next, controllerEpoch: this.#term.epoch })
    return { type: 'create', path: partitionStatePath(topic, index), data }
  }

  #setState(topic: string, index: number, next: NextLeadership, { partitionEpoch }: StoredLeadership): StoreOperation {
    const data = encodePartitionState({ ...next, controllerEpoch: this.#term.epoch })
    return { type: 'set', path: partitionStatePath(topic, index), data, version: partitionEpoch }
  }

  #stored(next: NextLeadership, { stat }: OperationResult): StoredLeadership {
    return { ...next, controllerEpoch: this.#term.epoch, partitionEpoch: stat!.version, changedAt: stat!.mzxid }
  }

  /** One result an operation. */
  async #write(operations: readonly StoreOperation[]): Promise<OperationResult[]> {
    try {
      return await writeInChunks(this.#store, operations, { type: 'check', path: CONTROLLER_EPOCH, version: this.#term.epochVersion })
    } catch (error) {
      const isFenced = isStoreError(error, 'BadVersion') && error.path === CONTROLLER_EPOCH
      if (!isFenced && !isStoreError(error, 'SessionExpired')) throw error
      throw new KafkaError('NOT_CONTROLLER', 'This is not the correct controller for this cluster.', { cause: error })
    }
  }
}

const emptyNode = (path: string): StoreOperation => ({ type: 'create', path, data: Buffer.alloc(0) })
