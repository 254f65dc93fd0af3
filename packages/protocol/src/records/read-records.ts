import type { Offload } from '@tidelog/core'
import { codecById, decompressSync } from '../compression/index.ts'
import { KafkaError } from '../errors.ts'
import type { KafkaRecord, RecordHeader } from './kafka-record.ts'
import { asRecord, messageOf, unwrap, wrapped } from './message-set.ts'
import type { RecordBatch } from './record-batch.ts'
import { headersAt, headersCountAt } from './record-headers.ts'
import { type OutputLimit, uncompress } from './uncompress.ts'
import { nextPosition, varintAt, varlongAt } from './varint-reader.ts'

export interface ReadRecordsOptions extends OutputLimit {
  /** The batch's records, when they have been decompressed already. */
  readonly uncompressed?: Buffer
}

/** A record of a v2 batch; key, value and headers become objects when they are asked for. */
class LazyRecord implements KafkaRecord {
  readonly offset: number
  readonly timestamp: number
  readonly #records: Buffer
  readonly #keyAt: number
  readonly #keyLength: number
  readonly #valueAt: number
  readonly #valueLength: number
  readonly #headersAt: number
  readonly #end: number

  constructor(records: Buffer, at: number, end: number, baseOffset: number, baseTimestamp: number, logAppendTime: number) {
    const timestamp = baseTimestamp + varlongAt(records, at + 1, end)
    this.timestamp = logAppendTime >= 0 ? logAppendTime : timestamp
    this.offset = baseOffset + varintAt(records, nextPosition, end)
    this.#records = records
    this.#keyLength = varintAt(records, nextPosition, end)
    this.#keyAt = nextPosition
    this.#valueLength = varintAt(records, nextPosition + Math.max(0, this.#keyLength), end)
    this.#valueAt = nextPosition
    this.#headersAt = nextPosition + Math.max(0, this.#valueLength)
    this.#end = end
    headersCountAt(records, this.#headersAt, end)
  }

  get key(): Buffer | null {
    return this.#keyLength < 0 ? null : this.#records.subarray(this.#keyAt, this.#keyAt + this.#keyLength)
  }

  get value(): Buffer | null {
    return this.#valueLength < 0 ? null : this.#records.subarray(this.#valueAt, this.#valueAt + this.#valueLength)
  }

  /** @throws KafkaError INVALID_RECORD when they go beyond the record. */
  get headers(): readonly RecordHeader[] {
    return headersAt(this.#records, this.#headersAt, this.#end)
  }
}

/**
 * The records of a batch of any format, in order. A broken record ends the iteration with an error after the whole ones before it.
 * A compressed batch is decompressed on the event loop unless it comes uncompressed, see `uncompressBatch`.
 * @throws KafkaError INVALID_RECORD when the records cannot be decompressed or do not fit their sizes and count, CORRUPT_MESSAGE too in old formats.
 */
export function* readRecords(
  batch: RecordBatch,
  { maxOutputBytes, uncompressed }: ReadRecordsOptions,
): Generator<KafkaRecord, void, undefined> {
  if (batch.magic < 2) {
    yield* readMessages(batch, maxOutputBytes, uncompressed)
    return
  }
  const { baseOffset, baseTimestamp, recordsCount, codecId } = batch
  const logAppendTime = batch.isLogAppendTime ? batch.maxTimestamp : -1
  const records = uncompressed ?? decompressSync(codecById(codecId), batch.payload, { maxOutputBytes })
  const end = records.length
  let at = 0
  for (let index = 0; index < recordsCount; index++) {
    const length = varintAt(records, at, end)
    const bodyAt = nextPosition
    at = bodyAt + length
    if (length <= 0 || at > end) throw new KafkaError('INVALID_RECORD', `Invalid record size ${length}, ${end - bodyAt} bytes left`)
    yield new LazyRecord(records, bodyAt, at, baseOffset, baseTimestamp, logAppendTime)
  }
  if (at !== end) throw new KafkaError('INVALID_RECORD', 'Incorrect declared batch size, records still remaining')
}

function readMessages(batch: RecordBatch, maxOutputBytes: number, uncompressed: Buffer | undefined): KafkaRecord[] {
  const message = messageOf(batch)
  const { codecId, magic } = message
  if (codecId === 0) return [asRecord(message)]
  return unwrap(message, uncompressed ?? decompressSync(codecById(codecId), wrapped(message), { maxOutputBytes, magic }))
}

/**
 * The records of a batch of any format, uncompressed, for `readRecords`: at once when there is little or nothing to do, else by `offload`.
 * @throws KafkaError INVALID_RECORD when they cannot be decompressed.
 */
export function uncompressBatch(batch: RecordBatch, { maxOutputBytes }: OutputLimit, offload: Offload): Buffer | Promise<Buffer> {
  const { magic } = batch
  if (magic === 2) return uncompress(batch.payload, { codecId: batch.codecId, magic, maxOutputBytes }, offload)
  const message = messageOf(batch)
  return message.codecId === 0 ? batch.bytes : uncompress(wrapped(message), { codecId: message.codecId, magic, maxOutputBytes }, offload)
}
