import {
  BatchBuilder,
  batchHeader,
  codecById,
  compressSync,
  decompressInPassing,
  decompressSync,
  isCodecReady,
  type KafkaRecord,
  prepareCodec,
  type RecordBatch,
  RecordCursor,
  readRecords,
} from '@tidelog/protocol'
import { CleaningError } from './cleaning-error.ts'

/** What becomes of a batch without records: kept for the sequence number or the offset that it stands for, or gone. */
export type BatchRetention = 'delete' | 'delete-empty' | 'retain-empty'

export interface BatchRules {
  readonly retention: BatchRetention
  /** No record stays. */
  readonly discardsRecords: boolean
  /** A marker of a transaction of which nothing is left: it may go once its horizon has passed. */
  readonly isMarkerOfEmptyTransaction: boolean
  /** Whether the record stays; the key is at `keyAt` of `records`, -1 long when it is null. */
  readonly retains: (offset: number, records: Buffer, keyAt: number, keyLength: number, isTombstone: boolean) => boolean
  /** When tombstones that stay may go, in ms since the Unix epoch. KIP-534. */
  readonly newDeleteHorizonMs: number
}

export interface FilteredBatch {
  /** What takes the batch's place: its own bytes, new ones that hold until the next call, or nothing. */
  readonly bytes: Buffer | undefined
  readonly recordsRead: number
  readonly recordsKept: number
}

const NO_BYTES = { bytes: undefined, recordsKept: 0 } as const
const NO_TIMESTAMP = -1

/** Rewrites batches without the records that compaction drops, as Kafka's MemoryRecords.filterTo. Memory is used again by the next batch. */
export class BatchFilter {
  readonly #maxBatchOutputBytes: number
  /** How much may be decompressed in all. */
  #outputBytesLeft: number
  readonly #cursor = new RecordCursor()
  #payload = Buffer.alloc(0)
  #batch = Buffer.alloc(0)

  /** @param limits What the records of one batch may take decompressed, and those of all batches. */
  constructor({ maxBatchOutputBytes, maxOutputBytes }: { maxBatchOutputBytes: number; maxOutputBytes: number }) {
    this.#maxBatchOutputBytes = maxBatchOutputBytes
    this.#outputBytesLeft = maxOutputBytes
  }

  /** Resolves when `visitKeys` and `filter` can be called for the batch; undefined when they can already. */
  prepare(batch: RecordBatch): Promise<void> | undefined {
    if (batch.magic < 2) return undefined
    const codec = codecById(batch.codecId)
    return isCodecReady(codec) ? undefined : prepareCodec(codec)
  }

