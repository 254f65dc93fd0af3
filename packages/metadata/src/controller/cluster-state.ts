import type { Random } from '@tidelog/core'
import { randomUuid } from '@tidelog/core'
import { ifThere, isStoreError, type MetadataStore } from '../store/metadata-store.ts'
import {
  BROKER_IDS,
  type BrokerRegistration,
  brokerIdPath,
  DELETE_TOPICS,
  decodeBroker,
  decodePartitionState,
  decodeTopic,
  encodeTopic,
  type LeaderAndIsrState,
  type PartitionAssignment,
  partitionStatePath,
  TOPICS,
  topicPath,
} from '../znodes.ts'
import { collisionKey } from './topic-name.ts'

export const NO_LEADER = -1

/** A registered broker. */
export interface LiveBroker extends BrokerRegistration {
  /** Grows with each registration: tells this run of the broker from earlier ones. */
  readonly brokerEpoch: number
}

/** What the store says of a partition's leadership; its own version is what AlterPartition and LeaderAndIsr call the partition epoch. */
export interface StoredLeadership extends LeaderAndIsrState {
  readonly partitionEpoch: number
  /** Transaction of the last change, comparable with broker epochs. */
  readonly changedAt: number
}

export interface PartitionState extends PartitionAssignment {
  /** Undefined until the first leader has been chosen. */
  readonly leadership: StoredLeadership | undefined
}

export interface TopicState {
  readonly name: string
  readonly topicId: string
  /** Version of the topic's node. */
  readonly version: number
  /** By index. Replaced as a whole, or entry by entry, by the controller only. */
  readonly partitions: Map<number, PartitionState>
}

/** The active controller's view of the cluster: what is in the store, in memory. Only the controller changes it, after the store has. */
export class ClusterState {
  readonly brokers = new Map<number, LiveBroker>()
  readonly topics = new Map<string, TopicState>()
  /** Topics whose deletion has been asked for and is not complete. */
  readonly deleting = new Set<string>()
  /** Replicas in log dirs that are offline, TOPIC-PARTITION by broker id; until the broker registers anew. */
  readonly #offlineReplicas = new Map<number, Set<string>>()
  readonly #namesById = new Map<string, string>()
  readonly #namesByCollisionKey = new Map<string, Set<string>>()

  isLive(brokerId: number): boolean {
    return this.brokers.has(brokerId)
  }

  /** Those that take further partitions: brokers whose log dirs are all cordoned do not. KIP-1066. */
  get brokersForNewReplicas(): number[] {
    return [...this.brokers.values()].filter(({ isCordoned }) => !isCordoned).map(({ id }) => id)
  }

  /** Live brokers that can serve their replica of the partition, if they have one. */
  brokersFor(topic: string, index: number): ReadonlyMap<number, LiveBroker> {
    if (this.#offlineReplicas.size === 0) return this.brokers
    return new Map([...this.brokers].filter(([id]) => !this.#offlineReplicas.get(id)?.has(`${topic}-${index}`)))
  }

  /** @returns Whether that was not known yet. */
  noteOfflineReplica(brokerId: number, topic: string, index: number): boolean {
    const offline = this.#offlineReplicas.get(brokerId) ?? new Set()
    this.#offlineReplicas.set(brokerId, offline)
    return offline.size !== offline.add(`${topic}-${index}`).size
  }

  /** The broker has started anew: what it cannot serve it will tell. */
  forgetOfflineReplicas(brokerId: number): void {
    this.#offlineReplicas.delete(brokerId)
  }

  topicNameOf(topicId: string): string | undefined {
    return this.#namesById.get(topicId)
  }

  /** An existing topic with which a topic of this name would collide in metric names, other than itself. */
  collidingTopic(topic: string): string | undefined {
    const key = collisionKey(topic)
    const names = key === undefined ? undefined : this.#namesByCollisionKey.get(key)
    for (const name of names ?? []) if (name !== topic) return name
    return undefined
  }

  setTopic(topic: TopicState): void {
    this.topics.set(topic.name, topic)
    this.#namesById.set(topic.topicId, topic.name)
    const key = collisionKey(topic.name)
    if (key === undefined) return
    const names = this.#namesByCollisionKey.get(key)
    if (names === undefined) this.#namesByCollisionKey.set(key, new Set([topic.name]))
    else names.add(topic.name)
  }

  removeTopic(name: string): void {
    const topic = this.topics.get(name)
    if (topic === undefined) return
    this.topics.delete(name)
    for (const offline of this.#offlineReplicas.values()) for (const index of topic.partitions.keys()) offline.delete(`${name}-${index}`)
    this.#namesById.delete(topic.topicId)
    const key = collisionKey(name)
    if (key !== undefined) this.#namesByCollisionKey.get(key)?.delete(name)
  }
}

/** Reads all of it: when a controller has been elected. @throws BadNodeError, StoreError */
export async function loadClusterState(store: MetadataStore, random: Random): Promise<ClusterState> {
  const state = new ClusterState()
  for (const broker of await loadBrokers(store)) state.brokers.set(broker.id, broker)
  const names = await store.children(TOPICS)
  for (const topic of await Promise.all(names.map((name) => loadTopic(store, name, random)))) if (topic !== undefined) state.setTopic(topic)
  for (const name of await store.children(DELETE_TOPICS)) state.deleting.add(name)
  return state
}

export async function loadBrokers(store: MetadataStore): Promise<LiveBroker[]> {
  const ids = await store.children(BROKER_IDS)
  const brokers = await Promise.all(ids.map((id) => loadBroker(store, Number(id))))
  return brokers.filter((broker) => broker !== undefined)
}

async function loadBroker(store: MetadataStore, id: number): Promise<LiveBroker | undefined> {
  // It may have gone since its name was read.
  const node = await ifThere(store.get(brokerIdPath(id)))
  return node && { ...decodeBroker(id, node.data), brokerEpoch: node.stat.czxid }
}

/** Undefined when it has gone meanwhile. Gives a topic of a Kafka before 2.8 its id. */
export async function loadTopic(store: MetadataStore, name: string, random: Random): Promise<TopicState | undefined> {
  try {
    const { data, stat } = await store.get(topicPath(name))
    const assignment = decodeTopic(name, data)
    let { version } = stat
    let { topicId } = assignment
    if (topicId === undefined) {
      topicId = randomUuid(random)
      version = (await store.set(topicPath(name), encodeTopic(topicId, assignment.partitions), version)).version
    }
    const partitions = await Promise.all(
      [...assignment.partitions].map(async ([index, replicas]): Promise<[number, PartitionState]> => {
        return [index, { ...replicas, leadership: await loadLeadership(store, name, index) }]
      }),
    )
    return { name, topicId, version, partitions: new Map(partitions) }
  } catch (error) {
    if (isStoreError(error, 'NoNode')) return undefined
    throw error
  }
}

/** Undefined when no leader has ever been chosen. */
async function loadLeadership(store: MetadataStore, topic: string, partition: number): Promise<StoredLeadership | undefined> {
  const node = await ifThere(store.get(partitionStatePath(topic, partition)))
  return node && { ...decodePartitionState(topic, partition, node.data), partitionEpoch: node.stat.version, changedAt: node.stat.mzxid }
}
