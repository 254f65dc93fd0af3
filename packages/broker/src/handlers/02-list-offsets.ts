import { errorTable, KafkaError, ListOffsets, type ListOffsetsRequest, type ResponseInput } from '@tidelog/protocol'
import { defineHandler, errorCodeOf } from '../define-handler.ts'
import type { FetchIsolation, Partition } from '../replicas/partition.ts'
import type { RequestContext } from '../request-context.ts'
import { RowTurns } from '../row-turns.ts'

type PartitionRow = ResponseInput<typeof ListOffsets>['topics'][number]['partitions'][number]
type WantedPartition = ListOffsetsRequest['topics'][number]['partitions'][number]

/** Timestamps that stand for a place in the log; every other negative one is refused. Source: KIP-79, KIP-405, KIP-734, KIP-1005, KIP-1023. */
const special = { latest: -1, earliest: -2, maxTimestamp: -3, earliestLocal: -4, latestTiered: -5, earliestPendingUpload: -6 }
/** A version below is told that it cannot know. */
const sinceVersion = new Map([
  [special.maxTimestamp, 7],
  [special.earliestLocal, 8],
  [special.latestTiered, 9],
  [special.earliestPendingUpload, 11],
])

const consumerReplicaId = -1
const readUncommitted = 0
const readCommitted = 1
const nothing = { timestamp: -1, offset: -1, leaderEpoch: -1 }

/** An offset for each partition: by timestamp, the first record at or after it, or by one of the special timestamps. */
export const listOffsets = defineHandler(ListOffsets, listAll, {
  errorResponse: ({ topics }, errorCode) => ({
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode, oldStyleOffsets: [], ...nothing })),
    })),
  }),
})

async function listAll(request: ListOffsetsRequest, context: RequestContext): Promise<ResponseInput<typeof ListOffsets>> {
  const { isolationLevel } = request
  if (isolationLevel !== readUncommitted && isolationLevel !== readCommitted) {
    throw new KafkaError('INVALID_REQUEST', `isolation level ${isolationLevel} means nothing`)
  }
  const duplicates = context.apiVersion === 0 ? new Set<string>() : namedTwice(request)
  const topics = []
  const turns = new RowTurns()
  for (const { name, partitions } of request.topics) {
    const rows: PartitionRow[] = []
    for (const wanted of partitions) {
      const turn = turns.next()
      if (turn !== undefined) await turn
      if (duplicates.size > 0 && duplicates.has(keyOf(name, wanted))) continue
      rows.push(await listOne(name, wanted, request, context))
    }
    if (rows.length > 0 || context.apiVersion === 0) topics.push({ name, partitions: rows })
  }
  // As Kafka from version 1 on: one refusal for all of them.
  const { code: errorCode } = errorTable.INVALID_REQUEST
  for (const { name, partitions } of request.topics) {
    const rows = partitions.flatMap((wanted): PartitionRow[] =>
      duplicates.delete(keyOf(name, wanted)) ? [{ partitionIndex: wanted.partitionIndex, errorCode, oldStyleOffsets: [], ...nothing }] : [],
    )
    if (rows.length > 0) topics.push({ name, partitions: rows })
  }
  return { topics }
}

const keyOf = (topic: string, { partitionIndex }: WantedPartition) => `${partitionIndex} ${topic}`

/** Keys of the partitions that a request names more than once. */
function namedTwice({ topics }: ListOffsetsRequest): Set<string> {
  const seen = new Set<string>()
  const twice = new Set<string>()
  for (const { name, partitions } of topics) {
    for (const wanted of partitions) {
      const key = keyOf(name, wanted)
      if (seen.has(key)) twice.add(key)
      seen.add(key)
    }
  }
  return twice
}

