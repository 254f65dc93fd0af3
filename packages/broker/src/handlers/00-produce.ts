import type { Offload } from '@tidelog/core'
import {
  batchAt,
  batchHeader,
  errorTable,
  iterateBatches,
  KafkaError,
  Produce,
  type ProduceRequest,
  RecordValidationError,
  type ResponseInput,
} from '@tidelog/protocol'
import type { VerificationGuard } from '@tidelog/storage'
import { CloseConnection, defineHandler, errorCodeOf, noResponse } from '../define-handler.ts'
import { batchOfMessageSet } from '../replicas/old-formats.ts'
import type { Partition } from '../replicas/partition.ts'
import type { RequestContext } from '../request-context.ts'
import type { VerificationMode } from '../transactions/partition-verifier.ts'
import { verifiedGuard } from '../transactions/verified-guard.ts'

type ProduceInput = ResponseInput<typeof Produce>
type TopicRow = ProduceInput['responses'][number]
type PartitionRow = TopicRow['partitionResponses'][number]
type TopicData = ProduceRequest['topicData'][number]

const FIRST_VERSION_WITH_BATCHES = 3
const FIRST_VERSION_WITH_ZSTD = 7
/** From here on a producer understands TRANSACTION_ABORTABLE. KIP-890. */
const FIRST_VERSION_WITH_ABORTABLE = 11
/** From here on a transactional producer leaves it to the partitions' leaders to include them. KIP-890. */
const FIRST_VERSION_THAT_ADDS = 12
const FIRST_VERSION_WITH_TOPIC_IDS = 13
const zstd = 4
const notAppended = { baseOffset: -1, logAppendTimeMs: -1, logStartOffset: -1 }

/**
 * Appends to each partition on its own: a KafkaError there becomes that row's errorCode, its neighbours carry on. With acks=0 there is no
 * reply, and an error closes the connection, the only way to tell.
 */
export const produce = defineHandler(Produce, appendAll, {
  // The appends take their places in their partitions' queues before the first await; message sets are converted first.
  pipelinedFrom: FIRST_VERSION_WITH_BATCHES,
  // The log has copied the batches when an append settles, and the reply waits for every one of them.
  keepsNoBytes: true,
  errorResponse: ({ topicData }, errorCode, errorMessage) => ({
    responses: topicData.map(({ name, topicId, partitionData }) => ({
      name,
      topicId,
      partitionResponses: partitionData.map(({ index }) => ({
        index,
        errorCode,
        errorMessage,
        recordErrors: [],
        currentLeader: {},
        ...notAppended,
      })),
    })),
  }),
})

async function appendAll(request: ProduceRequest, context: RequestContext): Promise<ProduceInput | typeof noResponse> {
  const { acks, topicData } = request
  requireTransactionalId(request, context)
  const appends = topicData.map((topic) => ({
    topic,
    rows: topic.partitionData.map((partition) => appendOne(topic, partition, request, context)),
  }))
  const responses: TopicRow[] = []
  for (const { topic, rows } of appends) {
    responses.push({ name: topic.name, topicId: topic.topicId, partitionResponses: await Promise.all(rows) })
  }
  if (acks !== 0) return { responses }
  const failed = responses.flatMap(({ partitionResponses }) => partitionResponses).find(({ errorCode }) => errorCode !== 0)
  if (failed !== undefined) throw new CloseConnection(`Produce with acks=0 failed with error ${failed.errorCode}: ${failed.errorMessage}`)
  return noResponse
}

async function appendOne(
  topic: TopicData,
  { index, records }: TopicData['partitionData'][number],
  { acks, timeoutMs, transactionalId }: ProduceRequest,
  context: RequestContext,
): Promise<PartitionRow> {
  const { broker, apiVersion } = context
  let partition: Partition | undefined
  let isAtLog = false
  try {
    const name = apiVersion >= FIRST_VERSION_WITH_TOPIC_IDS ? broker.replicas.topicName(topic.topicId) : topic.name
    context.authorize('Write', 'Topic', name)
    partition = broker.replicas.leaderOf(name, index)
    if (records === null) throw new KafkaError('INVALID_RECORD', 'a partition comes without records')
    // The only wait ahead of the append, and only for versions that do not overlap.
    const batches =
      apiVersion < FIRST_VERSION_WITH_BATCHES ? await batchesOfOldProducer(records, broker.offload) : wholeBatch(records, apiVersion)
    if (acks !== 0 && acks !== 1 && acks !== -1) throw new KafkaError('INVALID_REQUIRED_ACKS', `acks is ${acks}`)
    if (batches.length === 0) return { index, errorCode: 0, ...notAppended, recordErrors: [], currentLeader: {} }
    const asked = transactionalId === null ? undefined : guardOf(partition, batches, transactionalId, context)
    // Only what waits for a coordinator may let others go ahead.
    const guard = asked instanceof Promise ? await asked : asked
    isAtLog = true
    const { baseOffset, logAppendTimeMs, logStartOffset } = await partition.append(batches, { acks, timeoutMs, guard })
    return { index, errorCode: 0, errorMessage: null, baseOffset, logAppendTimeMs, logStartOffset, recordErrors: [], currentLeader: {} }
  } catch (error) {
    const recordErrors = error instanceof RecordValidationError ? error.recordErrors : []
    const { errorCode, errorMessage } = errorCodeOf(error, context)
    const logStartOffset = isAtLog && !startless.has(errorCode) ? partition!.log.logStartOffset : -1
    return { index, ...notAppended, errorCode, errorMessage, logStartOffset, recordErrors, currentLeader: {} }
  }
}

