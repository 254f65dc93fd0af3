/**
 * What a leader checks of a batch before it appends it, as Kafka's LogValidator: the header's claims, then every record in one walk that
 * allocates nothing. Answers are Kafka's: INVALID_RECORD for what breaks the format, INVALID_TIMESTAMP for a time outside of the bounds.
 */
import type { Offload } from '@tidelog/core'
import { codecById, decompressInPassing } from '../compression/index.ts'
import { KafkaError } from '../errors.ts'
import type { RecordBatch } from './record-batch.ts'
import { andThen, type OutputLimit, uncompress } from './uncompress.ts'
import { nextPosition, varintAt, varlongAt } from './varint-reader.ts'

export interface RecordRules extends OutputLimit {
  /** TOPIC-PARTITION, for messages. */
  readonly name?: string
  /** The topic is compacted: every record needs a key. */
  readonly requireKeys: boolean
  /** Timestamps before this one are refused, in ms since the Unix epoch; −Infinity allows all. A record without timestamp (−1) always passes. */
  readonly minTimestampMs: number
  /** Timestamps after this one are refused. */
  readonly maxTimestampMs: number
}

export interface ValidatedRecords {
  /** The largest timestamp among the records, −1 when none has one. */
  readonly maxTimestamp: number
}

export interface RecordError {
  readonly batchIndex: number
  readonly batchIndexErrorMessage: string
}

/** Some records of a batch are refused, and with them the batch. */
export class RecordValidationError extends KafkaError {
  /** The first of them, by their index in the batch. */
  readonly recordErrors: readonly RecordError[]

  constructor(errorName: 'INVALID_RECORD' | 'INVALID_TIMESTAMP', message: string, recordErrors: readonly RecordError[]) {
    super(errorName, message)
    this.recordErrors = recordErrors
  }
}

/** A hostile batch must not make the reply longer than itself. */
const MAX_RECORD_ERRORS = 100

/** Attributes, timestamp, offset, key length, value length, header count: one byte each. */
const MIN_RECORD_BYTES = 6

/**
 * Checks the header of a v2 batch that a client wants appended: what it says of offsets, count and kind. Size, magic and CRC have been checked.
 * @throws KafkaError INVALID_RECORD as Kafka.
 */
export function validateClientHeader(batch: RecordBatch): void {
  const { recordsCount, lastOffsetDelta } = batch
  if (batch.baseOffset !== 0) throw invalid(`The base offset of the record batch should be 0, but it is ${batch.baseOffset}`)
  if (lastOffsetDelta < 0) throw invalid(`Batch has an invalid offset range: [0, ${lastOffsetDelta}]`)
  if (recordsCount <= 0) throw invalid(`Invalid reported count for record batch: ${recordsCount}`)
  if (recordsCount !== lastOffsetDelta + 1) {
    throw invalid(`Inconsistent batch offset range [0, ${lastOffsetDelta}] and count of records ${recordsCount}`)
  }
  if (batch.isControl) throw invalid('Clients are not allowed to write control records')
  if (batch.hasProducerId && batch.baseSequence < 0) {
    throw invalid(`Invalid sequence number ${batch.baseSequence} in record batch with producerId ${batch.producerId}`)
  }
}

/**
 * Checks the records of a v2 batch. Returns at once when they are not compressed, few, or can be decompressed in passing; others are decompressed by `offload`.
 * @throws KafkaError INVALID_RECORD, or RecordValidationError when single records are to blame.
 */
export function validateRecords(batch: RecordBatch, rules: RecordRules, offload: Offload): ValidatedRecords | Promise<ValidatedRecords> {
  const { payload, codecId } = batch
  if (codecId === 0) return walkRecords(payload, batch, rules)
  const passing = decompressInPassing(codecById(codecId), payload, rules)
  if (passing !== undefined) return walkRecords(passing, batch, rules)
  const records = uncompress(payload, { codecId, magic: 2, maxOutputBytes: rules.maxOutputBytes }, offload)
  return andThen(records, (uncompressed) => walkRecords(uncompressed, batch, rules))
}

/** Records that are walked in one turn of the event loop: a few milliseconds. */
const TURN_RECORDS = 100_000

/** How far a walk has come. */
interface Walk {
  index: number
  at: number
  maxTimestamp: number
  refused: RefusedRecords | undefined
}

/** The walk over uncompressed records: bounds, offset differences 0 to n−1, timestamps, keys, headers, nothing left over. At once unless it is long. */
function walkRecords(records: Buffer, batch: RecordBatch, rules: RecordRules): ValidatedRecords | Promise<ValidatedRecords> {
  if (!Number.isSafeInteger(batch.baseTimestamp)) {
    throw new KafkaError('INVALID_TIMESTAMP', `Base timestamp ${batch.baseTimestamp} is beyond what can be represented`)
  }
  const walk: Walk = { index: 0, at: 0, maxTimestamp: -1, refused: undefined }
  if (batch.recordsCount > TURN_RECORDS) return walkInTurns(records, batch, rules, walk)
  walkSome(records, batch, rules, walk)
  return walkEnd(records, walk)
}

