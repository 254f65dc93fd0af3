import { readFileSync } from 'node:fs'
import { batchHeader, readRecords } from '@tidelog/protocol'
import { decodeProducerSnapshot } from '@tidelog/storage'
import { CommandFailure } from '../command.ts'
import type { SegmentFile } from './segment-file.ts'

const OFFSET_ENTRY_BYTES = 8
const TIME_ENTRY_BYTES = 12
const TRANSACTION_ENTRY_BYTES = 34
const MAX_RECORDS_BYTES = 1024 * 1024 * 1024

export interface IndexDumpOptions {
  /** Only whether the file could be an index at all. */
  readonly sanityCheck: boolean
  /** Compares with the segment and prints no entries. */
  readonly verifyOnly: boolean
}

/** What is wrong with an index file, by kind; each is a line for the end of the dump. */
export interface IndexProblems {
  readonly mismatches: string[]
  readonly timestampMismatches: string[]
  readonly outOfOrderTimestamps: string[]
  readonly offsetsNotFound: string[]
}

export const noProblems = (): IndexProblems => ({ mismatches: [], timestampMismatches: [], outOfOrderTimestamps: [], offsetsNotFound: [] })

const baseOffsetOf = (path: string): number => Number(/(\d{20})\.[a-z]+$/.exec(path)?.[1] ?? 0)

/** Whole entries of an index file. @throws CommandFailure when the file cannot be one */
function entriesOf(path: string, entryBytes: number): { bytes: Buffer; count: number } {
  const bytes = readFileSync(path)
  if (bytes.length % entryBytes !== 0)
    throw new CommandFailure(
      `Index file ${path} is corrupt, found ${bytes.length} bytes which is neither positive nor a multiple of ${entryBytes}.`,
    )
  return { bytes, count: bytes.length / entryBytes }
}

/** The lines of an `.index` file: int32 offset from the base, int32 position. What has no entries since the file was made longer ahead of time ends it. */
export function* dumpOffsetIndex(
  path: string,
  segment: SegmentFile | undefined,
  { sanityCheck, verifyOnly }: IndexDumpOptions,
  problems: IndexProblems,
): Generator<string, void, undefined> {
  const { bytes, count } = entriesOf(path, OFFSET_ENTRY_BYTES)
  if (count === 0) {
    yield `${path} is empty.`
    return
  }
  if (sanityCheck) {
    yield `${path} passed sanity check.`
    return
  }
  const base = baseOffsetOf(path)
  for (let entry = 0; entry < count; entry++) {
    const offset = base + bytes.readUInt32BE(entry * OFFSET_ENTRY_BYTES)
    const position = bytes.readUInt32BE(entry * OFFSET_ENTRY_BYTES + 4)
    if (offset <= base) return
    const logOffset = lastOffsetAt(segment, position)
    if (logOffset !== offset) problems.mismatches.push(`  Index offset: ${offset}, log offset: ${logOffset}`)
    if (!verifyOnly) yield `offset: ${offset} position: ${position}`
  }
}

/** The last offset of the batch at a position; −1 when there is none. */
function lastOffsetAt(segment: SegmentFile | undefined, position: number): number {
  for (const { batch } of segment?.batches(position) ?? []) return batch.magic === 2 ? batch.lastOffset : batch.baseOffset
  return -1
}

/** The lines of a `.timeindex` file: int64 timestamp, int32 offset from the base. */
export function* dumpTimeIndex(
  path: string,
  segment: SegmentFile | undefined,
  { sanityCheck, verifyOnly }: IndexDumpOptions,
  problems: IndexProblems,
): Generator<string, void, undefined> {
  const { bytes, count } = entriesOf(path, TIME_ENTRY_BYTES)
  if (sanityCheck) {
    yield `${path} passed sanity check.`
    return
  }
  const base = baseOffsetOf(path)
  const batches = segment?.batches()
  let current = batches?.next().value
  let previous = -1
  for (let entry = 0; entry < count; entry++) {
    const timestamp = Number(bytes.readBigInt64BE(entry * TIME_ENTRY_BYTES))
    const offset = base + bytes.readUInt32BE(entry * TIME_ENTRY_BYTES + 8)
    if (entry > 0 && offset <= base) return
    // Entries are in order of offsets, and so are batches: each is looked at once.
    while (current !== undefined && batchHeader.lastOffset(current.batch.buffer, current.batch.at) < offset) current = batches?.next().value
    if (current === undefined) problems.offsetsNotFound.push(`Indexed offset: ${offset}, found log offset: -1`)
    else if (current.batch.lastOffset !== offset) {
      problems.offsetsNotFound.push(`Indexed offset: ${offset}, found log offset: ${current.batch.lastOffset}`)
    } else {
      let largest = -1
      for (const record of readRecords(current.batch, { maxOutputBytes: MAX_RECORDS_BYTES })) largest = Math.max(largest, record.timestamp)
      if (largest !== timestamp) problems.timestampMismatches.push(`  Index timestamp: ${timestamp}, log timestamp: ${largest}`)
    }
    if (previous >= timestamp)
      problems.outOfOrderTimestamps.push(`  Index timestamp: ${timestamp}, Previously indexed timestamp: ${previous}`)
    if (!verifyOnly) yield `timestamp: ${timestamp} offset: ${offset}`
    previous = timestamp
  }
}

/** The lines of a `.txnindex` file: int16 version, int64 producer id, first and last offset, last stable offset. */
export function* dumpTransactionIndex(path: string): Generator<string, void, undefined> {
  const { bytes, count } = entriesOf(path, TRANSACTION_ENTRY_BYTES)
  for (let at = 0; at < count * TRANSACTION_ENTRY_BYTES; at += TRANSACTION_ENTRY_BYTES) {
    const [producerId, firstOffset, lastOffset, lastStableOffset] = [2, 10, 18, 26].map((field) => bytes.readBigInt64BE(at + field))
    yield `version: ${bytes.readInt16BE(at)} producerId: ${producerId} firstOffset: ${firstOffset} lastOffset: ${lastOffset} lastStableOffset: ${lastStableOffset}`
  }
}

/** The lines of a `.snapshot` file of producers. @throws CommandFailure when it is damaged */
export function* dumpProducerSnapshot(path: string): Generator<string, void, undefined> {
  const producers = decodeProducerSnapshot(readFileSync(path))
  if (typeof producers === 'string') throw new CommandFailure(`${path}: ${producers}`)
  for (const producer of producers) {
    const {
      producerId,
      producerEpoch,
      coordinatorEpoch,
      currentTransactionFirstOffset: open,
      timestamp,
      lastSequence,
      lastOffset,
      offsetDelta,
    } = producer
    const transaction = open < 0 ? 'OptionalLong.empty' : `OptionalLong[${open}]`
    const batch =
      lastSequence < 0
        ? ''
        : ` firstSequence: ${lastSequence - offsetDelta} lastSequence: ${lastSequence} lastOffset: ${lastOffset} offsetDelta: ${offsetDelta} timestamp: ${timestamp}`
    yield `producerId: ${producerId} producerEpoch: ${producerEpoch} coordinatorEpoch: ${coordinatorEpoch} currentTxnFirstOffset: ${transaction} lastTimestamp: ${timestamp}${batch}`
  }
}
