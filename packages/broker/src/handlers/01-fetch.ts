import { errorTable, Fetch, type FetchRequest, KafkaError, type ResponseInput } from '@tidelog/protocol'
import { defineHandler, errorCodeOf } from '../define-handler.ts'
import type { FetchedPartition, FetchPartition } from '../replicas/fetch-sessions.ts'
import { messageSetOf } from '../replicas/old-formats.ts'
import type { Fetched, FetchIsolation, Partition } from '../replicas/partition.ts'
import type { RequestContext } from '../request-context.ts'
import { RowTurns } from '../row-turns.ts'

type FetchInput = ResponseInput<typeof Fetch>
type PartitionRow = FetchInput['responses'][number]['partitions'][number]

const FIRST_VERSION_WITH_SESSIONS = 7
const FIRST_VERSION_WITH_MAX_BYTES = 3
const FIRST_VERSION_WITH_BATCHES = 4
const FIRST_VERSION_WITH_ZSTD = 10
const FIRST_VERSION_WITH_TOPIC_IDS = 13
const readUncommitted = 0
const readCommitted = 1

/** One partition's part of the answer while it is being gathered: a fetch that waits reads twice, so rows are made at its end. */
interface Read extends FetchedPartition {
  readonly wanted: FetchPartition
  readonly partition: Partition | undefined
  /** As it was read; undefined beside an error and where the logs have parted. */
  readonly fetched: Fetched | undefined
  /** What was read, or what it was converted to. */
  readonly records: readonly Buffer[] | Buffer
  readonly lastStableOffset: number
  readonly divergingEpoch: { readonly epoch: number; readonly endOffset: number } | undefined
  /** Where its reader came to the end; what has been appended since is behind it. */
  readonly end: number
  /** The cluster has no such partition, or not for this client: it says so, and the others are waited for all the same. */
  readonly isUnknown: boolean
}

/**
 * Reads whole batches, uncopied, from each partition until the answer is full; waits for `min bytes` up to `max wait`. The first batch of the
 * first partition that has one is given even when it alone is larger than the limits. Source: KIP-74, KIP-227, KIP-320, KIP-516.
 */
export const fetch = defineHandler(Fetch, fetchAll, {
  errorResponse: (request, errorCode, _message, apiVersion) => ({
    errorCode,
    sessionId: 0,
    // Sessions brought the error of the whole answer; before, each partition must carry it.
    responses:
      apiVersion >= FIRST_VERSION_WITH_SESSIONS
        ? []
        : request.topics.map(({ topic, topicId, partitions }) => ({
            topic,
            topicId,
            partitions: partitions.map(({ partition }) => emptyRow(partition, errorCode)),
          })),
  }),
})

async function fetchAll(request: FetchRequest, context: RequestContext): Promise<FetchInput> {
  const { broker, apiVersion } = context
  const { isolationLevel } = request
  if (isolationLevel !== readUncommitted && isolationLevel !== readCommitted) {
    throw new KafkaError('INVALID_REQUEST', `isolation level ${isolationLevel} means nothing`)
  }
  const replicaId = apiVersion >= 15 ? request.replicaState.replicaId : request.replicaId
  const session = broker.fetchSessions.begin({
    sessionId: request.sessionId,
    sessionEpoch: request.sessionEpoch,
    usesTopicIds: apiVersion >= FIRST_VERSION_WITH_TOPIC_IDS,
    fromFollower: replicaId >= 0,
    partitions: request.topics.flatMap(({ topic, topicId, partitions }) =>
      partitions.map((wanted) => ({
        topic,
        topicId,
        partition: wanted.partition,
        fetchOffset: wanted.fetchOffset,
        maxBytes: wanted.partitionMaxBytes,
        // Whatever is negative says nothing.
        currentLeaderEpoch: Math.max(-1, wanted.currentLeaderEpoch),
        lastFetchedEpoch: wanted.lastFetchedEpoch,
      })),
    ),
    forgotten: request.forgottenTopicsData.flatMap(({ topic, topicId, partitions }) =>
      partitions.map((partition) => ({ topic, topicId, partition })),
    ),
  })
  if (session.error !== undefined) return { errorCode: new KafkaError(session.error).code, sessionId: 0, responses: [] }

  const isolation: FetchIsolation = isolationLevel === readCommitted ? 'last_stable' : 'high_watermark'
  const reads = await readUntilEnough(session.partitions, request, { replicaId, isolation }, context)
  context.afterReply(() => release(reads))
  const { sessionId, includes } = session.finish(reads)
  return { errorCode: 0, sessionId, responses: byTopic(reads.filter((_read, index) => includes(index))) }
}

/** Nothing refers to what was read any more. */
function release(reads: readonly Read[]): void {
  for (const { partition, fetched } of reads) if (fetched !== undefined) partition?.release(fetched)
}

interface Reader {
  readonly replicaId: number
  readonly isolation: FetchIsolation
}

