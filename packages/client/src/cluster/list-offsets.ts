import { errorTable, ListOffsets } from '@tidelog/protocol'
import { checkOffset } from '../errors.ts'
import { groupByTopic, PartitionMap, type TopicPartition } from '../topic-partition.ts'
import type { BrokerConnection } from './broker-connection.ts'
import type { Cluster, RetryOptions } from './cluster.ts'
import type { Outcome } from './outcome.ts'
import { perLeader } from './per-leader.ts'

/** Which offset to look up: a name, or `{ timestamp }` for the first record with that timestamp (ms) or a later one. */
export type OffsetSpec =
  | 'earliest'
  | 'latest'
  | 'max-timestamp'
  | 'earliest-local'
  | 'latest-tiered'
  | 'earliest-pending-upload'
  | { readonly timestamp: number }

/** What the wire has instead of a timestamp, and the first version of ListOffsets that knows it. */
const specials: Readonly<Record<Exclude<OffsetSpec, object>, readonly [timestamp: number, sinceVersion: number]>> = {
  latest: [-1, 1],
  earliest: [-2, 1],
  'max-timestamp': [-3, 7],
  'earliest-local': [-4, 8],
  'latest-tiered': [-5, 9],
  'earliest-pending-upload': [-6, 11],
}

export interface OffsetQuery extends TopicPartition {
  readonly spec: OffsetSpec
}

export interface FoundOffset {
  /** -1: no record fits. */
  readonly offset: number
  /** Of the record found; -1 where the spec is not about one. */
  readonly timestamp: number
  /** -1: unknown. */
  readonly leaderEpoch: number
}

export type IsolationLevel = 'read_uncommitted' | 'read_committed'

export const isolationLevelCode = (level: IsolationLevel): number => (level === 'read_committed' ? 1 : 0)

/** Asks the partitions' leaders. @returns An outcome for every query, in order. */
export async function listOffsets(
  cluster: Cluster,
  queries: readonly OffsetQuery[],
  options: RetryOptions & { readonly isolationLevel: IsolationLevel },
): Promise<Outcome<FoundOffset>[]> {
  const outcomes = new Map<OffsetQuery, Outcome<FoundOffset>>()
  const askAll = async (layer: readonly OffsetQuery[]) => {
    const found = await perLeader(cluster, layer, options, (connection, group) => ask(cluster, connection, group, options.isolationLevel))
    for (const [index, query] of layer.entries()) outcomes.set(query, found[index]!)
  }
  await Promise.all(distinctLayers(queries).map(askAll))
  return queries.map((query) => outcomes.get(query)!)
}

/** A request names a partition once: what asks for one again goes into another request. */
function distinctLayers(queries: readonly OffsetQuery[]): OffsetQuery[][] {
  const layers: OffsetQuery[][] = []
  const timesSeen = new PartitionMap<number>()
  for (const query of queries) {
    const seen = timesSeen.get(query) ?? 0
    timesSeen.set(query, seen + 1)
    const layer = layers[seen]
    if (layer === undefined) layers.push([query])
    else layer.push(query)
  }
  return layers
}

async function ask(cluster: Cluster, connection: BrokerConnection, queries: readonly OffsetQuery[], isolationLevel: IsolationLevel) {
  const needed = Math.max(...queries.map(({ spec }) => (typeof spec === 'object' ? 1 : specials[spec][1])))
  const answers = new Map<OffsetQuery, { errorCode: number; value: FoundOffset }>()
  // A broker that is older than a special timestamp would look for a record of the year 1969.
  if (connection.versionOf(ListOffsets) < needed) {
    for (const query of queries)
      answers.set(query, { errorCode: errorTable.UNSUPPORTED_VERSION.code, value: { offset: -1, timestamp: -1, leaderEpoch: -1 } })
    return answers
  }
  const topics = [...groupByTopic(queries)].map(([name, partitions]) => ({
    name,
    partitions: partitions.map(({ partition, spec }) => ({
      partitionIndex: partition,
      currentLeaderEpoch: cluster.metadata.partition(name, partition)?.leaderEpoch ?? -1,
      timestamp: typeof spec === 'object' ? spec.timestamp : specials[spec][0],
      // Version 0 answers with up to this many offsets instead of one.
      maxNumOffsets: 1,
    })),
  }))
  const response = await connection.send(ListOffsets, {
    replicaId: -1,
    isolationLevel: isolationLevelCode(isolationLevel),
    topics,
    timeoutMs: cluster.config['request.timeout.ms'],
  })
  for (const query of queries) {
    const answer = response.topics
      .find(({ name }) => name === query.topic)
      ?.partitions.find(({ partitionIndex }) => partitionIndex === query.partition)
    if (answer === undefined) continue
    const { errorCode, offset, timestamp, leaderEpoch } = answer
    answers.set(query, { errorCode, value: { offset: checkOffset(offset, query), timestamp, leaderEpoch } })
  }
  return answers
}
