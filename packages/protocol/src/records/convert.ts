/** From one record format to another: the only places where records are encoded again. */
import type { Offload } from '@tidelog/core'
import { type CodecName, codecById, codecIdOf, compress } from '../compression/index.ts'
import { KafkaError } from '../errors.ts'
import { BatchBuilder } from './batch-builder.ts'
import type { KafkaRecord } from './kafka-record.ts'
import { messageBytes, type NewMessage, type OldMagic, writeMessage } from './message.ts'
import { messageOf, writeMessageSet } from './message-set.ts'
import { readRecords, uncompressBatch } from './read-records.ts'
import { iterateBatches, type RecordBatch } from './record-batch.ts'
import type { OutputLimit } from './uncompress.ts'
import { type RecordRules, RefusedRecords, refusedKey, refusedTimestamp } from './validate-records.ts'

export interface UpConvertOptions extends RecordRules {
  /** The one that the records come with when absent. */
  readonly codec?: CodecName
  readonly level?: number
  /** The topic is LogAppendTime: every record gets this timestamp. */
  readonly logAppendTimeMs?: number
}

/**
 * A message set of format v0 or v1, as an old producer sends it, as one v2 batch with offsets from 0. It is checked on the way as Kafka does.
 * @throws KafkaError CORRUPT_MESSAGE for a bad CRC or structure, INVALID_RECORD and RecordValidationError for what may not be in it.
 */
export async function upConvert(messages: Buffer, options: UpConvertOptions, offload: Offload): Promise<Buffer> {
  const batches = [...iterateBatches(messages)]
  const sourceCodec = checkMessages(batches)
  const records: KafkaRecord[] = []
  for (const batch of batches) {
    const uncompressed = await uncompressBatch(batch, options, offload)
    for (const record of readRecords(batch, { ...options, uncompressed })) records.push(record)
  }
  const { logAppendTimeMs } = options
  checkRecords(records, options)
  const builder = new BatchBuilder({
    codec: options.codec ?? sourceCodec,
    expectedBytes: messages.length,
    ...(options.level === undefined ? {} : { level: options.level }),
    ...(logAppendTimeMs === undefined ? {} : { logAppendTimeMs }),
  })
  for (const { key, value, timestamp } of records) builder.append({ key, value, timestamp: logAppendTimeMs ?? timestamp })
  return await builder.buildAside(offload)
}

function checkMessages(batches: readonly RecordBatch[]): CodecName {
  const first = batches[0]
  if (first === undefined) throw new KafkaError('INVALID_RECORD', 'Record batch has no batches at all')
  let sourceCodec: CodecName = 'none'
  for (const batch of batches) {
    if (batch.magic > 1 || batch.magic !== first.magic) {
      throw new KafkaError('INVALID_RECORD', `Batch magic ${batch.magic} is not the same as the first batch's magic ${first.magic}`)
    }
    batch.ensureValid()
    const codec = codecById(messageOf(batch).codecId)
    if (codec === 'zstd') throw new KafkaError('INVALID_RECORD', 'zstd needs record format v2')
    if (codec !== 'none') sourceCodec = codec
  }
  if (sourceCodec !== 'none' && batches.length > 1) {
    throw new KafkaError('INVALID_RECORD', 'Compressed outer record has more than one batch')
  }
  return sourceCodec
}

function checkRecords(records: readonly KafkaRecord[], rules: RecordRules): void {
  const { requireKeys, minTimestampMs, maxTimestampMs, name } = rules
  const refused = new RefusedRecords()
  for (const [index, { key, timestamp }] of records.entries()) {
    if (key === null && requireKeys) refused.add(index, refusedKey(name), false)
    else if (timestamp === -1) continue
    else if (timestamp < minTimestampMs || timestamp > maxTimestampMs || !Number.isSafeInteger(timestamp)) {
      refused.add(index, refusedTimestamp(index, timestamp, rules), true)
    }
  }
  refused.throwIfAny()
}

export interface DownConvertOptions extends OutputLimit {
  readonly toMagic: OldMagic
  /** Where the fetch starts: records of uncompressed batches before it are left out. */
  readonly firstOffset: number
}

/**
 * Batches as an old consumer understands them: message sets of format `toMagic`, in order. Control batches and headers are dropped; what has
 * an old enough format already stays as it is. A batch that needs zstd, or too much room, ends the result when there is something before it.
 * @throws KafkaError UNSUPPORTED_COMPRESSION_TYPE when the first batch is compressed with zstd; INVALID_RECORD when it cannot be read.
 */
export async function downConvert(records: Buffer, options: DownConvertOptions, offload: Offload): Promise<Buffer[]> {
  const converted: Buffer[] = []
  for (const batch of iterateBatches(records)) {
    try {
      const messages = await downConvertBatch(batch, options, offload)
      if (messages.length > 0) converted.push(messages)
    } catch (error) {
      if (converted.length > 0 && error instanceof KafkaError) break
      throw error
    }
  }
  return converted
}

async function downConvertBatch(batch: RecordBatch, options: DownConvertOptions, offload: Offload): Promise<Buffer> {
  const { toMagic, firstOffset } = options
  if (batch.magic <= toMagic) return batch.bytes
  if (batch.magic === 2 && batch.isControl) return Buffer.alloc(0)
  const { codecId, isLogAppendTime } = batch.magic === 2 ? batch : messageOf(batch)
  const codec = codecById(codecId)
  if (codec === 'zstd') throw new KafkaError('UNSUPPORTED_COMPRESSION_TYPE', 'zstd-compressed batches cannot be down-converted')
  const uncompressed = await uncompressBatch(batch, options, offload)

  const messages: NewMessage[] = []
  for (const { offset, timestamp, key, value } of readRecords(batch, { ...options, uncompressed })) {
    if (codec === 'none' && offset < firstOffset) continue
    messages.push({ offset, magic: toMagic, timestamp, key, value, isLogAppendTime })
  }
  const first = messages[0]
  const last = messages.at(-1)
  if (first === undefined || last === undefined) return Buffer.alloc(0)
  if (codec === 'none') return writeMessageSet(messages)
  return await wrap(messages, { codec, baseOffset: batch.magic === 2 ? batch.baseOffset : first.offset, last }, offload)
}

async function wrap(
  messages: readonly NewMessage[],
  { codec, baseOffset, last }: { codec: CodecName; baseOffset: number; last: NewMessage },
  offload: Offload,
): Promise<Buffer> {
  const { magic } = last
  const inner = writeMessageSet(magic === 0 ? messages : messages.map((message) => ({ ...message, offset: message.offset - baseOffset })))
  const value = await offload.run({ name: `compress ${codec}`, run: () => compress(codec, inner, { magic }) })
  const timestamp = messages.reduce((largest, message) => Math.max(largest, message.timestamp), -1)
  const wrapper: NewMessage = { ...last, codecId: codecIdOf(codec), timestamp, key: null, value }
  const buffer = Buffer.allocUnsafe(messageBytes(wrapper))
  writeMessage(buffer, 0, wrapper)
  return buffer
}
