import type { Clock, Logger } from '@tidelog/core'
import { KafkaError, type LeaderAndIsrRequest, type UpdateMetadataRequest, type UpdateMetadataResponse } from '@tidelog/protocol'
import { ClusterConfigs } from './configs.ts'
import { LEADER_DURING_DELETE } from './controller/control-requests.ts'
import { isInternalTopic } from './controller/topic-name.ts'
import { type SupportedFeatures, supportedFeatures } from './features.ts'
import { FinalizedFeatures, type FinalizedLevels } from './finalized-features.ts'
import { isStoreError, type MetadataStore } from './store/metadata-store.ts'
import { type Endpoint, SECURITY_PROTOCOL_CODES, type SecurityProtocol } from './znodes.ts'

export interface PartitionImage {
  /** −1 when there is none. */
  readonly leaderId: number
  readonly leaderEpoch: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  readonly offlineReplicas: readonly number[]
  readonly partitionEpoch: number
}

export interface TopicImage {
  readonly name: string
  readonly topicId: string
  readonly isInternal: boolean
  /** By index. */
  readonly partitions: ReadonlyMap<number, PartitionImage>
}

export interface BrokerImage {
  readonly id: number
  /** By listener name. */
  readonly endpoints: ReadonlyMap<string, Endpoint>
  readonly rack: string | null
}

/** What one UpdateMetadata has changed, by topic name. */
export interface ImageChange {
  readonly changedTopics: ReadonlySet<string>
  readonly deletedTopics: ReadonlySet<string>
  readonly brokersChanged: boolean
}

/** It must not throw. */
export type ImageListener = (change: ImageChange) => void

const staleControllerEpoch = new KafkaError('STALE_CONTROLLER_EPOCH').code
const protocolsByCode = new Map(Object.entries(SECURITY_PROTOCOL_CODES).map(([protocol, code]) => [code, protocol as SecurityProtocol]))

interface MutableTopic extends TopicImage {
  readonly partitions: Map<number, PartitionImage>
}

/**
 * One broker's read-only view of the cluster: what the controller last told it by UpdateMetadata, and the dynamic configurations and
 * feature levels in the store. Topics, partitions and brokers that a caller holds on to do not change; a later change puts new ones in their place.
 */
export class MetadataImage {
  readonly clusterId: string
  /** Dynamic configurations of topics and brokers. */
  readonly configs: ClusterConfigs
  readonly #features: FinalizedFeatures
  readonly #topics = new Map<string, MutableTopic>()
  readonly #namesById = new Map<string, string>()
  #brokers: ReadonlyMap<number, BrokerImage> = new Map()
  #controllerId: number | undefined
  #controllerEpoch = 0
  readonly #listeners = new Set<ImageListener>()
  readonly #logger: Logger

  private constructor(clusterId: string, configs: ClusterConfigs, features: FinalizedFeatures, logger: Logger) {
    this.clusterId = clusterId
    this.configs = configs
    this.#features = features
    this.#logger = logger
  }

  /**
   * @param options.features What this broker can run; what this software can when absent.
   * @throws Error in one line when the cluster runs a level of a feature that this broker cannot
   */
  static async open(options: {
    clusterId: string
    store: MetadataStore
    features?: SupportedFeatures
    clock: Clock
    logger: Logger
  }): Promise<MetadataImage> {
    const features = await FinalizedFeatures.open({ ...options, supported: options.features ?? supportedFeatures })
    return new MetadataImage(options.clusterId, await ClusterConfigs.open(options), features, options.logger)
  }

  /** The level of a feature that the cluster runs; 0 when it runs without. */
  featureLevel(name: string): number {
    return this.#features.current.levels.get(name) ?? 0
  }

  get finalizedFeatures(): FinalizedLevels {
    return this.#features.current
  }

  /** Makes the finalized levels at least as new as what was written before the call. */
  refreshFeatures(): Promise<void> {
    return this.#features.refresh()
  }

  /** Undefined until a controller has made itself known. */
  get controllerId(): number | undefined {
    return this.#controllerId
  }

  /** Live brokers by id. */
  get brokers(): ReadonlyMap<number, BrokerImage> {
    return this.#brokers
  }

  /** By name. */
  get topics(): ReadonlyMap<string, TopicImage> {
    return this.#topics
  }

  topic(name: string): TopicImage | undefined {
    return this.#topics.get(name)
  }

  topicById(topicId: string): TopicImage | undefined {
    const name = this.#namesById.get(topicId)
    return name === undefined ? undefined : this.#topics.get(name)
  }

  topicName(topicId: string): string | undefined {
    return this.#namesById.get(topicId)
  }

