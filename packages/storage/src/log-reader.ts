import { batchAt, batchHeader, KafkaError, readRecords, uncompressBatch } from '@tidelog/protocol'
import { maxOutputBytes } from './append-validation.ts'
import type { BatchPlace } from './batch-place.ts'
import { abortedBetween } from './compaction/aborted-transactions.ts'
import type { LogState } from './log-state.ts'
import type { Segment } from './segment.ts'
import { lastOffsetOf, leaderEpochOf } from './stored-batch.ts'
import type { AbortedTransaction } from './transaction-index.ts'

export interface ReadOptions {
  readonly startOffset: number
  readonly maxBytes: number
  /** Exclusive limit: high watermark, last stable offset or log end offset. No batch that reaches to it is returned. */
  readonly endOffset: number
  /** Return the first batch even if it is longer than `maxBytes`. */
  readonly atLeastOneBatch: boolean
  /** Tell which transactions among what is returned were aborted: a reader of committed records leaves theirs out. */
  readonly withAborted?: boolean
}

export interface ReadResult {
  /** Whole batches, the first of which holds `startOffset` or begins behind it; a view that does not change until it is given back. */
  readonly records: Buffer
  readonly logStartOffset: number
  /** Those that overlap `records`, when they were asked for. */
  readonly abortedTransactions?: readonly AbortedTransaction[]
}

export interface TimestampAndOffset {
  readonly offset: number
  readonly timestamp: number
  /** -1 when it is not known. */
  readonly leaderEpoch: number
}

const nothing = Buffer.alloc(0)

/** @throws KafkaError OFFSET_OUT_OF_RANGE when `startOffset` is not an offset of the log or its end. */
export async function readLog(state: LogState, options: ReadOptions): Promise<ReadResult> {
  const recent = readRecent(state, options)
  if (recent !== undefined) return recent
  const { name, logStartOffset, logEndOffset } = state
  const { startOffset } = options
  if (!(startOffset >= logStartOffset && startOffset <= logEndOffset)) {
    throw new KafkaError(
      'OFFSET_OUT_OF_RANGE',
      `Received request for offset ${startOffset} for partition ${name}, but we only have log segments from offset ${logStartOffset} to ${logEndOffset}.`,
    )
  }
  return resultOf(state, options, await readSegments(state, options))
}

/** As `readLog` where the answer is in memory, as it is for a live consumer, who costs no promise then; else undefined. */
export function readRecent(state: LogState, options: ReadOptions): ReadResult | undefined {
  const { startOffset, maxBytes, endOffset, atLeastOneBatch } = options
  const { logStartOffset, logEndOffset } = state
  if (!(startOffset >= logStartOffset && startOffset <= logEndOffset)) return undefined
  const limit = Math.min(endOffset, logEndOffset)
  const records = startOffset >= limit ? nothing : state.tail.read(startOffset, maxBytes, limit, atLeastOneBatch)
  return records && resultOf(state, options, records)
}

function resultOf(state: LogState, { startOffset, withAborted }: ReadOptions, records: Buffer): ReadResult {
  const { logStartOffset } = state
  if (withAborted !== true) return { records, logStartOffset }
  return { records, logStartOffset, abortedTransactions: abortedAmong(records, startOffset, state) }
}

/** Source: KIP-98, Kafka's UnifiedLog.collectAbortedTransactions. */
function abortedAmong(records: Buffer, startOffset: number, { segments }: LogState): AbortedTransaction[] {
  let endOffset = startOffset
  for (let at = 0; at < records.length; at += batchHeader.sizeBytes(records, at)) endOffset = lastOffsetOf(records, at) + 1
  return abortedBetween(segments.all.slice(Math.max(0, segments.indexOf(startOffset))), startOffset, endOffset)
}

async function readSegments(state: LogState, { startOffset, maxBytes, endOffset, atLeastOneBatch }: ReadOptions): Promise<Buffer> {
  const { logEndOffset, segments } = state
  const limit = Math.min(endOffset, logEndOffset)
  // A compacted segment may end before the next begins: then the next one holds what is asked for.
  for (const segment of segments.all.slice(Math.max(0, segments.indexOf(startOffset)))) {
    const records = await segment.read(startOffset, maxBytes, limit, atLeastOneBatch)
    if (records !== undefined) return records
    if (await holdsAtOrAfter(segment, startOffset)) break
  }
  return nothing
}

/** The segment has a batch for the reader, which did not fit: the reader must not be led past it. */
async function holdsAtOrAfter(segment: Segment, offset: number): Promise<boolean> {
  return (await segment.findBatch(offset)) !== undefined
}

/** The first record at or behind the log's start whose timestamp is not before `timestamp`. */
export async function findByTimestamp(state: LogState, timestamp: number): Promise<TimestampAndOffset | undefined> {
  const { segments, logStartOffset } = state
  for (const segment of [...segments.all]) {
    await segment.load()
    if (segment.sizeBytes === 0 || segment.maxTimestamp.timestamp < timestamp) continue
    const { offset } = await segment.lookupTimestamp(timestamp)
    let place = await segment.findBatch(Math.max(offset, logStartOffset))
    while (place !== undefined) {
      if (place.maxTimestamp >= timestamp) {
        const record = await firstRecord(
          state,
          segment,
          place,
          (candidate) => candidate.timestamp >= timestamp && candidate.offset >= logStartOffset,
        )
        if (record !== undefined) return record
      }
      place = await segment.findTimestamp(place, timestamp)
    }
  }
  return undefined
}

/** The first record that has the largest timestamp of the log; undefined when no record has a timestamp. */
export async function findMaxTimestamp(state: LogState): Promise<TimestampAndOffset | undefined> {
  const { segments, logStartOffset } = state
  let best: Segment | undefined
  for (const segment of [...segments.all]) {
    await segment.load()
    const { timestamp, offset } = segment.maxTimestamp
    if (timestamp >= 0 && offset >= logStartOffset && timestamp > (best?.maxTimestamp.timestamp ?? -1)) best = segment
  }
  if (best === undefined) return undefined
  const { timestamp, offset } = best.maxTimestamp
  const place = await best.findBatch(offset)
  return place && (await firstRecord(state, best, place, (candidate) => candidate.timestamp === timestamp))
}

async function firstRecord(
  state: LogState,
  segment: Segment,
  place: BatchPlace,
  isWanted: (record: { timestamp: number; offset: number }) => boolean,
): Promise<TimestampAndOffset | undefined> {
  const bytes = await segment.readBatch(place)
  const batch = batchAt(bytes, 0, bytes.length)
  if (batch === undefined) throw new KafkaError('CORRUPT_MESSAGE', `${segment.file.path} has no whole batch at ${place.position}`)
  const limit = { maxOutputBytes: maxOutputBytes(state.config) }
  const uncompressed = await uncompressBatch(batch, limit, state.offload)
  for (const record of readRecords(batch, { ...limit, uncompressed })) {
    if (isWanted(record)) return { offset: record.offset, timestamp: record.timestamp, leaderEpoch: leaderEpochOf(bytes, 0) }
  }
  return undefined
}
