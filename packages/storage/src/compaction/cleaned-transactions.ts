import type { RecordBatch } from '@tidelog/protocol'
import { markerOf } from '../append-validation.ts'
import type { AbortedTransaction } from '../transaction-index.ts'
import { CleaningError } from './cleaning-error.ts'

interface OngoingAbort {
  readonly transaction: AbortedTransaction
  /** A batch of it was met in this cleaning. */
  hasBatch: boolean
}

/**
 * Follows the transactions of a log while it is read from its beginning: tells which batches were aborted, and which markers end a transaction of which
 * nothing is left. Source: KIP-98, the rules of Kafka 4.3's CleanedTransactionMetadata.
 */
export class CleanedTransactions {
  /** Transactions that were aborted and begin further on, the next one last. */
  #ahead: AbortedTransaction[] = []
  readonly #aborting = new Map<number, OngoingAbort>()
  readonly #committing = new Set<number>()
  readonly #onKeptAbort: (transaction: AbortedTransaction) => void

  /** @param onKeptAbort Called for an aborted transaction whose marker stays because batches of it were met: the segment's index needs it. */
  constructor(onKeptAbort: (transaction: AbortedTransaction) => void = () => {}) {
    this.#onKeptAbort = onKeptAbort
  }

  /** Adds transactions that overlap what is read next. Some may be known from a segment before. */
  add(transactions: readonly AbortedTransaction[]): void {
    if (transactions.length === 0) return
    this.#ahead = [...this.#ahead, ...transactions].sort((first, second) => second.firstOffset - first.firstOffset)
  }

  /** Takes in a batch of data. Returns whether it belongs to an aborted transaction. */
  onBatch(lastOffset: number, producerId: number, isTransactional: boolean): boolean {
    this.#beginUpTo(lastOffset)
    if (!isTransactional) return false
    const aborting = this.#aborting.get(producerId)
    if (aborting === undefined) {
      this.#committing.add(producerId)
      return false
    }
    aborting.hasBatch = true
    return true
  }

  /**
   * Takes in a control batch. Returns whether its marker has become meaningless: no batch of its transaction was met, or it is empty.
   * @throws CleaningError `unindexed-abort` when records before it were aborted and no transaction index has said so.
   */
  onControlBatch(batch: RecordBatch): boolean {
    this.#beginUpTo(batch.lastOffset)
    if (batch.recordsCount === 0) return true
    const marker = markerOf(batch)
    if (marker === undefined) return false
    const { producerId } = batch
    if (!marker.isAbort) return !this.#committing.delete(producerId)
    const aborting = this.#aborting.get(producerId)
    if (aborting === undefined && this.#committing.has(producerId)) {
      // Its records would be taken for the newest of their keys.
      const message = `the transaction of producer ${producerId} that was aborted at offset ${batch.lastOffset} is in no transaction index`
      throw new CleaningError('unindexed-abort', message)
    }
    this.#aborting.delete(producerId)
    if (aborting === undefined || !aborting.hasBatch) return true
    this.#onKeptAbort(aborting.transaction)
    return false
  }

  #beginUpTo(offset: number): void {
    for (let next = this.#ahead.at(-1); next !== undefined && next.firstOffset <= offset; next = this.#ahead.at(-1)) {
      this.#ahead.pop()
      if (!this.#aborting.has(next.producerId)) this.#aborting.set(next.producerId, { transaction: next, hasBatch: false })
    }
  }
}
