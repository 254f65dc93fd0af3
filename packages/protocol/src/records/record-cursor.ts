import { KafkaError } from '../errors.ts'
import { unsignedVarintSize, varlongSize, writeUnsignedVarint, writeVarlong } from './varint.ts'
import { nextPosition, varintAt, varlongAt } from './varint-reader.ts'

/** Attributes, timestamp, offset, key length, value length, header count: one byte each. */
const MIN_RECORD_BYTES = 6

/**
 * Walks over the uncompressed records of a v2 batch and makes no object of any: its fields speak of the record that `next` came to. Where a record
 * begins and ends, its key and its value, are positions in `records`.
 */
export class RecordCursor {
  records: Buffer = Buffer.alloc(0)
  /** Where the record begins, its length included. */
  start = 0
  /** Behind the record. */
  end = 0
  /** To the batch's base timestamp, in ms; beyond 2^53 the nearest double. */
  timestampDelta = 0
  /** To the batch's base offset. */
  offsetDelta = 0
  keyAt = 0
  /** -1: the key is null. */
  keyLength = -1
  valueAt = 0
  /** -1: the value is null, the record a tombstone. */
  valueLength = -1
  /** What follows the timestamp. */
  #restAt = 0
  #left = 0

  /** Records that next() has yet to come to. */
  get left(): number {
    return this.#left
  }

  /** Goes before the first of `count` records. */
  reset(records: Buffer, count: number): void {
    this.records = records
    this.#left = count
    this.end = 0
  }

  /**
   * Goes to the next record; false when there is none.
   * @throws KafkaError INVALID_RECORD when it does not fit its size, or bytes are left behind the last.
   */
  next(): boolean {
    const { records } = this
    const limit = records.length
    const start = this.end
    if (this.#left === 0) {
      if (start !== limit) throw new KafkaError('INVALID_RECORD', 'Incorrect declared batch size, records still remaining')
      return false
    }
    this.#left--
    const length = varintAt(records, start, limit)
    const bodyAt = nextPosition
    const end = bodyAt + length
    if (length < MIN_RECORD_BYTES || end > limit)
      throw new KafkaError('INVALID_RECORD', `Invalid record size ${length}, ${limit - bodyAt} bytes left`)
    this.timestampDelta = varlongAt(records, bodyAt + 1, end)
    this.#restAt = nextPosition
    this.offsetDelta = varintAt(records, nextPosition, end)
    this.keyLength = varintAt(records, nextPosition, end)
    this.keyAt = nextPosition
    this.valueLength = varintAt(records, nextPosition + Math.max(0, this.keyLength), end)
    this.valueAt = nextPosition
    if (nextPosition + Math.max(0, this.valueLength) > end) {
      throw new KafkaError('INVALID_RECORD', 'Found invalid record structure: a field goes beyond the end of its record')
    }
    this.start = start
    this.end = end
    return true
  }

  /** Bytes that `copy` writes. */
  copyBytes(timestampDelta: number): number {
    const body = 1 + varlongSize(timestampDelta) + this.end - this.#restAt
    return unsignedVarintSize(body * 2) + body
  }

  /** Writes the record to `into` with another difference to the base timestamp. Returns the position behind it. */
  copy(into: Buffer, at: number, timestampDelta: number): number {
    const body = 1 + varlongSize(timestampDelta) + this.end - this.#restAt
    let position = writeUnsignedVarint(into, at, body * 2)
    into[position++] = 0 // attributes: none are defined
    position = writeVarlong(into, position, timestampDelta)
    return position + this.records.copy(into, position, this.#restAt, this.end)
  }
}
