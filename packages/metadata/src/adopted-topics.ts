import { type Logger, type Random, randomUuid } from '@tidelog/core'
import { CLUSTER_METADATA_TOPIC, isInternalTopic, isValidTopicName } from './controller/topic-name.ts'
import type { KraftState, KraftTopic } from './kraft/kraft-state.ts'

/** A `TOPIC-PARTITION` folder in a log dir that no store of ours has written. */
export interface FoundPartition {
  readonly topic: string
  readonly partition: number
  /** From partition.metadata; undefined when the folder has none. */
  readonly topicId: string | undefined
  /** Last entry of leader-epoch-checkpoint; −1 when there is none. */
  readonly lastLeaderEpoch: number
}

/** How an internal topic is set up on this broker, by its configuration. */
export interface InternalTopicSetUp {
  readonly partitions: number
  readonly configs: ReadonlyMap<string, string>
}

/** A topic as it goes into the store: all of its partitions are this broker's. */
export interface AdoptedTopic {
  readonly name: string
  readonly topicId: string
  readonly configs: ReadonlyMap<string, string>
  /** Last leader epoch by partition, −1 where none is known. */
  readonly epochs: readonly number[]
  /** Partitions without a folder. */
  readonly missing: readonly number[]
}

interface Options {
  readonly brokerId: number
  readonly found: readonly FoundPartition[]
  readonly internalTopic: (name: string) => InternalTopicSetUp
  readonly random: Random
  readonly logger: Logger
}

/** Nobody knows how long records without metadata were to be kept, so nothing of them is deleted until an operator says so. */
const KEEP_FOREVER: ReadonlyMap<string, string> = new Map([
  ['retention.ms', '-1'],
  ['retention.bytes', '-1'],
])
/** More is a folder that only looks like a partition, and beyond what a topic's node can hold. */
const MAX_PARTITIONS = 50_000
/** Names in a warning. */
const NAMES_SHOWN = 20

/** Topics where nothing is known but the folders. @throws Error in one line when folders contradict each other */
export function topicsOfFolders({ found, internalTopic, random, logger }: Options): AdoptedTopic[] {
  return [...foldersByTopic(found, logger)].map(([name, folders]) => {
    const ids = idsOf(name, folders)
    const setUp = isInternalTopic(name) ? internalTopic(name) : { partitions: 0, configs: KEEP_FOREVER }
    const [topicId = randomUuid(random)] = ids
    const count = Math.max(setUp.partitions, ...folders.map(({ partition }) => partition + 1))
    if (count > MAX_PARTITIONS)
      throw new Error(`the folder ${name}-${count - 1} is not one of a topic's first ${MAX_PARTITIONS} partitions`)
    return adopted({ name, topicId, configs: setUp.configs, epochs: new Array<number>(count).fill(-1) }, folders)
  })
}

/**
 * Topics as the metadata log knows them, reduced to what one broker can hold: it becomes the only replica of every partition, also of those that lay on
 * other brokers alone, so that keys find the partitions that they always did. A topic that has nothing here is left out.
 * @throws Error in one line when a folder has another topic id than the metadata log says, or a topic cannot be
 */
export function topicsOfKraft(kraft: KraftState, { brokerId, found, logger }: Options): AdoptedTopic[] {
  const folders = foldersByTopic(found, logger)
  const topics: AdoptedTopic[] = []
  const elsewhere: string[] = []
  const behind: string[] = []
  for (const topic of kraft.topics.values()) {
    const { name, topicId, partitions } = topic
    const count = partitionCountOf(topic)
    const here = folders.get(name) ?? []
    const other = idsOf(name, here).find((id) => id !== topicId)
    if (other !== undefined)
      throw new Error(
        `the folders of topic ${name} have the topic id ${other}, but the metadata log says ${topicId}: move them out of the log dirs`,
      )
    const own = here.filter(({ partition }) => partition < count)
    folders.set(
      name,
      here.filter(({ partition }) => partition >= count),
    )
    const isReplicated = [...partitions.values()].some(({ replicas }) => replicas.includes(brokerId))
    if (own.length === 0 && !isReplicated) {
      elsewhere.push(name)
      continue
    }
    for (const [index, { replicas, isr, eligibleLeaderReplicas }] of partitions)
      if (replicas.includes(brokerId) && ![...isr, ...eligibleLeaderReplicas].includes(brokerId)) behind.push(`${name}-${index}`)
    const epochs = Array.from({ length: count }, (_none, index) => partitions.get(index)!.leaderEpoch)
    topics.push(adopted({ name, topicId, configs: kraft.topicConfigs(name), epochs }, own))
  }
  const strange = [...folders].flatMap(([name, left]) => left.map(({ partition }) => `${name}-${partition}`))
  const others = kraft.brokers.filter((id) => id !== brokerId)
  const warn = (message: string, names: readonly (string | number)[]) => {
    if (names.length > 0) logger.warn(message, { count: names.length, names: names.slice(0, NAMES_SHOWN).join(',') })
  }
  warn('the cluster had other brokers: what only they have is not adopted', others)
  warn('topics without a replica on this broker are left out', elsewhere)
  warn('partitions were behind their leader on another broker: they are adopted as they are here', behind)
  warn('folders of partitions that the metadata log does not know are left alone', strange)
  return topics
}

/** Partitions are numbered without gaps. @throws Error in one line when they are not, or the topic cannot be */
function partitionCountOf({ name, partitions }: KraftTopic): number {
  if (!isValidTopicName(name)) throw new Error(`the metadata log has a topic with the name ${JSON.stringify(name)}, which cannot be`)
  if (partitions.size > MAX_PARTITIONS) throw new Error(`the topic ${name} has ${partitions.size} partitions, more than ${MAX_PARTITIONS}`)
  for (let index = 0; index < partitions.size; index++)
    if (!partitions.has(index)) throw new Error(`the metadata log has no partition ${name}-${index}, but later ones`)
  return partitions.size
}

function adopted(topic: Omit<AdoptedTopic, 'missing'>, folders: readonly FoundPartition[]): AdoptedTopic {
  const { epochs } = topic
  const byIndex = new Map(folders.map(({ partition, lastLeaderEpoch }) => [partition, lastLeaderEpoch]))
  return {
    ...topic,
    epochs: epochs.map((epoch, index) => Math.max(epoch, byIndex.get(index) ?? -1)),
    missing: [...epochs.keys()].filter((index) => !byIndex.has(index)),
  }
}

function foldersByTopic(found: readonly FoundPartition[], logger: Logger): Map<string, FoundPartition[]> {
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
  return byName
}

/** The ids in a topic's folders, at most one. @throws Error when they have different ones */
function idsOf(name: string, folders: readonly FoundPartition[]): string[] {
  const ids = [...new Set(folders.flatMap(({ topicId }) => topicId ?? []))]
  if (ids.length > 1) throw new Error(`the folders of topic ${name} have different topic ids: ${ids.join(', ')}`)
  return ids
}
