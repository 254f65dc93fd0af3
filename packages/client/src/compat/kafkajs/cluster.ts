import type { ExchangeObserver } from '@tidelog/net'
import { Metadata, type MetadataResponse } from '@tidelog/protocol'
import { Cluster as OurCluster } from '../../cluster/cluster.ts'
import { adminConfig } from '../../config/admin-config.ts'
import { KafkaJSBroker } from './broker/broker.ts'
import type { FindCoordinatorGiven } from './broker/group-calls.ts'
import { metadataCall, metadataOf } from './broker/topic-calls.ts'
import type { ClientOptions } from './client-options.ts'
import {
  KafkaJSBrokerNotFound,
  KafkaJSConnectionError,
  KafkaJSGroupCoordinatorNotFound,
  KafkaJSMetadataNotLoaded,
  KafkaJSNumberOfRetriesExceeded,
  KafkaJSProtocolError,
  KafkaJSTopicMetadataNotLoaded,
} from './errors.ts'
import { errorOfCode, finalErrorOf } from './protocol-errors.ts'
import type { PartitionMetadata, TopicOffsets } from './types-client.ts'
import type { BrokerMetadata, Cluster, CoordinatorMetadata } from './types-group.ts'

const EARLIEST = -2
const LATEST = -1
/** For a topic that the first request for it has created. */
const CREATION_TIMEOUT_MS = 5000
const ELECTION_TIMEOUT_MS = 1000

/** What the cluster rests on. */
export interface ClusterSource {
  /** Options of our clients. @throws KafkaJSError before the consumer is connected */
  options(): ClientOptions
  /** Hears of the requests. */
  readonly observer: ExchangeObserver
  readonly retries: { readonly retryCount: number; readonly retryTime: number }
  /** Limit of a call, its retries included. */
  callTimeoutMs(): number
  readonly allowAutoTopicCreation: boolean
  /** 0: read uncommitted; 1: read committed. */
  readonly isolationLevel: number
}

type ShapedMetadata = ReturnType<typeof metadataOf>

/**
 * The cluster as kafkajs's consumers and their assigners see it. Its connections are its own, made when they are needed: an assigner may
 * disconnect it, or a broker of it, without harm to the consumer.
 */
export class KafkaJSCluster implements Cluster {
  readonly #source: ClusterSource
  readonly #targets = new Set<string>()
  #ours: OurCluster | undefined
  #metadata: ShapedMetadata | undefined
  #expiresMs = 0
  #brokers = new Map<number, KafkaJSBroker>()
  #refreshed: Promise<void> = Promise.resolve()

  constructor(source: ClusterSource) {
    this.#source = source
  }

  // --- connections -----------------------------------------------------------------------------------------------------------------------

