import type { Deadline } from '../steps/deadline-heap.ts'
import { type Step, StepBuilder } from '../steps/step.ts'
import type { TopicPartition } from './topic-partitions.ts'
import type { TransactionRecord } from './transaction-record.ts'

/** The end of a transaction, to be written into partitions that it has records in. */
export interface MarkerSend {
  readonly transactionalId: string
  readonly producerId: number
  readonly producerEpoch: number
  /** Of the coordinator: an older one's markers are refused. */
  readonly coordinatorEpoch: number
  readonly committed: boolean
  /** From 2 on the epoch is newer than the one that the transaction's records have. */
  readonly transactionVersion: number
  readonly partitions: readonly TopicPartition[]
}

/**
 * What came of a marker in one partition: it is there; the partition is gone; it is to be tried again; a newer producer or coordinator has been
 * there, who takes care of it.
 */
export type MarkerOutcome = 'written' | 'gone' | 'retry' | 'fenced'

export interface MarkerResult extends TopicPartition {
  readonly outcome: MarkerOutcome
}

/** A step of the transaction coordinator: its writes go to __transaction_state, its effects are markers to send. */
export type TransactionStep = Step<TransactionRecord, MarkerSend>
export type TransactionStepBuilder = StepBuilder<TransactionRecord, MarkerSend>
export const TransactionStepBuilder = StepBuilder<TransactionRecord, MarkerSend>
export type TransactionDeadline = Deadline<TransactionStepBuilder>
