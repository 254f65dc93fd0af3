import { type Logger, type Random, randomUuid } from '@tidelog/core'
import { CLUSTER_METADATA_TOPIC, isInternalTopic, isValidTopicName } from './controller/topic-name.ts'
import { reserveProducerIds } from './producer-id-allocator.ts'
import { createMissing } from './store/bulk-write.ts'
import type { MetadataStore } from './store/metadata-store.ts'
import {
  configPath,
  encodeConfigs,
  encodePartitionState,
  encodeTopic,
  type PartitionAssignment,
  partitionPath,
  partitionStatePath,
  partitionsPath,
  topicPath,
} from './znodes.ts'

/** A `TOPIC-PARTITION` folder in a log dir that no store of ours has written. */
export interface FoundPartition {
  readonly topic: string
  readonly partition: number
  /** From partition.metadata; undefined when the folder has none. */
  readonly topicId: string | undefined
  /** Last entry of leader-epoch-checkpoint; −1 when there is none. */
  readonly lastLeaderEpoch: number
}

export interface AdoptionOptions {
  readonly brokerId: number
  readonly found: readonly FoundPartition[]
  /** Highest producer id in any log or snapshot; −1 when there is none. */
  readonly highestProducerId: number
  /** How an internal topic is set up on this broker, by its configuration. */
  readonly internalTopic: (name: string) => { readonly partitions: number; readonly configs: ReadonlyMap<string, string> }
  readonly random: Random
  readonly logger: Logger
}

/** What was found, for the operator. */
export interface AdoptionReport {
  readonly topics: number
  readonly partitions: number
  /** `TOPIC-PARTITION` of partitions whose folder is missing; they begin empty. */
  readonly missing: readonly string[]
  readonly highestProducerId: number
}

/** Nobody knows how long adopted records were to be kept, so nothing of them is deleted until an operator says so. */
const KEEP_FOREVER: ReadonlyMap<string, string> = new Map([
  ['retention.ms', '-1'],
  ['retention.bytes', '-1'],
])
const PRODUCER_ID_BLOCK_SIZE = 1000
/** More is a folder that only looks like a partition, and beyond what a topic's node can hold. */
const MAX_PARTITIONS = 50_000

/**
 * Makes topics of the partition folders that another Kafka left in this broker's log dirs. Only what is not there yet is written, so it can
 * be called again after a stop in the middle. Partitions get their next leader epoch when the controller starts.
 * @throws Error in one line when folders contradict each other; nothing has been written then
 */
export async function adoptLogDirs(store: MetadataStore, options: AdoptionOptions): Promise<AdoptionReport> {
  const { brokerId, highestProducerId, logger } = options
  const topics = topicsOf(options)
  const missing: string[] = []
  for (const topic of topics) {
    await createMissing(store, nodesOf(topic, brokerId))
    for (const [index, epoch] of topic.epochs.entries()) if (epoch === undefined) missing.push(`${topic.name}-${index}`)
  }
  warnOfRetention(topics, logger)
  if (missing.length > 0)
    logger.warn('partitions without a folder begin empty', { count: missing.length, partitions: missing.slice(0, 20).join(',') })
  if (highestProducerId >= 0) {
    const last = Math.floor(highestProducerId / PRODUCER_ID_BLOCK_SIZE + 1) * PRODUCER_ID_BLOCK_SIZE - 1
    await reserveProducerIds(store, brokerId, (before) => ({ first: Math.min(before + 1, last), last: Math.max(before, last) }))
  }
  const partitions = topics.reduce((sum, { epochs }) => sum + epochs.length, 0)
  const report: AdoptionReport = { topics: topics.length, partitions, missing, highestProducerId }
  logger.info('adopted the partitions in the log dirs', { ...report, missing: missing.length })
  return report
}

function warnOfRetention(topics: readonly AdoptedTopic[], logger: Logger): void {
  const kept = topics.map(({ name }) => name).filter((name) => !isInternalTopic(name))
  if (kept.length === 0) return
  logger.warn('the retention of adopted topics is not known: they keep everything until retention.ms and retention.bytes are set', {
    count: kept.length,
    topics: kept.slice(0, 20).join(','),
  })
}

interface AdoptedTopic {
  readonly name: string
  readonly topicId: string
  readonly configs: ReadonlyMap<string, string>
  /** Last leader epoch by partition; undefined where the folder is missing. */
  readonly epochs: readonly (number | undefined)[]
}

function topicsOf({ found, internalTopic, random, logger }: AdoptionOptions): AdoptedTopic[] {
  const byName = new Map<string, FoundPartition[]>()
  for (const partition of found) {
    const { topic } = partition
    if (topic === CLUSTER_METADATA_TOPIC) continue
    if (!isValidTopicName(topic)) {
      logger.warn('a folder is no topic: it is left alone', { folder: `${topic}-${partition.partition}` })
      continue
    }
    const partitions = byName.get(topic)
    if (partitions === undefined) byName.set(topic, [partition])
    else partitions.push(partition)
  }
  return [...byName].map(([name, partitions]) => {
    const ids = new Set(partitions.flatMap(({ topicId }) => topicId ?? []))
    if (ids.size > 1) throw new Error(`the folders of topic ${name} have different topic ids: ${[...ids].join(', ')}`)
    const setUp = isInternalTopic(name) ? internalTopic(name) : { partitions: 0, configs: KEEP_FOREVER }
    const count = Math.max(setUp.partitions, ...partitions.map(({ partition }) => partition + 1))
    if (count > MAX_PARTITIONS)
      throw new Error(`the folder ${name}-${count - 1} is not one of a topic's first ${MAX_PARTITIONS} partitions`)
    const epochs = new Array<number | undefined>(count).fill(undefined)
    for (const { partition, lastLeaderEpoch } of partitions) epochs[partition] = lastLeaderEpoch
    const [topicId = randomUuid(random)] = ids
    return { name, topicId, configs: setUp.configs, epochs }
  })
}

function nodesOf({ name, topicId, configs, epochs }: AdoptedTopic, brokerId: number): [path: string, data: Buffer][] {
  const assignment: PartitionAssignment = { replicas: [brokerId], addingReplicas: [], removingReplicas: [] }
  const nodes: [string, Buffer][] = [
    [configPath('topics', name), encodeConfigs(configs)],
    [topicPath(name), encodeTopic(topicId, new Map(epochs.map((_epoch, index) => [index, assignment])))],
    [partitionsPath(name), Buffer.alloc(0)],
  ]
  for (const [index, leaderEpoch = -1] of epochs.entries()) {
    // As it was when the other Kafka stopped: this broker registers later, which is a new leader epoch.
    const state = encodePartitionState({ leader: brokerId, leaderEpoch, isr: [brokerId], controllerEpoch: 0 })
    nodes.push([partitionPath(name, index), Buffer.alloc(0)], [partitionStatePath(name, index), state])
  }
  return nodes
}
