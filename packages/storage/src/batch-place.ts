import { batchHeader } from '@tidelog/protocol'
import { lastOffsetOf, maxTimestampOf } from './stored-batch.ts'

/** Where a batch lies in a segment's log file, and what its header says. */
export interface BatchPlace {
  readonly position: number
  readonly sizeBytes: number
  readonly baseOffset: number
  readonly lastOffset: number
  readonly maxTimestamp: number
}

/** The place of the batch whose header lies at `at` of `buffer`. */
export function placeOf(buffer: Buffer, at: number, position: number, sizeBytes: number): BatchPlace {
  const baseOffset = batchHeader.baseOffset(buffer, at)
  return { position, sizeBytes, baseOffset, lastOffset: lastOffsetOf(buffer, at), maxTimestamp: maxTimestampOf(buffer, at) }
}
