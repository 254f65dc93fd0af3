import type { Offload } from '@tidelog/core'
import {
  BatchBuilder,
  iterateBatches,
  KafkaError,
  type KafkaRecord,
  type RecordBatch,
  readRecords,
  uncompressBatch,
} from '@tidelog/protocol'
import { codecNameOf } from '../compression.ts'
import { KafkaJSNonRetriableError } from '../errors.ts'
import { headersByName } from '../headers.ts'
import { int64Of } from '../offset-arguments.ts'
import type { IHeaders } from '../types-client.ts'
import type { Message } from '../types-producer.ts'
import { bytesOf } from './broker-call.ts'

/** Record batches as kafkajs's Broker takes and gives them. */

/** A batch must not hold more than this: the bytes come from outside. */
const MAX_UNCOMPRESSED_BYTES = 256 * 1024 * 1024
/** kafkajs's numbers for who has set the time of a record. */
const CREATE_TIME = 0
const LOG_APPEND_TIME = 1

/** What making batches and taking them apart needs of the world. */
export interface BatchTools {
  /** The time of messages that bring none, ms since the Unix epoch. */
  now(): number
  readonly offload: Offload
}

export interface NewBatch {
  readonly messages: readonly Message[]
  readonly compression: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly firstSequence: number
  readonly isTransactional: boolean
}

/** @throws KafkaJSNonRetriableError for a compression that there is not */
export function batchOf(batch: NewBatch, { now, offload }: BatchTools): Promise<Buffer> {
  const { messages, compression, producerId, producerEpoch, firstSequence, isTransactional } = batch
  const nowMs = now()
  const codec = codecNameOf(compression)
  if (codec === undefined) throw new KafkaJSNonRetriableError(`there is no compression ${compression}`)
  const builder = new BatchBuilder({ codec, producerId, producerEpoch, baseSequence: firstSequence, isTransactional })
  for (const { key, value, headers, timestamp } of messages) {
    builder.append({
      key: bytesOf(key),
      value: bytesOf(value),
      timestamp: timestamp ? int64Of(timestamp) : nowMs,
      headers: Object.entries(headers ?? {}).flatMap(([name, content]) =>
        (Array.isArray(content) ? content : [content]).map((one) => ({ key: name, value: bytesOf(one) })),
      ),
    })
  }
  return builder.buildAside(offload)
}

/** What all records of a batch have in common. */
export interface BatchContext {
  firstOffset: string
  firstTimestamp: string
  partitionLeaderEpoch: number
  inTransaction: boolean
  isControlBatch: boolean
  lastOffsetDelta: number
  producerId: string
  producerEpoch: number
  firstSequence: number
  maxTimestamp: string
  timestampType: number
  magicByte: number
}

/** A record that was fetched: as kafkajs's consumers see it, and the batch that it came in. */
export interface FetchedRecord {
  magicByte: number
  attributes: number
  timestamp: string
  offset: string
  key: Buffer | null
  value: Buffer | null
  headers: IHeaders
  isControlRecord: boolean
  batchContext: BatchContext
}

/** A message of the formats before Kafka 0.11. */
export interface FetchedMessage extends Pick<FetchedRecord, 'magicByte' | 'attributes' | 'timestamp' | 'offset' | 'key' | 'value'> {
  size: number
}

/**
 * All records of the batches, also those before the offset that was asked for, those of aborted transactions, and markers.
 * @throws KafkaError CORRUPT_MESSAGE, INVALID_RECORD
 */
export async function recordsIn(bytes: Buffer | null, { offload }: BatchTools): Promise<(FetchedRecord | FetchedMessage)[]> {
  const records: (FetchedRecord | FetchedMessage)[] = []
  for (const batch of iterateBatches(bytes ?? Buffer.alloc(0))) {
    batch.ensureValid()
    const uncompressed = await uncompressBatch(batch, { maxOutputBytes: MAX_UNCOMPRESSED_BYTES }, offload)
    const context = batch.magic >= 2 ? contextOf(batch) : undefined
    for (const record of readRecords(batch, { maxOutputBytes: MAX_UNCOMPRESSED_BYTES, uncompressed })) {
      records.push(context === undefined ? messageOf(batch, record) : recordOf(context, record))
    }
  }
  return records
}

function contextOf(batch: RecordBatch): BatchContext {
  if (!Number.isSafeInteger(batch.lastOffset)) throw new KafkaError('CORRUPT_MESSAGE', 'an offset is beyond ±(2^53−1)')
  return {
    firstOffset: String(batch.baseOffset),
    firstTimestamp: String(batch.baseTimestamp),
    partitionLeaderEpoch: batch.partitionLeaderEpoch,
    inTransaction: batch.isTransactional,
    isControlBatch: batch.isControl,
    lastOffsetDelta: batch.lastOffsetDelta,
    producerId: String(batch.producerId),
    producerEpoch: batch.producerEpoch,
    firstSequence: batch.baseSequence,
    maxTimestamp: String(batch.maxTimestamp),
    timestampType: batch.isLogAppendTime ? LOG_APPEND_TIME : CREATE_TIME,
    magicByte: batch.magic,
  }
}

const recordOf = (batchContext: BatchContext, { timestamp, offset, key, value, headers }: KafkaRecord): FetchedRecord => ({
  magicByte: batchContext.magicByte,
  attributes: 0,
  timestamp: String(timestamp),
  offset: String(offset),
  key,
  value,
  headers: headersByName(headers),
  isControlRecord: batchContext.isControlBatch,
  batchContext,
})

const messageOf = ({ magic, sizeBytes }: RecordBatch, { timestamp, offset, key, value }: KafkaRecord): FetchedMessage => ({
  magicByte: magic,
  attributes: 0,
  timestamp: String(timestamp),
  offset: String(offset),
  size: sizeBytes,
  key,
  value,
})
