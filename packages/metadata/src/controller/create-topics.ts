import { type Random, randomUuid } from '@tidelog/core'
import { KafkaError } from '@tidelog/protocol'
import type { PartitionAssignment } from '../znodes.ts'
import type { ClusterState } from './cluster-state.ts'
import { assignReplicas, checkManualAssignment } from './replica-assignment.ts'
import { CLUSTER_METADATA_TOPIC, checkTopicName } from './topic-name.ts'

/** As much as Kafka 4.3 creates by one request; asked for more, it refuses all of it. */
export const MAX_PARTITIONS_PER_REQUEST = 10_000

export interface NewTopic {
  readonly name: string
  /** −1: as the cluster is configured, or as the assignments say. */
  readonly partitions: number
  readonly replicationFactor: number
  /** Replicas by partition index, as a user chose them; empty to let the cluster choose. */
  readonly assignments: readonly { readonly partitionIndex: number; readonly brokerIds: readonly number[] }[]
  readonly configs: readonly { readonly name: string; readonly value: string | null }[]
}

export interface TopicDefaults {
  readonly partitions: number
  readonly replicationFactor: number
}

export interface PlannedTopic {
  readonly name: string
  readonly topicId: string
  readonly configs: ReadonlyMap<string, string>
  readonly partitions: ReadonlyMap<number, PartitionAssignment>
}

/** One topic of a request: what to create, or why not. In the order of the request, a name given twice once. */
export type TopicPlan = { readonly name: string; readonly plan: PlannedTopic } | { readonly name: string; readonly error: KafkaError }

/** A topic of a CreateTopics request: what it got, or why it was refused. */
export interface CreatedTopic {
  readonly name: string
  readonly topicId: string
  readonly partitions: number
  readonly replicationFactor: number
  readonly configs: ReadonlyMap<string, string>
}
export type TopicOutcome<T> = { readonly name: string; readonly created: T } | { readonly name: string; readonly error: KafkaError }

/** @throws KafkaError with a reason against these configurations of this topic */
export type TopicConfigValidator = (configs: ReadonlyMap<string, string>, topic: string) => void

/**
 * Decides what a CreateTopics request creates; touches nothing.
 * @throws KafkaError POLICY_VIOLATION for the request as a whole, before anything is allocated for its partitions
 */
export function planTopics(
  topics: readonly NewTopic[],
  state: ClusterState,
  { defaults, validateConfigs, random }: { defaults: TopicDefaults; validateConfigs: TopicConfigValidator; random: Random },
): TopicPlan[] {
  let partitions = 0
  for (const { assignments, partitions: asked } of topics) {
    // What is negative is refused below, and makes no room for others here.
    partitions += assignments.length > 0 ? assignments.length : asked === -1 ? defaults.partitions : Math.max(0, asked)
    if (partitions > MAX_PARTITIONS_PER_REQUEST) throw tooManyPartitions()
  }
  const seen = new Map<string, number>()
  for (const { name } of topics) seen.set(name, (seen.get(name) ?? 0) + 1)
  const plans: TopicPlan[] = []
  for (const topic of topics) {
    const times = seen.get(topic.name)!
    if (times === 0) continue
    seen.set(topic.name, 0)
    try {
      if (times > 1) throw new KafkaError('INVALID_REQUEST', 'Duplicate topic name.')
      plans.push({ name: topic.name, plan: planTopic(topic, state, { defaults, validateConfigs, random }) })
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error
      plans.push({ name: topic.name, error })
    }
  }
  return plans
}

export function tooManyPartitions(): KafkaError {
  return new KafkaError('POLICY_VIOLATION', 'Excessively large number of partitions per request.')
}

function planTopic(
  topic: NewTopic,
  state: ClusterState,
  { defaults, validateConfigs, random }: { defaults: TopicDefaults; validateConfigs: TopicConfigValidator; random: Random },
): PlannedTopic {
  const { name } = topic
  if (name === CLUSTER_METADATA_TOPIC) {
    throw new KafkaError('INVALID_REQUEST', `Creation of internal topic ${CLUSTER_METADATA_TOPIC} is prohibited.`)
  }
  checkTopicName(name)
  if (state.topics.has(name)) throw new KafkaError('TOPIC_ALREADY_EXISTS', `Topic '${name}' already exists.`)
  const colliding = state.collidingTopic(name)
  if (colliding !== undefined) {
    throw new KafkaError('INVALID_TOPIC_EXCEPTION', `Topic '${name}' collides with existing topic: ${colliding}`)
  }
  const configs = configsOf(topic)
  validateConfigs(configs, name)
  const replicas = topic.assignments.length > 0 ? chosenReplicas(topic, state) : spreadReplicas(topic, state, defaults, random)
  const partitions = new Map([...replicas].map(([index, list]) => [index, { replicas: list, addingReplicas: [], removingReplicas: [] }]))
  return { name, topicId: randomUuid(random), configs, partitions }
}

function configsOf({ configs }: NewTopic): Map<string, string> {
  const withoutValue = configs.filter(({ value }) => value === null).map(({ name }) => name)
  if (withoutValue.length > 0) {
    throw new KafkaError('INVALID_CONFIG', `Null value not supported for topic configs: ${withoutValue.join(',')}`)
  }
  return new Map(configs.map(({ name, value }) => [name, value!]))
}

/** The user's assignments, checked. */
function chosenReplicas({ partitions, replicationFactor, assignments }: NewTopic, state: ClusterState): Map<number, readonly number[]> {
  const mismatch = (what: string) =>
    new KafkaError('INVALID_REQUEST', `A manual partition assignment was specified, but ${what} was not set to -1.`)
  if (replicationFactor !== -1) throw mismatch('replication factor')
  if (partitions !== -1) throw mismatch('numPartitions')
  const chosen = new Map<number, readonly number[]>()
  let factor: number | undefined
  for (const { partitionIndex, brokerIds } of assignments) {
    if (chosen.has(partitionIndex)) {
      throw new KafkaError('INVALID_REPLICA_ASSIGNMENT', `Found multiple manual partition assignments for partition ${partitionIndex}`)
    }
    checkManualAssignment(brokerIds, { isRegistered: (id) => state.isLive(id), replicationFactor: factor })
    factor = brokerIds.length
    chosen.set(partitionIndex, brokerIds)
  }
  for (let index = 0; index < chosen.size; index++) {
    if (!chosen.has(index)) {
      throw new KafkaError('INVALID_REPLICA_ASSIGNMENT', 'partitions should be a consecutive 0-based integer sequence')
    }
  }
  return new Map([...chosen].sort(([a], [b]) => a - b))
}

function spreadReplicas(topic: NewTopic, state: ClusterState, defaults: TopicDefaults, random: Random): Map<number, readonly number[]> {
  if (topic.replicationFactor < -1 || topic.replicationFactor === 0) {
    throw new KafkaError('INVALID_REPLICATION_FACTOR', 'Replication factor must be larger than 0, or -1 to use the default value.')
  }
  if (topic.partitions < -1 || topic.partitions === 0) {
    throw new KafkaError('INVALID_PARTITIONS', 'Number of partitions was set to an invalid non-positive value.')
  }
  const replicas = assignReplicas({
    brokerIds: state.brokersForNewReplicas,
    partitions: topic.partitions === -1 ? defaults.partitions : topic.partitions,
    replicationFactor: topic.replicationFactor === -1 ? defaults.replicationFactor : topic.replicationFactor,
    random,
  })
  return new Map(replicas.entries())
}
