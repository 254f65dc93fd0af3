import type { PartitionsByTopic } from './topic-partitions.ts'
import type { Transaction } from './transaction.ts'
import type { TransactionDeadline } from './transaction-step.ts'

/** The markers of a decided transaction that are still to be written. */
export interface Completion {
  left: PartitionsByTopic
  /** Rounds of sending, or of appending the last record, that have failed. */
  failures: number
  readonly retry: TransactionDeadline
}

/** One transactional id and what is happening to it. */
export class TransactionEntry {
  readonly transactionalId: string
  /** As the log has it; undefined while its first record is on the way. */
  transaction: Transaction | undefined
  /** A transition is being written: nothing else can change it meanwhile. */
  isBeingWritten = false
  completion: Completion | undefined
  /** Monotonic ms at which the open transaction began. */
  startedMs = 0

  constructor(transactionalId: string, transaction?: Transaction) {
    this.transactionalId = transactionalId
    this.transaction = transaction
  }

  /** Whoever wants to change it has to come again. */
  get isChanging(): boolean {
    return this.isBeingWritten || this.completion !== undefined
  }
}
