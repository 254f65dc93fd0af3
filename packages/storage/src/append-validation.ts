import type { Offload } from '@tidelog/core'
import {
  batchAt,
  type CodecName,
  codecById,
  KafkaError,
  levelOf,
  type RecordBatch,
  RecordValidationError,
  readEndTxnMarker,
  readRecords,
  validateClientHeader,
  validateRecords,
} from '@tidelog/protocol'
import type { LogConfig } from './log-config.ts'
import type { AppendOrigin, TransactionMarker } from './producer-state.ts'
import { recompress } from './recompress.ts'

/** A decompressed batch may be this many times as large as the largest that a topic takes, and at least the floor below. */
const MAX_EXPANSION = 100
const MAX_OUTPUT_FLOOR_BYTES = 16 * 1024 * 1024
const MAX_OUTPUT_BYTES = 1024 * 1024 * 1024

/** A batch that may be appended: checked, in the codec that the topic wants, its offsets and leader epoch still to be set. */
export interface PreparedBatch {
  readonly bytes: Buffer
  /** Offsets that it takes. */
  readonly count: number
  /** Largest timestamp of its records; under LogAppendTime the time of the append replaces it. */
  readonly maxTimestamp: number
  readonly marker: TransactionMarker | undefined
}

export interface PrepareOptions {
  /** TOPIC-PARTITION, for messages. */
  readonly name: string
  readonly origin: AppendOrigin
  readonly config: LogConfig
  readonly nowMs: number
  readonly offload: Offload
}

/**
 * Checks what is to be appended, as Kafka's UnifiedLog and LogValidator do: sizes, checksums, headers, every record. Returns at once unless a batch
 * has to be decompressed aside.
 * @throws KafkaError MESSAGE_TOO_LARGE, RECORD_LIST_TOO_LARGE, CORRUPT_MESSAGE, INVALID_RECORD, INVALID_TIMESTAMP.
 */
export function prepareAppend(records: Buffer, options: PrepareOptions): PreparedBatch[] | Promise<PreparedBatch[]> {
  const { name, origin, config } = options
  const batches: RecordBatch[] = []
  let at = 0
  for (;;) {
    const batch = batchAt(records, at, records.length)
    if (batch === undefined) break
    checkBatch(batch, options)
    batches.push(batch)
    at += batch.sizeBytes
  }
  // A batch that is cut off is not one; Kafka too appends the whole ones before it.
  if (batches.length === 0) throw new KafkaError('INVALID_RECORD', `${name}: there is no whole record batch to append`)
  if (at > config['segment.bytes']) {
    throw new KafkaError(
      'RECORD_LIST_TOO_LARGE',
      `Message batch size is ${at} bytes in append to partition ${name}, which exceeds the maximum configured segment size of ${config['segment.bytes']}.`,
    )
  }
  if (origin === 'replication') return batches.map((batch) => trusted(batch))
  if (origin === 'coordinator') {
    const converted = batches.map((batch) => convert(batch, trusted(batch), options))
    return converted.some((result) => result instanceof Promise) ? Promise.all(converted) : (converted as PreparedBatch[])
  }
  const prepared = batches.map((batch) => prepareClientBatch(batch, options))
  return prepared.some((result) => result instanceof Promise) ? Promise.all(prepared) : (prepared as PreparedBatch[])
}

function checkBatch(batch: RecordBatch, { name, origin, config }: PrepareOptions): void {
  if (batch.magic !== 2 && origin !== 'replication') {
    throw new KafkaError('INVALID_RECORD', `${name}: record format v${batch.magic} must be converted before it is appended`)
  }
  if (origin === 'client' && batch.baseOffset !== 0) {
    throw new KafkaError(
      'INVALID_RECORD',
      `The baseOffset of the record batch in the append to ${name} should be 0, but it is ${batch.baseOffset}`,
    )
  }
  if (origin !== 'replication' && batch.sizeBytes > config['max.message.bytes']) {
    throw new KafkaError(
      'MESSAGE_TOO_LARGE',
      `The record batch size in the append to ${name} is ${batch.sizeBytes} bytes which exceeds the maximum configured value of ${config['max.message.bytes']}.`,
    )
  }
  if (!batch.isCrcValid) throw new KafkaError('CORRUPT_MESSAGE', `Record is corrupt (stored crc differs) in topic partition ${name}.`)
}

