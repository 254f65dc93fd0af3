import { ZERO_UUID } from '@tidelog/core'
import { errorTable, type MetadataResponse } from '@tidelog/protocol'

/** A broker, as clients reach it. */
export interface BrokerNode {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

/** A partition, as the metadata has it. */
export interface PartitionInfo {
  readonly topic: string
  readonly partition: number
  /** -1: no leader at the moment. */
  readonly leaderId: number
  /** -1: unknown. */
  readonly leaderEpoch: number
  /** Ids of the brokers that have it, the preferred leader first. */
  readonly replicas: readonly number[]
  /** Those in sync with the leader. */
  readonly isr: readonly number[]
  /** Those that are down, or whose disk is. */
  readonly offlineReplicas: readonly number[]
}

/** A topic, as the metadata has it. */
export interface TopicInfo {
  readonly name: string
  /** ZERO_UUID from brokers that do not say. */
  readonly topicId: string
  readonly isInternal: boolean
  /** By partition index. */
  readonly partitions: readonly PartitionInfo[]
}

type MetadataPartition = MetadataResponse['topics'][number]['partitions'][number]

/** A newer leader than the metadata knows, from a Produce or Fetch answer. KIP-951. */
export interface LeaderHint {
  readonly topic: string
  readonly partition: number
  readonly leaderId: number
  readonly leaderEpoch: number
}

/** What this client knows of the cluster. A leader of an older epoch never replaces one of a newer (KIP-320). */
export class MetadataCache {
  clusterId: string | null = null
  controllerId = -1
  #brokers = new Map<number, BrokerNode>()
  #topics = new Map<string, TopicInfo>()
  #namesById = new Map<string, string>()
  /** Topics of which the last answer said that they cannot be had, with the code. */
  #errors = new Map<string, number>()
  /** Counts the answers taken in. */
  version = 0
  /** Counts whatever may have changed an entry. */
  changes = 0

  get brokers(): ReadonlyMap<number, BrokerNode> {
    return this.#brokers
  }

  get topics(): ReadonlyMap<string, TopicInfo> {
    return this.#topics
  }

  topic(name: string): TopicInfo | undefined {
    return this.#topics.get(name)
  }

  nameOf(topicId: string): string | undefined {
    return this.#namesById.get(topicId)
  }

  partition(topic: string, partition: number): PartitionInfo | undefined {
    return this.#topics.get(topic)?.partitions[partition]
  }

  /** The error of the last answer about the topic, 0 when there was none. */
  errorOf(topic: string): number {
    return this.#errors.get(topic) ?? 0
  }

  /** @param asked What the request was about; all topics when null. A topic asked for that no longer exists is forgotten. */
  update(response: Pick<MetadataResponse, 'brokers' | 'clusterId' | 'controllerId' | 'topics'>, asked: readonly string[] | null): void {
    this.version++
    this.changes++
    this.#brokers = new Map(response.brokers.map(({ nodeId, host, port, rack }) => [nodeId, { nodeId, host, port, rack }]))
    // Another cluster's leader epochs mean nothing here.
    const isSameCluster = response.clusterId === null || this.clusterId === null || response.clusterId === this.clusterId
    this.clusterId = response.clusterId ?? this.clusterId
    this.controllerId = response.controllerId
    const before = isSameCluster ? this.#topics : new Map<string, TopicInfo>()
    const topics = asked === null ? new Map<string, TopicInfo>() : new Map(before)
    this.#errors = asked === null ? new Map() : new Map(this.#errors)
    for (const name of asked ?? []) {
      topics.delete(name)
      this.#errors.set(name, errorTable.UNKNOWN_TOPIC_OR_PARTITION.code)
    }
    for (const { name, errorCode, topicId, isInternal, partitions } of response.topics) {
      if (name === null) continue
      if (errorCode !== 0) {
        this.#errors.set(name, errorCode)
        continue
      }
      this.#errors.delete(name)
      topics.set(name, topicOf(name, topicId, isInternal, partitions, before.get(name)))
    }
    this.#topics = topics
    this.#namesById = new Map(
      [...topics.values()].filter(({ topicId }) => topicId !== ZERO_UUID).map(({ topicId, name }) => [topicId, name]),
    )
  }

  /** Takes in a leader named by a broker's answer. False: it is no news. */
  hint({ topic, partition, leaderId, leaderEpoch }: LeaderHint, endpoints: readonly BrokerNode[]): boolean {
    const info = this.#topics.get(topic)
    const known = info?.partitions[partition]
    if (info === undefined || known === undefined || leaderId < 0 || leaderEpoch <= known.leaderEpoch) return false
    for (const { nodeId, host, port, rack } of endpoints) this.#brokers.set(nodeId, { nodeId, host, port, rack })
    const partitions = info.partitions.map((one) => (one === known ? { ...known, leaderId, leaderEpoch } : one))
    this.#topics.set(topic, { ...info, partitions })
    this.changes++
    return true
  }

  /** Topics stay known until the next answer. */
  forgetBrokers(): void {
    this.#brokers = new Map()
    this.controllerId = -1
  }

  forget(topic: string): void {
    const info = this.#topics.get(topic)
    if (info !== undefined) this.#namesById.delete(info.topicId)
    this.#topics.delete(topic)
    this.changes++
    this.#errors.delete(topic)
  }
}

function topicOf(
  name: string,
  topicId: string,
  isInternal: boolean,
  partitions: readonly MetadataPartition[],
  before: TopicInfo | undefined,
): TopicInfo {
  const isSame = before !== undefined && (before.topicId === topicId || topicId === ZERO_UUID)
  const infos: PartitionInfo[] = []
  // Kafka numbers partitions without gaps; an index beyond the list is no partition of this topic.
  for (const partition of partitions) {
    const { partitionIndex, leaderEpoch } = partition
    if (partitionIndex < 0 || partitionIndex >= partitions.length) continue
    const known = isSame ? before.partitions[partitionIndex] : undefined
    const isStale = known !== undefined && leaderEpoch >= 0 && leaderEpoch < known.leaderEpoch
    infos[partitionIndex] = isStale ? known : partitionInfoOf(name, partition)
  }
  return { name, topicId, isInternal, partitions: infos.filter((info) => info !== undefined) }
}

export const partitionInfoOf = (
  topic: string,
  { partitionIndex, leaderId, leaderEpoch, replicaNodes, isrNodes, offlineReplicas }: MetadataPartition,
): PartitionInfo => ({
  topic,
  partition: partitionIndex,
  leaderId,
  leaderEpoch,
  replicas: replicaNodes,
  isr: isrNodes,
  offlineReplicas,
})
