import type { ErrorName } from '@tidelog/protocol'

/** Both clocks at the moment of a step: records are stamped with the one, waits are measured with the other. */
export interface Instant {
  /** Ms since the Unix epoch. */
  readonly wallMs: number
  readonly monotonicMs: number
}

/** Names a request that waits for its reply; whoever hands a request in chooses it. */
export type Ticket = number

export interface Reply {
  readonly ticket: Ticket
  readonly response: unknown
}

/** Makes a write a batch of its own, in a producer's transaction. */
export interface TransactionOfWrite {
  readonly producerId: number
  readonly producerEpoch: number
  /** What the log gave out for it when the coordinator of the transaction was asked; null: its transaction was open. */
  readonly guard?: object | null | undefined
  /** In place of records: the end of the transaction. */
  readonly marker?: {
    readonly committed: boolean
    readonly coordinatorEpoch: number
    /** The transaction.version that it follows: see KIP-890. */
    readonly transactionVersion: number
  }
}

export type MarkerOfTransaction = TransactionOfWrite & Required<Pick<TransactionOfWrite, 'marker'>>

/** Records to append in one batch, all or none, behind those of every earlier write. */
export interface Write<R, E = never> {
  /** None: only waits until every earlier write is settled. */
  readonly records: readonly R[]
  readonly transaction?: TransactionOfWrite | undefined
  /**
   * To be called once, in order of the writes: without `failure` when the records lie below the high watermark, else with the error that
   * kept them from it.
   */
  settle(now: Instant, failure?: ErrorName): Step<R, E>
}

/**
 * What follows from a request, a deadline or a settled write. `R` are the records of the coordinator's topic, `E` what else it wants done
 * outside, whose outcome is handed in as a step again.
 */
export interface Step<R, E = never> {
  /** Leave at once. */
  readonly replies: readonly Reply[]
  readonly writes: readonly Write<R, E>[]
  readonly effects: readonly E[]
}

/** A step while it is being made. */
export class StepBuilder<R, E = never> implements Step<R, E> {
  readonly now: Instant
  readonly replies: Reply[] = []
  readonly writes: Write<R, E>[] = []
  readonly effects: E[] = []

  constructor(now: Instant) {
    this.now = now
  }

  reply(ticket: Ticket, response: unknown): void {
    this.replies.push({ ticket, response })
  }

  write(
    records: readonly R[],
    settled: (step: StepBuilder<R, E>, failure: ErrorName | undefined) => void,
    transaction?: TransactionOfWrite,
  ): void {
    this.writes.push({
      records,
      transaction,
      settle: (now, failure) => {
        const step = new StepBuilder<R, E>(now)
        settled(step, failure)
        return step
      },
    })
  }
}