async function listOne(
  topic: string,
  wanted: WantedPartition,
  { replicaId, isolationLevel }: ListOffsetsRequest,
  context: RequestContext,
): Promise<PartitionRow> {
  const { partitionIndex } = wanted
  try {
    context.authorize('Describe', 'Topic', topic)
    const partition = context.broker.replicas.leaderOf(topic, partitionIndex)
    partition.checkLeaderEpoch(wanted.currentLeaderEpoch)
    const fromConsumer = replicaId === consumerReplicaId
    const isolation: FetchIsolation = !fromConsumer ? 'log_end' : isolationLevel === readCommitted ? 'last_stable' : 'high_watermark'
    if (context.apiVersion === 0) {
      const oldStyleOffsets = await offsetsBefore(partition, wanted, { end: partition.endOf(isolation), nowMs: context.broker.clock.now() })
      return { partitionIndex, errorCode: 0, oldStyleOffsets }
    }
    return {
      partitionIndex,
      errorCode: 0,
      oldStyleOffsets: [],
      ...(await lookUp(partition, wanted.timestamp, isolation, context.apiVersion)),
    }
  } catch (error) {
    return { partitionIndex, ...errorCodeOf(error, context), oldStyleOffsets: [], ...nothing }
  }
}

async function lookUp(
  partition: Partition,
  timestamp: number,
  isolation: FetchIsolation,
  apiVersion: number,
): Promise<{ timestamp: number; offset: number; leaderEpoch: number }> {
  if (timestamp < special.earliestPendingUpload || apiVersion < (sinceVersion.get(timestamp) ?? 0)) {
    throw new KafkaError('UNSUPPORTED_VERSION', `ListOffsets ${apiVersion} does not know the timestamp ${timestamp}`)
  }
  const { log, leaderEpoch } = partition
  const end = partition.endOf(isolation)
  switch (timestamp) {
    case special.latest:
      return { timestamp: -1, offset: end, leaderEpoch }
    // Without tiered storage the local log is all there is, and nothing is tiered or waits to be.
    case special.earliest:
    case special.earliestLocal:
      return { timestamp: -1, offset: log.logStartOffset, leaderEpoch: log.epochForOffset(log.logStartOffset) ?? -1 }
    case special.latestTiered:
    case special.earliestPendingUpload:
      return nothing
    case special.maxTimestamp: {
      const found = await log.maxTimestampOffset()
      return found === undefined || found.offset >= end ? nothing : { ...found, leaderEpoch: found.leaderEpoch }
    }
    default: {
      const found = await log.offsetForTimestamp(timestamp)
      return found === undefined || found.offset >= end ? nothing : { ...found, leaderEpoch: found.leaderEpoch }
    }
  }
}

/**
 * What version 0 asks for: offsets where segments begin, and the log's end, newest first, of segments last written at or before the time.
 * Source: Kafka 3.9, UnifiedLog.legacyFetchOffsetsBefore.
 */
async function offsetsBefore(
  { log }: Partition,
  { timestamp, maxNumOffsets }: WantedPartition,
  { end, nowMs }: { end: number; nowMs: number },
): Promise<number[]> {
  if (timestamp < special.earliest) throw new KafkaError('UNSUPPORTED_VERSION', `ListOffsets 0 does not know the timestamp ${timestamp}`)
  if (maxNumOffsets < 0) throw new KafkaError('INVALID_REQUEST', `${maxNumOffsets} offsets are asked for`)
  const starts = await log.segmentTimes()
  const places = starts.map(({ baseOffset, modifiedMs }) => ({ offset: Math.max(baseOffset, log.logStartOffset), timeMs: modifiedMs }))
  if (end > (places.at(-1)?.offset ?? 0)) places.push({ offset: end, timeMs: nowMs })
  const count =
    timestamp === special.latest
      ? places.length
      : timestamp === special.earliest
        ? 1
        : places.findLastIndex(({ timeMs }) => timeMs <= timestamp) + 1
  return places
    .slice(0, count)
    .map(({ offset }) => Math.min(offset, end))
    .reverse()
    .slice(0, maxNumOffsets)
}