  /** Visits every record; the key is at `keyAt` of `records`. false ends the visit: the answer is then false too. */
  visitKeys(batch: RecordBatch, visit: (offset: number, records: Buffer, keyAt: number, keyLength: number) => boolean): boolean {
    if (batch.magic < 2) return this.#oldRecords(batch).every(({ offset, key }) => visit(offset, key ?? this.#batch, 0, key?.length ?? -1))
    const cursor = this.#cursor
    const { baseOffset } = batch
    cursor.reset(this.#uncompressed(batch), batch.recordsCount)
    while (cursor.next()) if (!visit(baseOffset + cursor.offsetDelta, cursor.records, cursor.keyAt, cursor.keyLength)) return false
    return true
  }

  filter(batch: RecordBatch, rules: BatchRules): FilteredBatch {
    if (rules.retention === 'delete') return { ...NO_BYTES, recordsRead: batch.recordsCount }
    if (batch.magic < 2) return this.#filterOld(batch, rules)
    return this.#filterNew(batch, rules)
  }

  #filterNew(batch: RecordBatch, rules: BatchRules): FilteredBatch {
    const { baseOffset, baseTimestamp, recordsCount } = batch
    if (rules.discardsRecords) return { bytes: emptyFor(batch, rules), recordsRead: recordsCount, recordsKept: 0 }
    const cursor = this.#cursor
    const records = this.#uncompressed(batch)
    cursor.reset(records, recordsCount)
    let kept = 0
    let keptBytes = 0
    let hasTombstone = false
    let maxTimestamp = NO_TIMESTAMP
    /** Where pieces that stay begin and end, in turn. */
    const pieces: number[] = []
    while (cursor.next()) {
      const isTombstone = cursor.valueLength < 0
      const offset = baseOffset + cursor.offsetDelta
      if (!batch.isControl && !rules.retains(offset, records, cursor.keyAt, cursor.keyLength, isTombstone)) continue
      kept++
      keptBytes += cursor.end - cursor.start
      if (isTombstone) hasTombstone = true
      const timestamp = baseTimestamp + cursor.timestampDelta
      if (timestamp > maxTimestamp) maxTimestamp = timestamp
      if (pieces.at(-1) === cursor.start) pieces[pieces.length - 1] = cursor.end
      else pieces.push(cursor.start, cursor.end)
    }
    if (kept === 0) return { bytes: emptyFor(batch, rules), recordsRead: recordsCount, recordsKept: 0 }
    const getsHorizon = (hasTombstone || rules.isMarkerOfEmptyTransaction) && batch.deleteHorizonMs === undefined
    if (kept === recordsCount && !getsHorizon) return { bytes: batch.bytes, recordsRead: recordsCount, recordsKept: kept }

    if (!Number.isSafeInteger(maxTimestamp))
      throw new CleaningError('damaged', `a timestamp of the batch at offset ${baseOffset} cannot be`)
    const payload = getsHorizon
      ? this.#rebased(batch, records, pieces, keptBytes, rules.newDeleteHorizonMs)
      : this.#joined(records, pieces, keptBytes)
    const bytes = this.#build(batch, payload, {
      recordsCount: kept,
      baseTimestamp: getsHorizon ? rules.newDeleteHorizonMs : baseTimestamp,
      maxTimestamp: batch.isLogAppendTime ? batch.maxTimestamp : maxTimestamp,
      attributes: getsHorizon ? batch.attributes | batchHeader.DELETE_HORIZON_FLAG : batch.attributes,
    })
    return { bytes, recordsRead: recordsCount, recordsKept: kept }
  }

  /** The pieces that stay, as they are: what they hold are differences to the header, which keeps its base offset and base timestamp. */
  #joined(records: Buffer, pieces: readonly number[], bytes: number): Buffer {
    const into = this.#reservePayload(bytes)
    let at = 0
    for (let index = 0; index < pieces.length; index += 2) at += records.copy(into, at, pieces[index]!, pieces[index + 1]!)
    return into.subarray(0, at)
  }

  /** The records that stay, their timestamps as differences to the delete horizon, which takes the place of the base timestamp. */
  #rebased(batch: RecordBatch, records: Buffer, pieces: readonly number[], bytes: number, horizonMs: number): Buffer {
    const cursor = this.#cursor
    const { baseTimestamp, recordsCount } = batch
    // A timestamp takes 10 bytes at most, and a length 5.
    const into = this.#reservePayload(bytes + recordsCount * 15)
    cursor.reset(records, recordsCount)
    let piece = 0
    let at = 0
    while (piece < pieces.length && cursor.next()) {
      if (cursor.start < pieces[piece]!) continue
      at = cursor.copy(into, at, baseTimestamp + cursor.timestampDelta - horizonMs)
      if (cursor.end === pieces[piece + 1]) piece += 2
    }
    return into.subarray(0, at)
  }

  #build(
    batch: RecordBatch,
    payload: Buffer,
    header: { recordsCount: number; baseTimestamp: number; maxTimestamp: number; attributes: number },
  ): Buffer {
    const stored = compressSync(codecById(batch.codecId), payload)
    const sizeBytes = batchHeader.BATCH_OVERHEAD_BYTES + stored.length
    if (this.#batch.length < sizeBytes) this.#batch = Buffer.allocUnsafeSlow(sizeBytes * 2)
    const bytes = this.#batch.subarray(0, sizeBytes)
    stored.copy(bytes, batchHeader.BATCH_OVERHEAD_BYTES)
    batchHeader.writeHeader(bytes, 0, sizeBytes, { ...identityOf(batch), ...header })
    return bytes
  }

  #reservePayload(bytes: number): Buffer {
    if (this.#payload.length < bytes) this.#payload = Buffer.allocUnsafeSlow(bytes * 2)
    return this.#payload
  }

  /** A view that holds until the next batch. */
  #uncompressed(batch: RecordBatch): Buffer {
    const codec = codecById(batch.codecId)
    if (codec === 'none') return batch.payload
    const options = { maxOutputBytes: this.#allowedOutputBytes() }
    const { payload } = batch
    const records = this.#limited(() => decompressInPassing(codec, payload, options) ?? decompressSync(codec, payload, options))
    this.#outputBytesLeft -= records.length
    return records
  }

  #oldRecords(batch: RecordBatch): KafkaRecord[] {
    const records = this.#limited(() => [...readRecords(batch, { maxOutputBytes: this.#allowedOutputBytes() })])
    this.#outputBytesLeft -= batch.sizeBytes
    return records
  }

  #allowedOutputBytes(): number {
    return Math.max(0, Math.min(this.#maxBatchOutputBytes, this.#outputBytesLeft))
  }

  /** An output that is too long for what is left of all, but not for one batch, is nobody's fault. */
  #limited<T>(decompress: () => T): T {
    try {
      return decompress()
    } catch (error) {
      if (this.#outputBytesLeft < this.#maxBatchOutputBytes)
        throw new CleaningError('too-large', 'too much to decompress', { cause: error })
      throw error
    }
  }

  /** Messages of the formats v0 and v1. What is left of a compressed set becomes a v2 batch: the old formats are read, not written. */
  #filterOld(batch: RecordBatch, rules: BatchRules): FilteredBatch {
    const records = this.#oldRecords(batch)
    const kept = records.filter(({ offset, key, value }) => rules.retains(offset, key ?? this.#batch, 0, key?.length ?? -1, value === null))
    const counts = { recordsRead: records.length, recordsKept: kept.length }
    if (kept.length === records.length) return { bytes: batch.bytes, ...counts }
    if (kept.length === 0) return { bytes: rules.retention === 'retain-empty' ? emptyOld(batch) : undefined, ...counts }
    const isLogAppendTime =
      batch.magic === 1 && (batch.buffer.readInt8(batch.at + batchHeader.HEADER_BYTES_UP_TO_MAGIC) & batchHeader.LOG_APPEND_TIME_FLAG) !== 0
    const codecId = batch.buffer.readInt8(batch.at + batchHeader.HEADER_BYTES_UP_TO_MAGIC) & batchHeader.CODEC_MASK
    const builder = new BatchBuilder({
      codec: codecById(codecId),
      baseOffset: kept[0]!.offset,
      lastOffset: batch.baseOffset,
      ...(isLogAppendTime ? { logAppendTimeMs: kept[0]!.timestamp } : {}),
    })
    for (const record of kept) builder.append(record, record.offset)
    return { bytes: builder.build(), ...counts }
  }
}

function identityOf(batch: RecordBatch) {
  const { baseOffset, lastOffsetDelta, partitionLeaderEpoch, producerId, producerEpoch, baseSequence } = batch
  return { baseOffset, lastOffsetDelta, partitionLeaderEpoch, producerId, producerEpoch, baseSequence }
}

/** A batch without records in place of `batch`, where its rules want one: it keeps offsets, sequence numbers, epochs and the largest timestamp. */
function emptyFor(batch: RecordBatch, { retention }: BatchRules): Buffer | undefined {
  if (retention !== 'retain-empty') return undefined
  if (batch.recordsCount === 0) return batch.bytes
  const { LOG_APPEND_TIME_FLAG, TRANSACTIONAL_FLAG, CONTROL_FLAG } = batchHeader
  return emptyBatch({
    ...identityOf(batch),
    attributes: batch.attributes & (LOG_APPEND_TIME_FLAG | TRANSACTIONAL_FLAG | CONTROL_FLAG),
    maxTimestamp: batch.maxTimestamp,
  })
}

function emptyOld(batch: RecordBatch): Buffer {
  const nobody = { partitionLeaderEpoch: -1, producerId: -1, producerEpoch: -1, baseSequence: -1 }
  return emptyBatch({ ...nobody, baseOffset: batch.baseOffset, lastOffsetDelta: 0, attributes: 0, maxTimestamp: NO_TIMESTAMP })
}

function emptyBatch(header: Omit<batchHeader.BatchHeader, 'recordsCount' | 'baseTimestamp'>): Buffer {
  const bytes = Buffer.alloc(batchHeader.BATCH_OVERHEAD_BYTES)
  batchHeader.writeHeader(bytes, 0, bytes.length, { ...header, baseTimestamp: NO_TIMESTAMP, recordsCount: 0 })
  return bytes
}
