import type { Segment } from '../segment.ts'
import type { AbortedTransaction } from '../transaction-index.ts'

/**
 * Aborted transactions that overlap the offsets from `startOffset` to before `endOffset`. One is in the index of the segment that its marker lies in.
 * @param segments From the one that holds `startOffset` on.
 */
export function abortedBetween(segments: readonly Segment[], startOffset: number, endOffset: number): AbortedTransaction[] {
  const found: AbortedTransaction[] = []
  for (const { transactionIndex } of segments) {
    for (const transaction of transactionIndex.entries) {
      if (transaction.lastOffset >= startOffset && transaction.firstOffset < endOffset) found.push(transaction)
      // Every transaction that began before was decided by then.
      if (transaction.lastStableOffset >= endOffset) return found
    }
  }
  return found
}
