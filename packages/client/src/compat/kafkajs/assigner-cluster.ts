import type { Admin } from '../../admin/admin.ts'
import type { OffsetQuery } from '../../cluster/list-offsets.ts'
import type { PartitionInfo } from '../../cluster/metadata-cache.ts'
import { KafkaJSError, KafkaJSNotImplemented } from './errors.ts'
import { partitionMetadataOf } from './partitioners.ts'
import type { PartitionMetadata, TopicOffsets } from './types-client.ts'
import type { Broker, BrokerMetadata, Cluster, CoordinatorMetadata } from './types-group.ts'

const EARLIEST = -2
const LATEST = -1

/** What the cluster seen by assigners rests on. */
export interface AssignerClusterSource {
  isOpen(): boolean
  admin(): Admin
  partitionsFor(topic: string): Promise<readonly PartitionInfo[]>
}

/** The cluster as assigners of kafkajs see it: topics, partitions, leaders and offsets. What would hand out a connection to a broker is refused. */
export class AssignerCluster implements Cluster {
  readonly #source: AssignerClusterSource
  readonly #targets = new Set<string>()
  readonly #partitions = new Map<string, PartitionMetadata[]>()
  #nodeIds: number[] = []

  constructor(source: AssignerClusterSource) {
    this.#source = source
  }

  /** Fetches what is to be known of these topics. */
  async load(topics: readonly string[]): Promise<void> {
    for (const topic of topics) this.#targets.add(topic)
    await this.refreshMetadata()
  }

  async refreshMetadata(): Promise<void> {
    const { brokers } = await this.#source.admin().describeCluster()
    this.#nodeIds = brokers.map(({ nodeId }) => nodeId)
    for (const topic of this.#targets) this.#partitions.set(topic, (await this.#source.partitionsFor(topic)).map(partitionMetadataOf))
  }

  async refreshMetadataIfNecessary(): Promise<void> {
    if ([...this.#targets].some((topic) => !this.#partitions.has(topic))) await this.refreshMetadata()
  }

  addTargetTopic(topic: string): Promise<void> {
    return this.addMultipleTargetTopics([topic])
  }

  async addMultipleTargetTopics(topics: string[]): Promise<void> {
    for (const topic of topics) this.#targets.add(topic)
    await this.refreshMetadataIfNecessary()
  }

  getNodeIds(): number[] {
    return [...this.#nodeIds]
  }

  async metadata(): Promise<BrokerMetadata> {
    const { brokers } = await this.#source.admin().describeCluster()
    const names = (await this.#source.admin().listTopics({ includeInternal: true })).map(({ name }) => name)
    const described = await this.#source.admin().describeTopics(names)
    return {
      brokers: brokers.map(({ nodeId, host, port, rack }) => ({ nodeId, host, port, ...(rack === null ? {} : { rack }) })),
      topicMetadata: [...described.values()].map(({ name, partitions }) => ({
        topicErrorCode: 0,
        topic: name,
        partitionMetadata: partitions.map((partition) => partitionMetadataOf({ topic: name, ...partition })),
      })),
    }
  }

  findTopicPartitionMetadata(topic: string): PartitionMetadata[] {
    return this.#partitions.get(topic) ?? []
  }

  /** By node id, partitions in the order of `partitions`; what is not known is left out. */
  findLeaderForPartitions(topic: string, partitions: number[]): { [leader: string]: number[] } {
    const byLeader: { [leader: string]: number[] } = {}
    for (const partition of partitions) {
      const leader = this.findTopicPartitionMetadata(topic).find(({ partitionId }) => partitionId === Number(partition))?.leader
      if (leader === undefined) continue
      const led = byLeader[leader] ?? []
      led.push(Number(partition))
      byLeader[leader] = led
    }
    return byLeader
  }

  async findGroupCoordinatorMetadata({ groupId }: { groupId: string }): Promise<CoordinatorMetadata> {
    const group = (await this.#source.admin().describeClassicGroups([groupId])).get(groupId)
    if (group === undefined) throw new KafkaJSError(`group ${groupId} has no coordinator`)
    return { errorCode: 0, coordinator: group.coordinator }
  }

  defaultOffset({ fromBeginning }: { fromBeginning: boolean }): number {
    return fromBeginning ? EARLIEST : LATEST
  }

  async fetchTopicsOffset(topics: Parameters<Cluster['fetchTopicsOffset']>[0]): Promise<TopicOffsets[]> {
    const queries = topics.map(({ topic, partitions, fromBeginning, fromTimestamp }) => {
      const spec: OffsetQuery['spec'] = fromTimestamp !== undefined ? { timestamp: fromTimestamp } : fromBeginning ? 'earliest' : 'latest'
      return { topic, asked: partitions.map(({ partition }) => ({ topic, partition, spec })) }
    })
    return Promise.all(
      queries.map(async ({ topic, asked }) => {
        const found = await this.#source.admin().listOffsets(asked)
        return { topic, partitions: found.map(({ partition, offset }) => ({ partition, offset: String(offset) })) }
      }),
    )
  }

  isConnected(): boolean {
    return this.#source.isOpen()
  }

  /** The consumer connects. */
  async connect(): Promise<void> {}

  /** The consumer disconnects. */
  async disconnect(): Promise<void> {}

  /** Connections to brokers that are gone are given up without being told. */
  removeBroker(): void {}

  findBroker(): Promise<Broker> {
    return noBroker()
  }

  findControllerBroker(): Promise<Broker> {
    return noBroker()
  }

  findGroupCoordinator(): Promise<Broker> {
    return noBroker()
  }
}

const noBroker = (): Promise<Broker> =>
  Promise.reject(new KafkaJSNotImplemented('an assigner gets no connection to a broker here; ask the cluster or an admin client'))