async function walkInTurns(records: Buffer, batch: RecordBatch, rules: RecordRules, walk: Walk): Promise<ValidatedRecords> {
  for (;;) {
    walkSome(records, batch, rules, walk)
    if (walk.index === batch.recordsCount) return walkEnd(records, walk)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

function walkEnd(records: Buffer, { at, maxTimestamp, refused }: Walk): ValidatedRecords {
  if (at !== records.length) throw invalid('Incorrect declared batch size, records still remaining')
  refused?.throwIfAny()
  return { maxTimestamp }
}

/** Walks over the next records, as many as belong into one turn. */
function walkSome(records: Buffer, { recordsCount, baseTimestamp }: RecordBatch, rules: RecordRules, walk: Walk): void {
  const { requireKeys, minTimestampMs, maxTimestampMs, name } = rules
  const end = records.length
  const stop = Math.min(recordsCount, walk.index + TURN_RECORDS)
  let { refused, maxTimestamp, at } = walk
  for (let index = walk.index; index < stop; index++) {
    const length = varintAt(records, at, end)
    at = nextPosition
    const recordEnd = at + length
    if (length < MIN_RECORD_BYTES || recordEnd > end) throw invalid(`Invalid record size ${length}, ${end - at} bytes left`)

    const timestampDelta = varlongAt(records, at + 1, recordEnd)
    const timestamp = baseTimestamp + timestampDelta
    const offsetDelta = varintAt(records, nextPosition, recordEnd)
    if (timestamp > maxTimestamp) maxTimestamp = timestamp
    const isExact = Number.isSafeInteger(timestamp) && Number.isSafeInteger(timestampDelta)
    const keyLength = varintAt(records, nextPosition, recordEnd)
    // One reason a record, Kafka's first.
    if (offsetDelta !== index) {
      refused = refuse(refused, index, `Record has offset difference ${offsetDelta}, expected ${index}`, false)
    } else if (keyLength < 0 && requireKeys) {
      refused = refuse(refused, index, refusedKey(name), false)
    } else if ((timestamp < minTimestampMs || timestamp > maxTimestampMs || !isExact) && timestamp !== -1) {
      refused = refuse(refused, index, refusedTimestamp(index, timestamp, rules), true)
    }
    at = nextPosition + Math.max(keyLength, 0)
    const valueLength = varintAt(records, at, recordEnd)
    at = nextPosition + Math.max(valueLength, 0)
    const headersCount = varintAt(records, at, recordEnd)
    at = nextPosition
    // A header takes at least two bytes, so the count is bounded by the size of the record.
    if (headersCount < 0 || headersCount > (recordEnd - at) >> 1) throw invalid(`Found invalid number of record headers ${headersCount}`)
    for (let header = 0; header < headersCount; header++) {
      const headerKeyLength = varintAt(records, at, recordEnd)
      if (headerKeyLength < 0) throw invalid(`Invalid negative header key size ${headerKeyLength}`)
      const headerValueLength = varintAt(records, nextPosition + headerKeyLength, recordEnd)
      at = nextPosition + Math.max(headerValueLength, 0)
    }
    if (at !== recordEnd) throw invalid(`Invalid record size: expected to read ${length} bytes, fields end ${at - recordEnd} bytes beyond`)
  }
  walk.index = stop
  walk.at = at
  walk.maxTimestamp = maxTimestamp
  walk.refused = refused
}

/** Why a record without a key is refused. */
export function refusedKey(name: string | undefined): string {
  return `Compacted topic cannot accept message without key${name === undefined ? '' : ` in topic partition ${name}`}`
}

/** Why a record's time is refused. */
export function refusedTimestamp(offset: number, timestamp: number, { minTimestampMs, maxTimestampMs }: RecordRules): string {
  return `Timestamp ${timestamp} of message with offset ${offset} is out of range. The timestamp should be within [${minTimestampMs}, ${maxTimestampMs}]`
}

/** Collects what is wrong with single records of a batch. */
export class RefusedRecords {
  readonly #errors: RecordError[] = []
  #count = 0
  #byTimestamp = false

  add(batchIndex: number, batchIndexErrorMessage: string, byTimestamp: boolean): void {
    this.#count++
    this.#byTimestamp ||= byTimestamp
    if (this.#errors.length < MAX_RECORD_ERRORS) this.#errors.push({ batchIndex, batchIndexErrorMessage })
  }

  /** @throws RecordValidationError when a record has been added. */
  throwIfAny(): void {
    if (this.#count > 0) throw this.#toError()
  }

  #toError(): RecordValidationError {
    if (this.#byTimestamp) {
      return new RecordValidationError('INVALID_TIMESTAMP', 'One or more records have been rejected due to invalid timestamp', this.#errors)
    }
    const shown = this.#errors
      .slice(0, 3)
      .map(({ batchIndex, batchIndexErrorMessage }) => `RecordError(batchIndex=${batchIndex}, message='${batchIndexErrorMessage}')`)
    return new RecordValidationError(
      'INVALID_RECORD',
      `One or more records have been rejected due to ${this.#count} record errors in total, and only showing the first three errors at most: [${shown.join(', ')}]`,
      this.#errors,
    )
  }
}

function refuse(refused: RefusedRecords | undefined, index: number, message: string, byTimestamp: boolean): RefusedRecords {
  const records = refused ?? new RefusedRecords()
  records.add(index, message, byTimestamp)
  return records
}

function invalid(message: string): KafkaError {
  return new KafkaError('INVALID_RECORD', message)
}