  isConnected(): boolean {
    return (this.#ours?.connectionMetrics.connectionCount ?? 0) > 0
  }

  /** @throws KafkaJSNumberOfRetriesExceeded around the last failure to */
  async connect(): Promise<void> {
    if (!this.isConnected()) await this.#attempt('a connection', async (cluster) => void (await cluster.anyConnection()))
  }

  async disconnect(): Promise<void> {
    this.#ours?.close()
    this.#ours = undefined
    this.#brokers = new Map()
    this.#metadata = undefined
  }

  /** Metadata is fetched again before it is used; if it still names the broker, that is back. */
  removeBroker({ host, port }: { host: string; port: number }): void {
    for (const { nodeId } of this.#metadata?.brokers.filter((one) => one.host === host && one.port === port) ?? [])
      this.#brokers.delete(nodeId)
    this.#expiresMs = 0
  }

  getNodeIds(): number[] {
    return [...this.#brokers.keys()]
  }

  /** Connected. @throws KafkaJSBrokerNotFound, KafkaJSConnectionError; metadata is fetched again then */
  async findBroker({ nodeId }: { nodeId: string | number }): Promise<KafkaJSBroker> {
    try {
      const broker = this.#brokers.get(Number(nodeId))
      if (broker === undefined) throw new KafkaJSBrokerNotFound(`the metadata names no broker ${nodeId}`)
      await broker.connect()
      return broker
    } catch (error) {
      if (error instanceof KafkaJSBrokerNotFound || error instanceof KafkaJSConnectionError) await this.refreshMetadata()
      throw error
    }
  }

  async findControllerBroker(): Promise<KafkaJSBroker> {
    if (this.#metadata === undefined) throw new KafkaJSMetadataNotLoaded('metadata has not been fetched yet')
    return this.findBroker({ nodeId: this.#metadata.controllerId })
  }

  // --- coordinators ----------------------------------------------------------------------------------------------------------------------

  async findGroupCoordinator(group: FindCoordinatorGiven): Promise<KafkaJSBroker> {
    const { coordinator } = await this.findGroupCoordinatorMetadata(group)
    if (!this.#brokers.has(coordinator.nodeId)) await this.refreshMetadata()
    return this.findBroker(coordinator)
  }

  /** @throws KafkaJSGroupCoordinatorNotFound when no broker can say, or says that there is none */
  async findGroupCoordinatorMetadata(group: FindCoordinatorGiven): Promise<CoordinatorMetadata> {
    await this.refreshMetadataIfNecessary()
    const cluster = this.#open()
    const retryIf = (error: unknown) => error instanceof KafkaJSProtocolError && error.type === 'GROUP_COORDINATOR_NOT_AVAILABLE'
    try {
      return await cluster.retry({ ...this.#limits(cluster), what: `the coordinator of ${group.groupId}`, retryIf }, () =>
        this.#askSome(group),
      )
    } catch (error) {
      throw new KafkaJSGroupCoordinatorNotFound(`no broker knows the coordinator of ${group.groupId}`, { cause: error as Error })
    }
  }

  /** The first broker that can be reached. */
  async #askSome(group: FindCoordinatorGiven): Promise<CoordinatorMetadata> {
    let failure: unknown
    for (const broker of this.#brokers.values()) {
      try {
        return await broker.findGroupCoordinator(group)
      } catch (error) {
        if (!(error instanceof KafkaJSConnectionError)) throw error
        failure = error
      }
    }
    throw failure ?? new KafkaJSBrokerNotFound('the metadata names no brokers')
  }

  // --- metadata --------------------------------------------------------------------------------------------------------------------------

  /** Of all topics when there is no target topic. @throws KafkaJSProtocolError of the first topic that has an error */
  refreshMetadata(): Promise<void> {
    // One after the other: an answer about fewer topics must not come behind one about all of them.
    const refreshed = this.#refreshed.then(() => this.#refresh())
    this.#refreshed = refreshed.catch(nothing)
    return refreshed
  }

  async #refresh(): Promise<void> {
    const cluster = this.#open()
    const metadata = await this.#fetchMetadata([...this.#targets])
    this.#metadata = metadata
    this.#expiresMs = cluster.clock.monotonic() + cluster.config['metadata.max.age.ms']
    const { clock } = cluster
    const { allowAutoTopicCreation } = this.#source
    const before = this.#brokers
    this.#brokers = new Map(
      metadata.brokers.map((node) => {
        const known = before.get(node.nodeId)
        return [node.nodeId, known?.isAt(node) ? known : new KafkaJSBroker(node, { cluster, clock, allowAutoTopicCreation })]
      }),
    )
    const gone = [...before.values()].filter((broker) => this.#brokers.get(broker.nodeId) !== broker)
    await Promise.all(gone.map((broker) => broker.disconnect()))
  }

  async refreshMetadataIfNecessary(): Promise<void> {
    const metadata = this.#metadata
    const isFresh = metadata !== undefined && this.#open().clock.monotonic() < this.#expiresMs
    if (!isFresh || ![...this.#targets].every((name) => metadata.topicMetadata.some(({ topic }) => topic === name)))
      await this.refreshMetadata()
  }

  addTargetTopic(topic: string): Promise<void> {
    return this.addMultipleTargetTopics([topic])
  }

  /** Topics that cannot be had are no targets. @throws KafkaJSProtocolError of the first of them */
  async addMultipleTargetTopics(topics: readonly string[]): Promise<void> {
    const added = topics.filter((topic) => !this.#targets.has(topic))
    if (added.length === 0 && this.#metadata !== undefined) return
    for (const topic of added) this.#targets.add(topic)
    try {
      await this.refreshMetadata()
    } catch (error) {
      if (error instanceof KafkaJSProtocolError) for (const topic of added) this.#targets.delete(topic)
      throw error
    }
  }

  /** Of all topics when none are named; what is known of the target topics stays as it is. */
  metadata({ topics = [] }: { topics?: string[] } = {}): Promise<BrokerMetadata> {
    return this.#fetchMetadata(topics)
  }

  /** @throws KafkaJSTopicMetadataNotLoaded when none has been fetched yet */
  findTopicPartitionMetadata(topic: string): PartitionMetadata[] {
    if (this.#metadata === undefined) throw new KafkaJSTopicMetadataNotLoaded('metadata has not been fetched yet', { topic })
    return this.#metadata.topicMetadata.find((one) => one.topic === topic)?.partitionMetadata ?? []
  }

  /** By node id, partitions in the order of `partitions`; what is not known is left out. */
  findLeaderForPartitions(topic: string, partitions: readonly (number | string)[]): { [leader: string]: number[] } {
    const known = this.findTopicPartitionMetadata(topic)
    const byLeader: { [leader: string]: number[] } = {}
    for (const partition of partitions.map(Number)) {
      const leader = known.find(({ partitionId }) => partitionId === partition)?.leader
      if (leader === undefined) continue
      const led = byLeader[leader] ?? []
      led.push(partition)
      byLeader[leader] = led
    }
    return byLeader
  }

  // --- offsets ---------------------------------------------------------------------------------------------------------------------------

  defaultOffset({ fromBeginning }: { fromBeginning: boolean }): number {
    return fromBeginning ? EARLIEST : LATEST
  }

  async fetchTopicsOffset(topics: Parameters<Cluster['fetchTopicsOffset']>[0]): Promise<TopicOffsets[]> {
    const byLeader = new Map<string, { topic: string; partitions: { partition: number; timestamp: number }[] }[]>()
    for (const { topic, partitions, fromBeginning, fromTimestamp } of topics) {
      const timestamp = fromTimestamp ?? this.defaultOffset({ fromBeginning: fromBeginning === true })
      const led = this.findLeaderForPartitions(
        topic,
        partitions.map(({ partition }) => partition),
      )
      for (const [leader, indexes] of Object.entries(led)) {
        const asked = byLeader.get(leader) ?? []
        byLeader.set(leader, asked)
        asked.push({ topic, partitions: indexes.map((partition) => ({ partition, timestamp })) })
      }
    }
    const { isolationLevel } = this.#source
    const answers = await Promise.all(
      [...byLeader].map(async ([nodeId, asked]) => (await this.findBroker({ nodeId })).listOffsets({ isolationLevel, topics: asked })),
    )
    const found = new Map<string, TopicOffsets>()
    for (const { topic, partitions } of answers.flatMap(({ responses }) => responses)) {
      const offsets = found.get(topic) ?? { topic, partitions: [] }
      found.set(topic, offsets)
      offsets.partitions.push(...partitions.map(({ partition, offset }) => ({ partition, offset })))
    }
    return [...found.values()]
  }

  // --- requests to some broker -----------------------------------------------------------------------------------------------------------

  #open(): OurCluster {
    if (this.#ours === undefined) {
      const options = this.#source.options()
      const { clock, random, logger } = options
      const { observer, allowAutoTopicCreation } = this.#source
      const config = adminConfig.resolve(options)
      this.#ours = new OurCluster({
        client: 'cluster',
        config,
        clock,
        random,
        logger,
        observer,
        connection: options,
        allowAutoTopicCreation,
      })
    }
    return this.#ours
  }

  #limits(cluster: OurCluster) {
    return { deadline: cluster.deadline(this.#source.callTimeoutMs()), maxRetries: this.#source.retries.retryCount }
  }

  /** @throws kafkajs's error for the last failure */
  async #attempt<T>(what: string, attempt: (cluster: OurCluster) => Promise<T>): Promise<T> {
    const cluster = this.#open()
    try {
      return await cluster.retry({ ...this.#limits(cluster), what }, () => attempt(cluster))
    } catch (error) {
      throw finalErrorOf(error, this.#source.retries)
    }
  }

  /**
   * A topic that is about to be there is asked for until it is, or has taken too long; partitions have a moment to get their leaders, and
   * those that have none then keep nobody from the others.
   */
  async #fetchMetadata(topics: readonly string[]): Promise<ShapedMetadata> {
    const cluster = this.#open()
    const creation = cluster.deadline(CREATION_TIMEOUT_MS)
    const election = cluster.deadline(ELECTION_TIMEOUT_MS)
    for (let attempts = 0; ; attempts++) {
      const response = await this.#attempt('metadata', (ours) => this.#askForMetadata(ours, topics))
      const refused = response.topics.find(({ errorCode }) => errorCode !== 0)
      const waitMs = cluster.retryBackoffMs(attempts)
      if (refused !== undefined) {
        const error = errorOfCode(refused.errorCode)
        if (!this.#maySucceedYet(error) || waitMs >= creation.remainingMs) throw this.#givenUp(error)
      } else if (election.expired || response.topics.every(({ partitions }) => partitions.every(({ errorCode }) => errorCode === 0))) {
        return metadataOf(response)
      }
      await cluster.sleep(waitMs)
    }
  }

  async #askForMetadata(cluster: OurCluster, topics: readonly string[]): Promise<MetadataResponse> {
    const { allowAutoTopicCreation } = this.#source
    const connection = await cluster.anyConnection()
    const request = await metadataCall.request({ topics, allowAutoTopicCreation })
    const response = await connection.send(Metadata, request, { maxVersion: metadataCall.newest })
    cluster.metadata.update(response, [])
    return response
  }

  /** Brokers say so of a topic while they create it. */
  #maySucceedYet({ type }: KafkaJSProtocolError): boolean {
    return type === 'LEADER_NOT_AVAILABLE' || (type === 'UNKNOWN_TOPIC_OR_PARTITION' && this.#source.allowAutoTopicCreation)
  }

  #givenUp(error: KafkaJSProtocolError): Error {
    return error.type === 'LEADER_NOT_AVAILABLE' ? new KafkaJSNumberOfRetriesExceeded(error, this.#source.retries) : error
  }
}

const nothing = (): void => {}
