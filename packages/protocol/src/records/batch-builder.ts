import type { Offload } from '@tidelog/core'
import { type CodecName, codecIdOf, compress, compressSync } from '../compression/index.ts'
import * as header from './batch-header.ts'
import { unsignedVarintSize, varintSize, varlongSize, writeUnsignedVarint, writeVarint, writeVarlong } from './varint.ts'

export interface NewHeader {
  readonly key: string
  readonly value: Uint8Array | null
}

export interface NewRecord {
  /** Ms since the Unix epoch; −1, which is none, when absent. */
  readonly timestamp?: number
  readonly key?: Uint8Array | null
  readonly value?: Uint8Array | null
  readonly headers?: readonly NewHeader[]
}

export interface BatchOptions {
  readonly codec?: CodecName
  /** The codec's level, its default when absent. */
  readonly level?: number | undefined
  /** Offset of the first record; a producer leaves it at 0 and the leader sets it. */
  readonly baseOffset?: number
  /** Offset of the last record when compaction has removed it (inclusive); else that of the last one appended. */
  readonly lastOffset?: number
  readonly partitionLeaderEpoch?: number
  readonly producerId?: number
  readonly producerEpoch?: number
  readonly baseSequence?: number
  readonly isTransactional?: boolean
  readonly isControl?: boolean
  /** The batch is LogAppendTime and every record of it has this timestamp. */
  readonly logAppendTimeMs?: number
  /** When compaction may drop what is marked for deletion here; stands in place of the base timestamp. KIP-534. */
  readonly deleteHorizonMs?: number
  /** Room to begin with. */
  readonly expectedBytes?: number
  /** Memory to begin in, instead of new memory; whoever gives it must not use it before the batch has gone out of use. */
  readonly buffer?: Buffer | undefined
}

/** What an idempotent producer knows only when it sends. */
export type SequenceOptions = Pick<BatchOptions, 'producerId' | 'producerEpoch' | 'baseSequence'>

const DEFAULT_EXPECTED_BYTES = 1024

/** Up to here a loop beats the call into the runtime. */
const SHORT_BYTES = 24

/** Longest that the lengths, differences and attributes of a record can be: 5 varints of 5 bytes, one of 10, one byte. */
const MAX_RECORD_OVERHEAD_BYTES = 36

/** Builds one v2 batch: records are encoded as they come, the header and the compression follow in `build`. */
export class BatchBuilder {
  readonly #options: BatchOptions
  readonly #baseOffset: number
  #buffer: Buffer
  #position = header.BATCH_OVERHEAD_BYTES
  #recordsCount = 0
  #lastOffsetDelta = -1
  #baseTimestamp = -1
  #maxTimestamp = -1

  constructor(options: BatchOptions = {}) {
    this.#options = options
    this.#baseOffset = options.baseOffset ?? 0
    const { buffer } = options
    this.#buffer =
      buffer !== undefined && buffer.length >= header.BATCH_OVERHEAD_BYTES
        ? buffer
        : Buffer.allocUnsafe(Math.max(header.BATCH_OVERHEAD_BYTES, options.expectedBytes ?? DEFAULT_EXPECTED_BYTES))
    if (options.deleteHorizonMs !== undefined) this.#baseTimestamp = options.deleteHorizonMs
  }

  get recordsCount(): number {
    return this.#recordsCount
  }

  /** The memory that the records are in; under `none`, the built batch too. */
  get buffer(): Buffer {
    return this.#buffer
  }

  /** Size of the batch so far, before compression. */
  get sizeBytes(): number {
    return this.#position
  }

  /** By how much `record` would make the batch longer, before compression. */
  recordBytes(record: NewRecord): number {
    const body = this.#bodyBytes(record, this.#timestampDelta(record), this.#lastOffsetDelta + 1)
    return unsignedVarintSize(body * 2) + body
  }