async function readUntilEnough(
  wanted: readonly FetchPartition[],
  request: FetchRequest,
  reader: Reader,
  context: RequestContext,
): Promise<readonly Read[]> {
  const { broker } = context
  const deadlineMs = broker.clock.monotonic() + request.maxWaitMs
  let unknownAtFirst: number | undefined
  for (;;) {
    const reads = await readOnce(wanted, request, reader, context)
    let bytes = 0
    let unknown = 0
    let failed = false
    for (const { recordsBytes, errorCode, diverged, isUnknown } of reads) {
      if (isUnknown) {
        unknown++
        continue
      }
      bytes += recordsBytes
      failed ||= errorCode !== 0 || diverged
    }
    unknownAtFirst ??= unknown
    // A topic that goes meanwhile is told at once.
    failed ||= unknown > unknownAtFirst || unknown === reads.length
    const leftMs = deadlineMs - broker.clock.monotonic()
    if (failed || bytes >= request.minBytes || leftMs <= 0 || context.connection.closed) return reads
    // Something came while the last partitions were read: look again instead of waiting for more.
    if (reads.some(({ partition, end }) => partition !== undefined && partition.endOf(reader.isolation) > end)) {
      release(reads)
      continue
    }
    const partitions = reads.flatMap(({ partition }) => partition ?? [])
    const reason = await broker.fetchPurgatory.wait(partitions, {
      bytesWanted: request.minBytes - bytes,
      maxWaitMs: leftMs,
      connection: context.connection,
    })
    if (reason === 'gone') return reads
    // An expired wait still answers with what is there now, which may be more than before.
    const isSame = ({ partition, end, isUnknown }: Read) => isUnknown || partition?.endOf(reader.isolation) === end
    if (reason === 'expired' && bytes === 0 && reads.every(isSame)) return reads
    release(reads)
  }
}

async function readOnce(
  wanted: readonly FetchPartition[],
  request: FetchRequest,
  reader: Reader,
  context: RequestContext,
): Promise<Read[]> {
  const { config } = context.broker
  const maxBytes = Math.min(
    context.apiVersion >= FIRST_VERSION_WITH_MAX_BYTES ? request.maxBytes : Number.MAX_SAFE_INTEGER,
    config['fetch.max.bytes'],
  )
  const reads: Read[] = []
  let left = maxBytes
  let nothingYet = true
  const turns = new RowTurns()
  for (const partition of wanted) {
    const turn = turns.next()
    if (turn !== undefined) await turn
    const limits = { maxBytes: Math.max(0, Math.min(partition.maxBytes, left)), minOneBatch: nothingYet }
    const reading = readPartition(partition, limits, reader, context)
    // Most are answered from memory: a fetch of many partitions should not wait a round of the microtask queue for each.
    const read = reading instanceof Promise ? await reading : reading
    if (read.recordsBytes > 0) nothingYet = false
    left = Math.max(0, left - read.recordsBytes)
    reads.push(read)
  }
  return reads
}

function readPartition(
  wanted: FetchPartition,
  limits: { maxBytes: number; minOneBatch: boolean },
  { replicaId, isolation }: Reader,
  context: RequestContext,
): Read | Promise<Read> {
  const { broker, apiVersion } = context
  let isUnknown = true
  try {
    const topic = apiVersion >= FIRST_VERSION_WITH_TOPIC_IDS ? broker.replicas.topicName(wanted.topicId) : wanted.topic
    context.authorize('Read', 'Topic', topic)
    const partition = broker.replicas.leaderOf(topic, wanted.partition)
    isUnknown = false
    if (replicaId >= 0) throw unknownReplica(replicaId, wanted)
    partition.checkLeaderEpoch(wanted.currentLeaderEpoch)
    const end = partition.endOf(isolation)
    const diverging = divergingEpoch(wanted, partition)
    if (diverging !== undefined) return divergedRead({ wanted, partition, end }, diverging)
    // Kafka refuses such a topic as a whole; a batch that a producer packed with zstd on its own account travels as it is. Source: KIP-110.
    if (apiVersion < FIRST_VERSION_WITH_ZSTD && partition.log.config['compression.type'] === 'zstd') {
      throw new KafkaError('UNSUPPORTED_COMPRESSION_TYPE', `a Fetch below version ${FIRST_VERSION_WITH_ZSTD} cannot carry zstd`)
    }
    const { maxBytes, minOneBatch } = limits
    const fetched = partition.read({ maxBytes, minOneBatch, fetchOffset: wanted.fetchOffset, isolation })
    const place = { wanted, partition, end }
    if (!(fetched instanceof Promise) && apiVersion >= FIRST_VERSION_WITH_BATCHES) return wholeRead(place, fetched, fetched.records)
    return finishRead(place, fetched, context).catch((error: unknown) => failedRead(wanted, error, false, context))
  } catch (error) {
    return failedRead(wanted, error, isUnknown, context)
  }
}

type ReadPlace = Pick<Read, 'wanted' | 'partition' | 'end'>