function prepareClientBatch(batch: RecordBatch, options: PrepareOptions): PreparedBatch | Promise<PreparedBatch> {
  const { config, nowMs, offload, name } = options
  validateClientHeader(batch)
  const isLogAppendTime = config['message.timestamp.type'] === 'LogAppendTime'
  if (isLogAppendTime && batch.isLogAppendTime) {
    throw new RecordValidationError('INVALID_TIMESTAMP', 'One or more records have been rejected due to invalid timestamp', [
      {
        batchIndex: 0,
        batchIndexErrorMessage: 'Invalid timestamp type in message. Producer should not set timestamp type to LogAppendTime.',
      },
    ])
  }
  const rules = {
    name,
    requireKeys: config['cleanup.policy'].includes('compact'),
    minTimestampMs: isLogAppendTime ? Number.NEGATIVE_INFINITY : earliestMs(nowMs, config['message.timestamp.before.max.ms']),
    maxTimestampMs: isLogAppendTime ? Number.POSITIVE_INFINITY : nowMs + config['message.timestamp.after.max.ms'],
    maxOutputBytes: maxOutputBytes(config),
  }
  const validated = validateRecords(batch, rules, offload)
  if (!(validated instanceof Promise)) return convert(batch, client(batch, validated.maxTimestamp), options)
  return validated.then(({ maxTimestamp }) => convert(batch, client(batch, maxTimestamp), options))
}

/** Without a limit any time may be, also one before 1970. */
function earliestMs(nowMs: number, beforeMaxMs: number): number {
  return beforeMaxMs === Number.MAX_SAFE_INTEGER ? Number.MIN_SAFE_INTEGER : nowMs - beforeMaxMs
}

const client = (batch: RecordBatch, maxTimestamp: number): PreparedBatch => ({
  bytes: batch.bytes,
  count: batch.lastOffsetDelta + 1,
  maxTimestamp,
  marker: undefined,
})

/** A batch from the leader or from this broker's own coordinators: its records are not walked again. */
function trusted(batch: RecordBatch): PreparedBatch {
  if (batch.magic !== 2) return { bytes: batch.bytes, count: 1, maxTimestamp: -1, marker: undefined }
  return {
    bytes: batch.bytes,
    count: batch.lastOffsetDelta + 1,
    maxTimestamp: batch.maxTimestamp,
    marker: markerOf(batch),
  }
}

/** The marker that ends a transaction, when the control batch holds one. */
export function markerOf(batch: RecordBatch): TransactionMarker | undefined {
  if (!batch.isControl) return undefined
  for (const record of readRecords(batch, { maxOutputBytes: batch.sizeBytes })) {
    const marker = readEndTxnMarker(record)
    return marker && { isAbort: marker.type === 'abort', coordinatorEpoch: marker.coordinatorEpoch }
  }
  return undefined
}

/** What records of a topic may take when they are decompressed. */
export function maxOutputBytes(config: LogConfig): number {
  return Math.min(Math.max(config['max.message.bytes'] * MAX_EXPANSION, MAX_OUTPUT_FLOOR_BYTES), MAX_OUTPUT_BYTES)
}

/** Brings a batch into the codec that compression.type asks for. Offsets and timestamps of records are differences, so their bytes stay. */
function convert(batch: RecordBatch, prepared: PreparedBatch, options: PrepareOptions): PreparedBatch | Promise<PreparedBatch> {
  const wanted = wantedCodec(options.config)
  if (wanted === undefined || wanted === codecById(batch.codecId) || batch.isControl) return prepared
  const { name, config, offload } = options
  const target = { codec: wanted, level: levelOf(wanted, config), maxOutputBytes: maxOutputBytes(config) }
  const finish = (bytes: Buffer): PreparedBatch => {
    if (bytes.length > config['max.message.bytes']) {
      throw new KafkaError(
        'MESSAGE_TOO_LARGE',
        `The record batch in the append to ${name} is ${bytes.length} bytes in ${wanted}, which exceeds the maximum configured value of ${config['max.message.bytes']}.`,
      )
    }
    return { ...prepared, bytes }
  }
  return recompress(batch, target, offload).then(finish)
}

function wantedCodec(config: LogConfig): CodecName | undefined {
  const type = config['compression.type']
  if (type === 'producer') return undefined
  return type === 'uncompressed' ? 'none' : type
}
