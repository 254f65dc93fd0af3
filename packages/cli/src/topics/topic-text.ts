import { javaHashOrder } from '@tidelog/core'
import type { Cell } from '../rows.ts'

export interface TopicPartitionState {
  readonly partition: number
  /** undefined: nobody leads it now. */
  readonly leader: number | undefined
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  /** Eligible leader replicas (KIP-966); undefined when the broker does not know the idea. */
  readonly elr: readonly number[] | undefined
  readonly lastKnownElr: readonly number[] | undefined
  /** While the partition moves to other brokers. */
  readonly addingReplicas?: readonly number[]
  readonly removingReplicas?: readonly number[]
}

export interface TopicState {
  readonly name: string
  readonly topicId: string
  readonly isInternal: boolean
  readonly partitions: readonly TopicPartitionState[]
  /** All configs of the topic, in any order, and which of them differ from the default. */
  readonly configs: readonly { readonly name: string; readonly value: string; readonly isDefault: boolean }[]
}

/** The configs that are not at their default as `name=value`, in the order in which Kafka's tool prints them. */
export function overriddenConfigs({ configs }: TopicState): string[] {
  const byName = new Map(configs.map((config) => [config.name, config]))
  return javaHashOrder([...byName.keys()])
    .map((name) => byName.get(name)!)
    .filter(({ isDefault }) => !isDefault)
    .map(({ name, value }) => `${name}=${value}`)
}

/** The line of a topic in `--describe`. */
export function topicLine(topic: TopicState): string {
  const { name, topicId, partitions } = topic
  const replicationFactor = partitions[0]?.replicas.length ?? 0
  return `Topic: ${name}\tTopicId: ${topicId}\tPartitionCount: ${partitions.length}\tReplicationFactor: ${replicationFactor}\tConfigs: ${overriddenConfigs(topic).join(',')}\n`
}

/** The line of a partition in `--describe`. */
export function partitionLine(name: string, state: TopicPartitionState): string {
  const { partition, leader, replicas, isr, elr, lastKnownElr, addingReplicas = [], removingReplicas = [] } = state
  const moving = addingReplicas.length > 0 || removingReplicas.length > 0
  const reassignment = moving ? `\tAdding Replicas: ${addingReplicas.join(',')}\tRemoving Replicas: ${removingReplicas.join(',')}` : ''
  return `\tTopic: ${name}\tPartition: ${partition}\tLeader: ${leader ?? 'none'}\tReplicas: ${replicas.join(',')}\tIsr: ${isr.join(',')}${reassignment}\tElr: ${elr?.join(',') ?? 'N/A'}\tLastKnownElr: ${lastKnownElr?.join(',') ?? 'N/A'}\n`
}

export const topicColumns = ['topic', 'topicId', 'isInternal', 'partition', 'leader', 'replicas', 'isr', 'elr', 'lastKnownElr', 'configs']

/** The same for `--output json|csv`: one row a partition. */
export function partitionRow(topic: TopicState, state: TopicPartitionState): Record<string, Cell> {
  const overridden = topic.configs.filter(({ isDefault }) => !isDefault).map(({ name, value }) => [name, value] as const)
  return {
    topic: topic.name,
    topicId: topic.topicId,
    isInternal: topic.isInternal,
    partition: state.partition,
    leader: state.leader ?? null,
    replicas: state.replicas,
    isr: state.isr,
    elr: state.elr ?? null,
    lastKnownElr: state.lastKnownElr ?? null,
    configs: Object.fromEntries(overridden),
  }
}

/** Which partitions `--describe` was asked to show; without a flag, all. */
export interface PartitionFilter {
  readonly underReplicated: boolean
  readonly unavailable: boolean
  readonly underMinIsr: boolean
  readonly atMinIsr: boolean
  /** The ids of the brokers that are alive: a leader among the dead makes a partition unavailable. */
  readonly liveBrokers: ReadonlySet<number>
}

export function isWanted(topic: TopicState, state: TopicPartitionState, filter: PartitionFilter): boolean {
  const { underReplicated, unavailable, underMinIsr, atMinIsr, liveBrokers } = filter
  if (!underReplicated && !unavailable && !underMinIsr && !atMinIsr) return true
  const minIsr = Number(topic.configs.find(({ name }) => name === 'min.insync.replicas')?.value ?? 1)
  // Replicas that are still being added do not count as missing: Kafka's tool looks at the target set.
  const replicas = state.replicas.filter((id) => !state.addingReplicas?.includes(id))
  return (
    (underReplicated && replicas.length - state.isr.length > 0) ||
    (unavailable && (state.leader === undefined || !liveBrokers.has(state.leader))) ||
    (underMinIsr && state.isr.length < minIsr) ||
    (atMinIsr && state.isr.length === minIsr)
  )
}

/** The warning that `--create` prints for a name that may clash with another one in metric names. */
export function collisionWarning(topic: string): string {
  if (!/[._]/.test(topic)) return ''
  return "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. To avoid issues it is best to use either, but not both.\n"
}

/**
 * `0:1,1:2` as the brokers of partition 0, of partition 1…
 * @throws Error for an empty or non-numeric id, a broker named twice, or replica lists of different lengths.
 */
export function parseReplicaAssignment(text: string): number[][] {
  const assignment = text.split(',').map((brokers, partition) => {
    const ids = brokers.split(':').map((id) => {
      if (!/^\s*\d+\s*$/.test(id)) throw new Error(`For input string: "${id}"`)
      return Number(id)
    })
    const duplicates = [...new Set(ids.filter((id, i) => ids.indexOf(id) !== i))]
    if (duplicates.length > 0) throw new Error(`Partition replica lists may not contain duplicate entries: ${duplicates.join(',')}`)
    return { partition, ids }
  })
  const length = assignment[0]?.ids.length
  const odd = assignment.find(({ ids }) => ids.length !== length)
  if (odd !== undefined) throw new Error(`Partition ${odd.partition} has different replication factor: ${odd.ids.join(',')}`)
  return assignment.map(({ ids }) => ids)
}