  /** @param offset Of this record; the one after the last when absent. Offsets only rise. */
  append(record: NewRecord, offset?: number): void {
    const timestamp = record.timestamp ?? -1
    const timestampDelta = this.#timestampDelta(record)
    const offsetDelta = offset === undefined ? this.#lastOffsetDelta + 1 : offset - this.#baseOffset
    const body = this.#bodyBytes(record, timestampDelta, offsetDelta)
    const { key = null, value = null, headers } = record
    this.#reserve(body + 5)

    const buffer = this.#buffer
    let at = writeUnsignedVarint(buffer, this.#position, body * 2)
    buffer[at++] = 0 // attributes: none are defined
    at = writeVarlong(buffer, at, timestampDelta)
    at = writeVarint(buffer, at, offsetDelta)
    at = writeBytes(buffer, at, key)
    at = writeBytes(buffer, at, value)
    if (headers === undefined) {
      buffer[at++] = 0
    } else {
      at = writeVarint(buffer, at, headers.length)
      for (const { key: name, value: content } of headers) {
        const length = Buffer.byteLength(name, 'utf8')
        at = writeVarint(buffer, at, length)
        at += buffer.write(name, at, length, 'utf8')
        at = writeBytes(buffer, at, content)
      }
    }

    if (this.#recordsCount === 0 && this.#options.deleteHorizonMs === undefined) this.#baseTimestamp = timestamp
    if (timestamp > this.#maxTimestamp) this.#maxTimestamp = timestamp
    this.#lastOffsetDelta = offsetDelta
    this.#recordsCount++
    this.#position = at
  }

  /** The batch, compressed on the event loop. Nothing can be appended after it. @param sequence Instead of what the options say of it. */
  build(sequence: SequenceOptions = this.#options): Buffer {
    const { codec = 'none', level } = this.#options
    const compressed = codec === 'none' ? undefined : compressSync(codec, this.#records(), level === undefined ? {} : { level })
    return this.#finish(compressed, sequence)
  }

  /** The batch, compressed by `offload`. Nothing can be appended from the call on. */
  async buildAside(offload: Offload): Promise<Buffer> {
    const { codec = 'none', level } = this.#options
    if (codec === 'none') return this.#finish(undefined)
    const run = () => compress(codec, this.#records(), level === undefined ? {} : { level })
    return this.#finish(await offload.run({ name: `compress ${codec}`, run }))
  }

  #records(): Buffer {
    return this.#buffer.subarray(header.BATCH_OVERHEAD_BYTES, this.#position)
  }

  #finish(compressed: Buffer | undefined, sequence: SequenceOptions = this.#options): Buffer {
    const options = this.#options
    let batch = this.#buffer.subarray(0, this.#position)
    if (compressed !== undefined) {
      batch = Buffer.allocUnsafe(header.BATCH_OVERHEAD_BYTES + compressed.length)
      compressed.copy(batch, header.BATCH_OVERHEAD_BYTES)
    }
    header.writeHeader(batch, 0, batch.length, {
      baseOffset: this.#baseOffset,
      partitionLeaderEpoch: options.partitionLeaderEpoch ?? -1,
      attributes: this.#attributes(),
      lastOffsetDelta: options.lastOffset === undefined ? this.#lastOffsetDelta : options.lastOffset - this.#baseOffset,
      baseTimestamp: this.#baseTimestamp,
      maxTimestamp: options.logAppendTimeMs ?? this.#maxTimestamp,
      producerId: sequence.producerId ?? -1,
      producerEpoch: sequence.producerEpoch ?? -1,
      baseSequence: sequence.baseSequence ?? -1,
      recordsCount: this.#recordsCount,
    })
    return batch
  }

  #attributes(): number {
    const { codec = 'none', logAppendTimeMs, isTransactional = false, isControl = false, deleteHorizonMs } = this.#options
    return (
      codecIdOf(codec) |
      (logAppendTimeMs === undefined ? 0 : header.LOG_APPEND_TIME_FLAG) |
      (isTransactional ? header.TRANSACTIONAL_FLAG : 0) |
      (isControl ? header.CONTROL_FLAG : 0) |
      (deleteHorizonMs === undefined ? 0 : header.DELETE_HORIZON_FLAG)
    )
  }

  #timestampDelta({ timestamp = -1 }: NewRecord): number {
    const isFirst = this.#recordsCount === 0 && this.#options.deleteHorizonMs === undefined
    return isFirst ? 0 : timestamp - this.#baseTimestamp
  }

  #bodyBytes({ key = null, value = null, headers }: NewRecord, timestampDelta: number, offsetDelta: number): number {
    let bytes = 1 + varlongSize(timestampDelta) + varintSize(offsetDelta) + sizedBytes(key) + sizedBytes(value)
    if (headers === undefined) return bytes + 1
    bytes += varintSize(headers.length)
    for (const { key: name, value: content } of headers) {
      const length = Buffer.byteLength(name, 'utf8')
      bytes += varintSize(length) + length + sizedBytes(content)
    }
    return bytes
  }

  #reserve(bytes: number): void {
    const needed = this.#position + bytes
    if (needed <= this.#buffer.length) return
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(grown, 0, 0, this.#position)
    this.#buffer = grown
  }
}

/** An upper bound of what one record adds to a batch, without looking at its encoding; headers included. */
export function estimateRecordBytes({ key = null, value = null, headers }: NewRecord): number {
  const bytes = MAX_RECORD_OVERHEAD_BYTES + (key === null ? 0 : key.length) + (value === null ? 0 : value.length)
  return headers === undefined ? bytes : bytes + estimateHeaderBytes(headers)
}

function estimateHeaderBytes(headers: readonly NewHeader[]): number {
  let bytes = 0
  for (const { key: name, value: content } of headers) bytes += 10 + Buffer.byteLength(name, 'utf8') + (content?.byteLength ?? 0)
  return bytes
}

/** One batch with all of `records`. */
export function buildBatch(records: Iterable<NewRecord>, options: BatchOptions = {}): Buffer {
  const builder = new BatchBuilder(options)
  for (const record of records) builder.append(record)
  return builder.build()
}

function sizedBytes(bytes: Uint8Array | null): number {
  return bytes === null ? 1 : varintSize(bytes.length) + bytes.length
}

function writeBytes(buffer: Buffer, at: number, bytes: Uint8Array | null): number {
  if (bytes === null) {
    buffer[at] = 1 // −1
    return at + 1
  }
  const length = bytes.length
  const start = writeVarint(buffer, at, length)
  if (length > SHORT_BYTES) buffer.set(bytes, start)
  else for (let index = 0; index < length; index++) buffer[start + index] = bytes[index]!
  return start + length
}
