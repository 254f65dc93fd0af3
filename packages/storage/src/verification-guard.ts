/**
 * Leave for one producer to open a transaction in a partition, given out before its coordinator is asked whether the transaction includes the
 * partition. It is void as soon as a transaction of the producer begins or ends there, so that what was asked before cannot open another one. KIP-890.
 */
export class VerificationGuard {
  /** Of the newest batch that it was given out for. */
  producerEpoch: number
  /** Of the first batch that is to be appended in that epoch. */
  lowestSequence: number
  /** The producer follows transaction.version 2: its epoch begins with sequence 0. */
  readonly isV2: boolean
  /** The coordinator has said that the partition is included. */
  isVerified = false
  /** It was there already when producers were last looked over for expired ones. */
  isOld = false

  constructor({ producerEpoch, baseSequence, isV2 }: GuardedBatch) {
    this.producerEpoch = producerEpoch
    this.lowestSequence = baseSequence
    this.isV2 = isV2
  }

  /** Covers another batch of the same producer, and what the coordinator said of an older epoch is forgotten. */
  cover({ producerEpoch, baseSequence }: GuardedBatch): void {
    if (producerEpoch > this.producerEpoch) {
      this.producerEpoch = producerEpoch
      this.lowestSequence = baseSequence
      this.isVerified = false
    } else if (producerEpoch === this.producerEpoch && baseSequence < this.lowestSequence) this.lowestSequence = baseSequence
  }
}

/** The batch that a guard is asked for. */
export interface GuardedBatch {
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly isV2: boolean
}