/** Errors of an append beside which Kafka does not tell where the log starts. */
const startless: ReadonlySet<number> = new Set(
  (['CORRUPT_MESSAGE', 'NOT_LEADER_OR_FOLLOWER', 'MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'KAFKA_STORAGE_ERROR'] as const).map(
    (name) => errorTable[name].code,
  ),
)

/** A message set becomes one batch; nothing stays nothing, and v2 batches pass as they are: Kafka 3.9 checks neither in these versions. */
function batchesOfOldProducer(records: Buffer, offload: Offload): Buffer | Promise<Buffer> {
  const first = batchAt(records, 0, records.length)
  if (first === undefined) return records.subarray(0, 0)
  return first.magic === 2 ? records : batchOfMessageSet(records, offload)
}

/**
 * The v2 batch to append: there must be exactly one. A cut-off rest is dropped, as in Kafka.
 * @throws KafkaError INVALID_RECORD, CORRUPT_MESSAGE, UNSUPPORTED_COMPRESSION_TYPE
 */
function wholeBatch(records: Buffer, apiVersion: number): Buffer {
  const first = batchAt(records, 0, records.length)
  if (first === undefined) throw new KafkaError('INVALID_RECORD', `Produce ${apiVersion} must have a record batch for each partition`)
  if (first.magic !== 2)
    throw new KafkaError('INVALID_RECORD', `Produce ${apiVersion} takes batches of magic 2 only, this one is ${first.magic}`)
  if (apiVersion < FIRST_VERSION_WITH_ZSTD && first.codecId === zstd) {
    throw new KafkaError('UNSUPPORTED_COMPRESSION_TYPE', `Produce ${apiVersion} cannot carry zstd`)
  }
  if (first.sizeBytes === records.length) return records
  if (batchAt(records, first.sizeBytes, records.length) !== undefined) {
    throw new KafkaError('INVALID_RECORD', `Produce ${apiVersion} must have exactly one record batch for each partition`)
  }
  return records.subarray(0, first.sizeBytes)
}

/**
 * @throws KafkaError TRANSACTIONAL_ID_AUTHORIZATION_FAILED for the whole request when it has a transactional batch and no id that the client may write
 * with
 */
function requireTransactionalId({ topicData, transactionalId }: ProduceRequest, context: RequestContext): void {
  const isTransactional = topicData.some(({ partitionData }) =>
    partitionData.some(({ records }) => records !== null && hasTransactional(records)),
  )
  if (!isTransactional) return
  if (transactionalId === null) {
    throw new KafkaError('TRANSACTIONAL_ID_AUTHORIZATION_FAILED', 'a transactional batch comes without a transactional id')
  }
  context.authorize('Write', 'TransactionalId', transactionalId)
}

function hasTransactional(batches: Buffer): boolean {
  for (const { at, magic } of iterateBatches(batches)) if (magic === 2 && batchHeader.isTransactional(batches, at)) return true
  return false
}

/** Of what a producer's partition is to be asked about for a batch that begins its transaction there. */
function guardOf(
  partition: Partition,
  batches: Buffer,
  transactionalId: string,
  { apiVersion, broker }: RequestContext,
): VerificationGuard | null | undefined | Promise<VerificationGuard> {
  if (!hasTransactional(batches)) return undefined
  const producer = {
    transactionalId,
    producerId: batchHeader.producerId(batches, 0),
    producerEpoch: batchHeader.producerEpoch(batches, 0),
  }
  const guard = verifiedGuard(
    partition,
    { ...producer, baseSequence: batchHeader.baseSequence(batches, 0) },
    verificationMode(apiVersion),
    broker,
  )
  return guard instanceof Promise ? guard.catch(retriedByProducers) : guard
}

/** Old producers know these errors of a coordinator not from Produce, but they try again after this one. */
function retriedByProducers(error: unknown): never {
  if (!(error instanceof KafkaError) || !ofCoordinators.has(error.errorName)) throw error
  throw new KafkaError(
    'NOT_ENOUGH_REPLICAS',
    `Unable to verify the partition has been added to the transaction. Underlying error: ${error.errorName}`,
  )
}
const ofCoordinators: ReadonlySet<string> = new Set([
  'CONCURRENT_TRANSACTIONS',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR',
])

function verificationMode(apiVersion: number): VerificationMode {
  if (apiVersion >= FIRST_VERSION_THAT_ADDS) return 'add'
  return apiVersion >= FIRST_VERSION_WITH_ABORTABLE ? 'verify-abortable' : 'verify'
}
