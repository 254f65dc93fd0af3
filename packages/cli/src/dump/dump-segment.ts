import {
  batchHeader,
  codecById,
  type KafkaRecord,
  kraftControlText,
  type RecordBatch,
  readEndTxnMarker,
  readRecords,
} from '@tidelog/protocol'
import type { RecordDecoder } from './record-decoders.ts'
import type { SegmentFile } from './segment-file.ts'

/** Records of one batch, decompressed: what a broker takes at most is far below. */
const MAX_RECORDS_BYTES = 1024 * 1024 * 1024

export interface SegmentDumpOptions {
  /** A line for every record, not for batches alone. */
  readonly deep: boolean
  /** With key and value, as text. */
  readonly contents: boolean
  /** Of a record, nothing but key and value; an empty line where there is neither, as for control records. */
  readonly skipRecordMetadata: boolean
  /** Says what keys and values mean; as text when absent. */
  readonly decode?: RecordDecoder | undefined
  /** Batches that end behind so many bytes are left out. */
  readonly maxBytes: number
}

/** What a file's dump has found wrong, pairs of offsets: an offset that its successor does not follow. */
export type Gaps = readonly (readonly [offset: number, next: number])[]

/** The lines that kafka-dump-log prints of a `.log` file, or a snapshot of KRaft's metadata. @returns Where offsets are not consecutive; only looked for when deep. */
export function* dumpSegment(segment: SegmentFile, fileName: string, options: SegmentDumpOptions): Generator<string, Gaps, undefined> {
  const { deep, maxBytes } = options
  yield titleOf(fileName)
  let validBytes = 0
  let lastOffset = -1
  const gaps: [number, number][] = []
  for (const { batch, position } of segment.batches(0, maxBytes)) {
    yield batchLine(batch, position)
    validBytes = position + batch.sizeBytes
    if (!deep) continue
    for (const record of readRecords(batch, { maxOutputBytes: MAX_RECORDS_BYTES })) {
      // As kafka-dump-log does, which takes the start of every segment but the first for a gap behind -1.
      if (record.offset !== lastOffset + 1) gaps.push([lastOffset, record.offset])
      lastOffset = record.offset
      yield recordLine(batch, record, options)
    }
  }
  const trailing = segment.sizeBytes - validBytes
  if (trailing > 0 && maxBytes >= segment.sizeBytes) yield `Found ${trailing} invalid bytes at the end of ${fileName}`
  return gaps
}

function titleOf(fileName: string): string {
  if (fileName === 'bootstrap.checkpoint') return 'KRaft bootstrap snapshot'
  const snapshot = /^(\d+)-(\d+)\.checkpoint$/.exec(fileName)
  if (snapshot !== null) return `Snapshot end offset: ${Number(snapshot[1])}, epoch: ${Number(snapshot[2])}`
  return `Log starting offset: ${Number(/^\d+/.exec(fileName)?.[0] ?? 0)}`
}

const optionalLong = (value: number | undefined): string => (value === undefined ? 'OptionalLong.empty' : `OptionalLong[${value}]`)

function batchLine(batch: RecordBatch, position: number): string {
  const { magic, isCrcValid } = batch
  if (magic < 2) {
    // One message: what kafka-dump-log says of it lies at fixed places, see protocol's message.ts.
    const { buffer, at } = batch
    const attributes = buffer.readInt8(at + 17)
    const time =
      magic === 0 ? 'NoTimestampType: -1' : `${(attributes & 8) === 0 ? 'CreateTime' : 'LogAppendTime'}: ${buffer.readBigInt64BE(at + 18)}`
    return `offset: ${batch.baseOffset} position: ${position} ${time} size: ${batch.sizeBytes} magic: ${magic} compresscodec: ${codecById(attributes & 7)} crc: ${buffer.readUInt32BE(at + 12)} isvalid: ${isCrcValid}`
  }
  return (
    `baseOffset: ${batch.baseOffset} lastOffset: ${batch.lastOffset} count: ${batch.recordsCount} baseSequence: ${batch.baseSequence}` +
    ` lastSequence: ${batch.lastSequence} producerId: ${batch.producerId} producerEpoch: ${batch.producerEpoch}` +
    ` partitionLeaderEpoch: ${batch.partitionLeaderEpoch} isTransactional: ${batch.isTransactional} isControl: ${batch.isControl}` +
    ` deleteHorizonMs: ${optionalLong(batch.deleteHorizonMs)} position: ${position} ${timeOf(batch)}: ${batch.maxTimestamp} size: ${batch.sizeBytes}` +
    ` magic: ${magic} compresscodec: ${codecById(batch.codecId)} crc: ${batchHeader.crc(batch.buffer, batch.at)} isvalid: ${isCrcValid}`
  )
}

const timeOf = ({ isLogAppendTime }: RecordBatch): string => (isLogAppendTime ? 'LogAppendTime' : 'CreateTime')

function recordLine(batch: RecordBatch, record: KafkaRecord, options: SegmentDumpOptions): string {
  const { contents, skipRecordMetadata } = options
  const { key, value } = record
  const isControl = batch.magic === 2 && batch.isControl
  const payload = contents && !isControl ? contentText(record, options.decode) : ''
  if (skipRecordMetadata) return payload === '' ? '' : `|${payload}`
  const time = batch.magic === 0 ? 'NoTimestampType' : batch.magic === 1 ? 'CreateTime' : timeOf(batch)
  const place = `| offset: ${record.offset} ${time}: ${record.timestamp} keySize: ${key?.length ?? -1} valueSize: ${value?.length ?? -1}`
  if (batch.magic < 2) return `${place} isvalid: true${payload}`
  const { baseSequence } = batch
  const sequence = baseSequence < 0 ? -1 : batchHeader.addSequence(baseSequence, record.offset - batch.baseOffset)
  const described = `${place} sequence: ${sequence} headerKeys: [${record.headers.map((header) => header.key).join(',')}]`
  return described + (isControl ? controlText(record) : payload)
}

function contentText(record: KafkaRecord, decode: RecordDecoder = plainText): string {
  const { key, payload } = decode(record)
  return `${key === undefined ? '' : ` key: ${key}`}${payload === undefined ? '' : ` payload: ${payload}`}`
}

const plainText: RecordDecoder = ({ key, value }) => ({ key: key?.toString(), payload: value?.toString() })

function controlText(record: KafkaRecord): string {
  const marker = readEndTxnMarker(record)
  if (marker === undefined) {
    const type = record.key?.readInt16BE(2) ?? -1
    return ` ${kraftControlText(type, record.value ?? Buffer.alloc(0)) ?? `controlType: UNKNOWN(${type})`}`
  }
  return ` endTxnMarker: ${marker.type.toUpperCase()} coordinatorEpoch: ${marker.coordinatorEpoch}`
}
