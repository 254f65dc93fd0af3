import type { Logger, Offload, Random } from '@tidelog/core'
import { adoptLogDirs, type FoundPartition, KraftState, type MetadataStore } from '@tidelog/metadata'
import { adoptionFacts, CLUSTER_METADATA_FOLDER, type LogDirs, type LogManager, readClusterMetadata } from '@tidelog/storage'
import { newTopicOf } from './auto-topic-creation.ts'
import type { BrokerConfig } from './config/broker-config.ts'

/**
 * What KRaft's metadata log says, where Kafka kept one: in metadata.log.dir, else in one of the log dirs. Reads only.
 * @returns undefined when there is none, as in ZooKeeper mode
 * @throws Error in one line when it is damaged, or two directories have one
 */
export async function readKraftState(dirs: LogDirs, metadataDir: string, logger: Logger): Promise<KraftState | undefined> {
  let found: { state: KraftState; dir: string } | undefined
  for (const dir of new Set([metadataDir, ...dirs.paths])) {
    if (dirs.offline.has(dir)) continue // adoption will refuse it
    const state = new KraftState()
    const read = await readClusterMetadata(dirs.fs, dir, (value) => state.apply(value))
    if (read === undefined) continue
    if (found !== undefined)
      throw new Error(`both ${found.dir} and ${dir} have a ${CLUSTER_METADATA_FOLDER}: say which one counts with metadata.log.dir`)
    found = { state, dir }
    logger.info('read the metadata log of a KRaft cluster', { dir, ...read })
    if (read.tornBytes > 0)
      logger.warn('the metadata log ends in a write that was cut off: it is passed over', { dir, bytes: read.tornBytes })
    if (dir === metadataDir) break
  }
  return found?.state
}

/** Takes over what another Kafka left in the log dirs, while the store knows no cluster. @throws Error in one line for contradictions */
export async function adopt(
  store: MetadataStore,
  logs: LogManager,
  options: {
    readonly config: BrokerConfig
    readonly kraft: KraftState | undefined
    readonly random: Random
    readonly logger: Logger
    readonly offload: Offload
  },
): Promise<void> {
  const { config, kraft, random, logger, offload } = options
  const found = foundIn(logs)
  if (found.length === 0 && kraft === undefined) return
  await adoptLogDirs(store, {
    brokerId: config['node.id'],
    found,
    kraft,
    highestProducerId: (await adoptionFacts(logs, offload)).highestProducerId,
    internalTopic: (name) => {
      const { partitions, configs } = newTopicOf(name, config)
      return { partitions, configs: new Map(configs.flatMap(({ name: key, value }) => (value === null ? [] : [[key, value] as const]))) }
    },
    random,
    logger,
  })
}

/** The partitions in the log dirs, as their folders say. */
export function foundIn(logs: LogManager): FoundPartition[] {
  return [...logs.logs()].map(({ topic, partition, topicId, latestEpoch }) => ({ topic, partition, topicId, lastLeaderEpoch: latestEpoch }))
}
