import type { Logger, Random } from '@tidelog/core'
import { type AdoptedTopic, type FoundPartition, type InternalTopicSetUp, topicsOfFolders, topicsOfKraft } from './adopted-topics.ts'
import { isInternalTopic } from './controller/topic-name.ts'
import { nodesOfKraft } from './kraft/kraft-nodes.ts'
import type { KraftState } from './kraft/kraft-state.ts'
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

export interface AdoptionOptions {
  readonly brokerId: number
  readonly found: readonly FoundPartition[]
  /** What the metadata log says; undefined where there is none, and topics are made of what the folders say. */
  readonly kraft: KraftState | undefined
  /** Highest producer id in any log or snapshot; −1 when there is none. */
  readonly highestProducerId: number
  readonly internalTopic: (name: string) => InternalTopicSetUp
  readonly random: Random
  readonly logger: Logger
}

/** What was found, for the operator. */
export interface AdoptionReport {
  readonly topics: number
  readonly partitions: number
  /** `TOPIC-PARTITION` of partitions whose folder is missing; they begin empty. */
  readonly missing: readonly string[]
  /** Of all that were seen; −1 when there is none. */
  readonly highestProducerId: number
}

const PRODUCER_ID_BLOCK_SIZE = 1000
/**
 * Ids that are left to the Kafka whose directory this was. It does not learn which ones are given out here, so when it starts on the directory again it
 * goes on where it was; a producer with an id that the log knows from another would have its first records taken for that one's, sent again.
 */
const PRODUCER_IDS_LEFT_TO_KAFKA = 1_000_000_000_000

/**
 * Makes a cluster of what another Kafka left in this broker's log dirs. Only what is not there yet is written, so it can be called again after a stop
 * in the middle. Partitions get their next leader epoch when the controller starts.
 * @throws Error in one line when folders, or folders and metadata, contradict each other; nothing has been written then
 */
export async function adoptLogDirs(store: MetadataStore, options: AdoptionOptions): Promise<AdoptionReport> {
  const { brokerId, kraft, logger } = options
  const topics = kraft === undefined ? topicsOfFolders(options) : topicsOfKraft(kraft, options)
  const kraftNodes = kraft === undefined ? [] : nodesOfKraft(kraft)
  const missing: string[] = []
  for (const topic of topics) {
    await createMissing(store, nodesOf(topic, brokerId))
    for (const index of topic.missing) missing.push(`${topic.name}-${index}`)
  }
  await createMissing(store, kraftNodes)
  const highestProducerId = Math.max(options.highestProducerId, (kraft?.nextProducerId ?? 0) - 1)
  await reserveProducerIds(store, brokerId, (before) => {
    const last = Math.max(before, lastTakenId(highestProducerId))
    return { first: Math.min(before + 1, last), last }
  })
  if (kraft === undefined) warnOfRetention(topics, logger)
  if (missing.length > 0)
    logger.warn('partitions without a folder begin empty', { count: missing.length, partitions: missing.slice(0, 20).join(',') })
  const partitions = topics.reduce((sum, { epochs }) => sum + epochs.length, 0)
  const report: AdoptionReport = { topics: topics.length, partitions, missing, highestProducerId }
  logger.info('adopted the partitions in the log dirs', { ...report, missing: missing.length, ...(kraft && countsOf(kraft)) })
  return report
}

/** The last of the ids that are never given out here. */
function lastTakenId(highest: number): number {
  const last = Math.floor(highest / PRODUCER_ID_BLOCK_SIZE + 1) * PRODUCER_ID_BLOCK_SIZE - 1
  const withGap = last + PRODUCER_IDS_LEFT_TO_KAFKA
  // After thousands of moves there is no room for a gap any more.
  return Number.isSafeInteger(withGap + PRODUCER_ID_BLOCK_SIZE) ? withGap : last
}

/** What came from the metadata log besides topics. */
function countsOf(kraft: KraftState): Record<string, number> {
  const count = (items: Iterable<unknown>): number => [...items].length
  return {
    configuredResources: count(kraft.resources),
    credentials: count(kraft.credentials),
    acls: count(kraft.acls),
    quotas: count(kraft.quotas),
    delegationTokens: count(kraft.tokens),
  }
}

function warnOfRetention(topics: readonly AdoptedTopic[], logger: Logger): void {
  const kept = topics.map(({ name }) => name).filter((name) => !isInternalTopic(name))
  if (kept.length === 0) return
  logger.warn('the retention of adopted topics is not known: they keep everything until retention.ms and retention.bytes are set', {
    count: kept.length,
    topics: kept.slice(0, 20).join(','),
  })
}

function nodesOf({ name, topicId, configs, epochs }: AdoptedTopic, brokerId: number): [path: string, data: Buffer][] {
  const assignment: PartitionAssignment = { replicas: [brokerId], addingReplicas: [], removingReplicas: [] }
  const nodes: [string, Buffer][] = [
    [configPath('topics', name), encodeConfigs(configs)],
    [topicPath(name), encodeTopic(topicId, new Map(epochs.map((_epoch, index) => [index, assignment])))],
    [partitionsPath(name), Buffer.alloc(0)],
  ]
  for (const [index, leaderEpoch] of epochs.entries()) {
    // As it was when the other Kafka stopped: this broker registers later, which is a new leader epoch.
    const state = encodePartitionState({ leader: brokerId, leaderEpoch, isr: [brokerId], controllerEpoch: 0 })
    nodes.push([partitionPath(name, index), Buffer.alloc(0)], [partitionStatePath(name, index), state])
  }
  return nodes
}