/** For what the disk is asked for, and what an old client wants converted. */
async function finishRead(place: ReadPlace, fetching: Fetched | Promise<Fetched>, { apiVersion, broker }: RequestContext): Promise<Read> {
  const fetched = await fetching
  if (apiVersion >= FIRST_VERSION_WITH_BATCHES) return wholeRead(place, fetched, fetched.records)
  const { fetchOffset } = place.wanted
  return wholeRead(place, fetched, await messageSetOf(apiVersion, fetched.records, { fetchOffset, offload: broker.offload }))
}

function wholeRead({ wanted, partition, end }: ReadPlace, fetched: Fetched, records: readonly Buffer[]): Read {
  return {
    wanted,
    partition,
    fetched,
    records,
    recordsBytes: bytesOf(fetched.records),
    errorCode: 0,
    highWatermark: fetched.highWatermark,
    lastStableOffset: fetched.lastStableOffset,
    logStartOffset: fetched.logStartOffset,
    divergingEpoch: undefined,
    diverged: false,
    end,
    isUnknown: false,
  }
}

function divergedRead(place: ReadPlace & { partition: Partition }, divergingEpoch: { epoch: number; endOffset: number }): Read {
  const { wanted, partition, end } = place
  const { highWatermark, lastStableOffset, logStartOffset } = partition.log
  return {
    wanted,
    partition,
    fetched: undefined,
    records: noRecords,
    recordsBytes: 0,
    errorCode: 0,
    highWatermark,
    lastStableOffset,
    logStartOffset,
    divergingEpoch,
    diverged: true,
    end,
    isUnknown: false,
  }
}

function failedRead(wanted: FetchPartition, error: unknown, isUnknown: boolean, context: RequestContext): Read {
  const { errorCode } = errorCodeOf(error, context)
  return {
    wanted,
    partition: undefined,
    fetched: undefined,
    records: noRecords,
    recordsBytes: 0,
    errorCode,
    highWatermark: -1,
    lastStableOffset: -1,
    logStartOffset: -1,
    divergingEpoch: undefined,
    diverged: false,
    end: -1,
    isUnknown: isUnknown && errorCode !== notLeaderOrFollower && errorCode !== kafkaStorageError,
  }
}

function rowOf({ wanted, fetched, records, isUnknown, ...read }: Read): PartitionRow {
  const { errorCode, highWatermark, lastStableOffset, logStartOffset, divergingEpoch } = read
  return {
    partitionIndex: wanted.partition,
    errorCode,
    highWatermark,
    lastStableOffset,
    logStartOffset,
    abortedTransactions: fetched?.abortedTransactions ?? (isUnknown ? [] : null),
    divergingEpoch,
    preferredReadReplica: -1,
    records,
  }
}

function emptyRow(partitionIndex: number, errorCode: number): PartitionRow {
  return {
    partitionIndex,
    errorCode,
    highWatermark: -1,
    lastStableOffset: -1,
    logStartOffset: -1,
    abortedTransactions: null,
    divergingEpoch: {},
    currentLeader: {},
    snapshotId: {},
    preferredReadReplica: -1,
    records: noRecords,
  }
}
const noRecords = Buffer.alloc(0)
const notLeaderOrFollower = errorTable.NOT_LEADER_OR_FOLLOWER.code
const kafkaStorageError = errorTable.KAFKA_STORAGE_ERROR.code

function bytesOf(chunks: readonly Buffer[]): number {
  let bytes = 0
  for (const chunk of chunks) bytes += chunk.length
  return bytes
}

/** Only this broker is a replica of what it hosts: nobody else may fetch as one, and move its high watermark. */
function unknownReplica(replicaId: number, { currentLeaderEpoch }: FetchPartition): KafkaError {
  return new KafkaError(currentLeaderEpoch >= 0 ? 'UNKNOWN_LEADER_EPOCH' : 'NOT_LEADER_OR_FOLLOWER', `broker ${replicaId} is not a replica`)
}

/**
 * Where the fetcher's log has left the leader's; undefined when it has not, or the fetcher does not tell its last epoch. Source: KIP-595.
 * @throws KafkaError OFFSET_OUT_OF_RANGE when the leader knows nothing of that epoch any more.
 */
function divergingEpoch(
  { lastFetchedEpoch, fetchOffset }: FetchPartition,
  { log }: Partition,
): { epoch: number; endOffset: number } | undefined {
  if (lastFetchedEpoch < 0) return undefined
  const { epoch, endOffset } = log.endOffsetForEpoch(lastFetchedEpoch)
  if (epoch < 0 || endOffset < 0) throw new KafkaError('OFFSET_OUT_OF_RANGE', `no end offset is known for epoch ${lastFetchedEpoch}`)
  return epoch < lastFetchedEpoch || endOffset < fetchOffset ? { epoch, endOffset } : undefined
}

/** Rows of one topic that follow each other share its entry. */
function byTopic(reads: readonly Read[]): FetchInput['responses'] {
  const responses: { topic: string; topicId: string; partitions: PartitionRow[] }[] = []
  for (const read of reads) {
    const { topic, topicId } = read.wanted
    const last = responses.at(-1)
    if (last !== undefined && last.topic === topic && last.topicId === topicId) last.partitions.push(rowOf(read))
    else responses.push({ topic, topicId, partitions: [rowOf(read)] })
  }
  return responses
}
