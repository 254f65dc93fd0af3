import { KafkaError } from '../errors.ts'
import type { RecordHeader } from './kafka-record.ts'
import { nextPosition, varintAt } from './varint-reader.ts'

const noHeaders: readonly RecordHeader[] = []

/**
 * The headers of a record, from their count at `at` on; `end` is where the record ends.
 * @throws KafkaError INVALID_RECORD when they go beyond it.
 */
export function headersAt(records: Buffer, at: number, end: number): readonly RecordHeader[] {
  const count = headersCountAt(records, at, end)
  if (count === 0) return noHeaders
  const headers: RecordHeader[] = []
  let position = nextPosition
  for (let index = 0; index < count; index++) {
    const keyLength = varintAt(records, position, end)
    const keyAt = nextPosition
    if (keyLength < 0) throw new KafkaError('INVALID_RECORD', `Invalid negative header key size ${keyLength}`)
    const valueLength = varintAt(records, keyAt + keyLength, end)
    const valueAt = nextPosition
    position = valueLength < 0 ? valueAt : valueAt + valueLength
    if (position > end) throw new KafkaError('INVALID_RECORD', 'a header goes beyond the end of its record')
    // As Java's clients do, a key that is not valid UTF-8 is read with replacement characters: a consumer must get past it.
    headers.push({
      key: records.toString('utf8', keyAt, keyAt + keyLength),
      value: valueLength < 0 ? null : records.subarray(valueAt, position),
    })
  }
  return headers
}

/** How many headers there are; the first begins at `nextPosition`. @throws KafkaError INVALID_RECORD when there cannot be so many. */
export function headersCountAt(records: Buffer, at: number, end: number): number {
  const count = varintAt(records, at, end)
  if (count < 0 || count > (end - nextPosition) >> 1) {
    throw new KafkaError('INVALID_RECORD', `Found invalid number of record headers ${count}`)
  }
  return count
}