  partition(topic: string, index: number): PartitionImage | undefined {
    return this.#topics.get(topic)?.partitions.get(index)
  }

  hasPartition(topic: string, index: number): boolean {
    return this.partition(topic, index) !== undefined
  }

  /** Called after each UpdateMetadata that changed something. @returns What ends the subscription. */
  onChange(listener: ImageListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves when `condition` holds; looks again after each change. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      if (condition()) return resolve()
      const stop = this.onChange(() => {
        if (!condition()) return
        stop()
        resolve()
      })
    })
  }

  /** Reads the configurations of topics that a LeaderAndIsr creates: to be waited for before their logs are. */
  async readNewTopicConfigs({ topicStates }: LeaderAndIsrRequest): Promise<void> {
    const created = topicStates.filter(({ partitionStates }) => partitionStates.some(({ isNew }) => isNew))
    await Promise.all(created.map(({ topicName }) => this.configs.refresh({ type: 'topics', name: topicName })))
  }

  /** Takes in what the controller says, unless it is an older controller than the last one. Source: KIP-4, ZooKeeper mode. */
  applyUpdateMetadata(request: UpdateMetadataRequest): UpdateMetadataResponse {
    const { controllerEpoch, controllerId, liveBrokers } = request
    if (controllerEpoch < this.#controllerEpoch) return { errorCode: staleControllerEpoch }
    const changedTopics = new Set<string>()
    const deletedTopics = new Set<string>()
    for (const { topicName, topicId, partitionStates } of request.topicStates) {
      const known = this.#topics.get(topicName)
      // Another id under the same name is another topic: nothing of the old one stays.
      const partitions = new Map(known?.topicId === topicId ? known.partitions : [])
      for (const state of partitionStates) {
        if (state.leader === LEADER_DURING_DELETE) partitions.delete(state.partitionIndex)
        else {
          partitions.set(state.partitionIndex, {
            leaderId: state.leader,
            leaderEpoch: state.leaderEpoch,
            replicas: state.replicas,
            isr: state.isr,
            offlineReplicas: state.offlineReplicas,
            partitionEpoch: state.zkVersion,
          })
        }
      }
      this.#forget(topicName)
      if (partitions.size === 0) {
        deletedTopics.add(topicName)
        this.configs.forget({ type: 'topics', name: topicName })
        continue
      }
      if (known?.topicId !== topicId) this.#readConfigs(topicName)
      this.#topics.set(topicName, { name: topicName, topicId, isInternal: isInternalTopic(topicName), partitions })
      this.#namesById.set(topicId, topicName)
      changedTopics.add(topicName)
    }
    const brokers = brokersOf(liveBrokers)
    const brokersChanged =
      JSON.stringify([...brokers.values()].map(plain)) !== JSON.stringify([...this.#brokers.values()].map(plain)) ||
      this.#controllerId !== controllerId
    this.#brokers = brokers
    this.#controllerId = controllerId
    this.#controllerEpoch = controllerEpoch
    if (brokersChanged || changedTopics.size > 0 || deletedTopics.size > 0) {
      for (const listener of [...this.#listeners]) listener({ changedTopics, deletedTopics, brokersChanged })
    }
    return { errorCode: 0 }
  }

  close(): void {
    this.#listeners.clear()
    this.configs.close()
    this.#features.close()
  }

  /** For topics that this broker hosts nothing of; of the others they have been read before their logs were made. */
  #readConfigs(name: string): void {
    this.configs.refresh({ type: 'topics', name }).catch((error) => {
      const isOver = isStoreError(error, 'SessionExpired') || isStoreError(error, 'StoreClosed')
      if (!isOver) this.#logger.error("a topic's configurations could not be read", { topic: name, error })
    })
  }

  #forget(name: string): void {
    const topic = this.#topics.get(name)
    if (topic === undefined) return
    this.#topics.delete(name)
    this.#namesById.delete(topic.topicId)
  }
}

const plain = ({ id, endpoints, rack }: BrokerImage) => ({ id, endpoints: [...endpoints.values()], rack })

function brokersOf(liveBrokers: UpdateMetadataRequest['liveBrokers']): Map<number, BrokerImage> {
  const brokers = new Map<number, BrokerImage>()
  for (const { id, endpoints, rack } of liveBrokers) {
    const byListener = new Map<string, Endpoint>()
    for (const { listener, host, port, securityProtocol } of endpoints) {
      byListener.set(listener, { listener, host, port, securityProtocol: protocolsByCode.get(securityProtocol) ?? 'PLAINTEXT' })
    }
    brokers.set(id, { id, endpoints: byListener, rack })
  }
  return brokers
}
