import { KafkaError } from '../errors.ts'
import * as header from './batch-header.ts'
import { isMessageCrcValid } from './message.ts'

/** The smallest message of format v0 without its offset and size: CRC, magic, attributes, key and value length. */
const MIN_BATCH_LENGTH = 14
const NEWEST_MAGIC = 2

/**
 * One batch where it lies in a buffer; nothing is copied. Under magic 0 and 1 a batch is one message, see message.ts: of the fields below it has
 * buffer, at, sizeBytes, magic, isCrcValid, ensureValid, bytes and baseOffset, which there is the last offset that the message holds.
 */
export class RecordBatch {
  readonly buffer: Buffer
  /** Where the batch starts in `buffer`. */
  readonly at: number
  /** Whole size, header included. */
  readonly sizeBytes: number
  readonly magic: number

  /** Use `iterateBatches`: the constructor believes what it is told. */
  constructor(buffer: Buffer, at: number, sizeBytes: number, magic: number) {
    this.buffer = buffer
    this.at = at
    this.sizeBytes = sizeBytes
    this.magic = magic
  }

  get baseOffset(): number {
    return header.baseOffset(this.buffer, this.at)
  }
  get partitionLeaderEpoch(): number {
    return header.partitionLeaderEpoch(this.buffer, this.at)
  }
  get attributes(): number {
    return header.attributes(this.buffer, this.at)
  }
  /** 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd; 5 to 7 mean nothing. */
  get codecId(): number {
    return header.codecId(this.buffer, this.at)
  }
  get isLogAppendTime(): boolean {
    return header.isLogAppendTime(this.buffer, this.at)
  }
  get isTransactional(): boolean {
    return header.isTransactional(this.buffer, this.at)
  }
  get isControl(): boolean {
    return header.isControl(this.buffer, this.at)
  }
  /** When compaction may drop the tombstones and markers of this batch, in ms since the Unix epoch; undefined before it has passed. KIP-534. */
  get deleteHorizonMs(): number | undefined {
    return (this.attributes & header.DELETE_HORIZON_FLAG) === 0 ? undefined : this.baseTimestamp
  }
  get lastOffsetDelta(): number {
    return header.lastOffsetDelta(this.buffer, this.at)
  }
  /** Inclusive. */
  get lastOffset(): number {
    return header.lastOffset(this.buffer, this.at)
  }
  get nextOffset(): number {
    return this.lastOffset + 1
  }
  get baseTimestamp(): number {
    return header.baseTimestamp(this.buffer, this.at)
  }
  get maxTimestamp(): number {
    return header.maxTimestamp(this.buffer, this.at)
  }
  get producerId(): number {
    return header.producerId(this.buffer, this.at)
  }
  get hasProducerId(): boolean {
    return this.producerId >= 0
  }
  get producerEpoch(): number {
    return header.producerEpoch(this.buffer, this.at)
  }
  get baseSequence(): number {
    return header.baseSequence(this.buffer, this.at)
  }
  get lastSequence(): number {
    return header.lastSequence(this.buffer, this.at)
  }
  get recordsCount(): number {
    return header.recordsCount(this.buffer, this.at)
  }
  get isCrcValid(): boolean {
    return this.magic === NEWEST_MAGIC ? header.isCrcValid(this.buffer, this.at) : isMessageCrcValid(this.buffer, this.at, this.sizeBytes)
  }
  /** The batch's own bytes, a view. */
  get bytes(): Buffer {
    return this.buffer.subarray(this.at, this.at + this.sizeBytes)
  }
  /** Its records as they travel, compressed where the codec says so; a view. */
  get payload(): Buffer {
    return this.buffer.subarray(this.at + header.BATCH_OVERHEAD_BYTES, this.at + this.sizeBytes)
  }

  /** @throws KafkaError CORRUPT_MESSAGE when it fails its CRC. */
  ensureValid(): void {
    if (!this.isCrcValid) throw new KafkaError('CORRUPT_MESSAGE', `batch at offset ${this.baseOffset} fails its CRC`)
  }
}

/**
 * The batch that starts at `at`, or undefined when the bytes up to `end` do not hold all of it.
 * @throws KafkaError CORRUPT_MESSAGE when its size or magic cannot be.
 */
export function batchAt(buffer: Buffer, at: number, end: number): RecordBatch | undefined {
  if (end - at < header.LOG_OVERHEAD_BYTES) return undefined
  const length = header.batchLength(buffer, at)
  if (length < MIN_BATCH_LENGTH)
    throw new KafkaError('CORRUPT_MESSAGE', `Record size ${length} is less than the minimum record overhead (${MIN_BATCH_LENGTH})`)
  if (end - at < header.HEADER_BYTES_UP_TO_MAGIC) return undefined
  const magic = header.magic(buffer, at)
  if (magic < 0 || magic > NEWEST_MAGIC) throw new KafkaError('CORRUPT_MESSAGE', `Invalid magic found in record: ${magic}`)
  const size = header.LOG_OVERHEAD_BYTES + length
  if (magic === NEWEST_MAGIC && size < header.BATCH_OVERHEAD_BYTES) {
    throw new KafkaError('CORRUPT_MESSAGE', `batch of ${size} bytes is smaller than its header`)
  }
  if (end - at < size) return undefined
  return new RecordBatch(buffer, at, size, magic)
}

/**
 * The whole batches of a buffer, in order. A last one that is cut off is left out, as a fetch may end in one; what a caller has not seen
 * begins where the last batch ended. CRCs are not checked.
 * @throws KafkaError CORRUPT_MESSAGE when a size or magic cannot be.
 */
export function* iterateBatches(buffer: Buffer, start = 0, end = buffer.length): Generator<RecordBatch, void, undefined> {
  let at = start
  for (;;) {
    const batch = batchAt(buffer, at, end)
    if (batch === undefined) return
    yield batch
    at += batch.sizeBytes
  }
}
