import type { TopicPartition } from '@tidelog/coordinator'
import type { Clock } from '@tidelog/core'
import { type ErrorName, KafkaError } from '@tidelog/protocol'
import type { VerificationGuard } from '@tidelog/storage'
import type { TransactionCoordinatorService } from '../coordinators/transaction-coordinator-service.ts'

/**
 * What a partition's leader wants of the coordinator for a batch that opens a transaction in it, by what the producer's request can say and do:
 * `verify`: is the partition included? `verify-abortable`: the same, and the producer understands TRANSACTION_ABORTABLE; `add`: include it. KIP-890.
 */
export type VerificationMode = 'verify' | 'verify-abortable' | 'add'

export interface TransactionalProducer {
  readonly transactionalId: string
  readonly producerId: number
  readonly producerEpoch: number
}

/** Partitions of one producer that the coordinator is asked about together. */
interface Round {
  readonly producer: TransactionalProducer
  readonly mode: VerificationMode
  readonly partitions: TopicPartition[]
  readonly answers: ((error: ErrorName | undefined) => void)[]
}

/**
 * Asks transaction coordinators for the leaders of partitions. What one producer needs in the same turn is asked together, and one question at a
 * time, for two changes of a transaction would stand in each other's way.
 */
export class PartitionVerifier {
  readonly #transactions: TransactionCoordinatorService
  readonly #clock: Clock
  readonly #retry: () => { backoffMs: number; maxMs: number }
  /** By transactional id: the round that gathers partitions; those before it are being asked. */
  readonly #gathering = new Map<string, Round[]>()
  readonly #asking = new Map<string, Promise<void>>()
  readonly #underWay = new WeakMap<VerificationGuard, { readonly producerEpoch: number; readonly answer: Promise<VerificationGuard> }>()

  /** @param retry add.partitions.to.txn.retry.backoff.ms and -.max.ms */
  constructor(options: { transactions: TransactionCoordinatorService; clock: Clock; retry: () => { backoffMs: number; maxMs: number } }) {
    this.#transactions = options.transactions
    this.#clock = options.clock
    this.#retry = options.retry
  }

  /**
   * Resolves, for all that wait for the same guard in the order in which they came, when the partition is in the producer's transaction.
   * @throws KafkaError for the producer: why its batch cannot be appended
   */
  verified(
    guard: VerificationGuard,
    producer: TransactionalProducer,
    partition: TopicPartition,
    mode: VerificationMode,
  ): Promise<VerificationGuard> {
    const known = this.#underWay.get(guard)
    const { producerEpoch } = producer
    if (known !== undefined && known.producerEpoch === producerEpoch) return known.answer
    const answer = this.#verify(producer, partition, mode).then(() => {
      // Of an older epoch: it says nothing of the batches that have come since.
      if (guard.producerEpoch === producerEpoch) guard.isVerified = true
      return guard
    })
    const forget = () => {
      if (this.#underWay.get(guard)?.answer === answer) this.#underWay.delete(guard)
    }
    answer.then(forget, forget)
    this.#underWay.set(guard, { producerEpoch, answer })
    return answer
  }

  /** Resolves when the partition is in the producer's transaction. @throws KafkaError for the producer: why its batch cannot be appended */
  async #verify(producer: TransactionalProducer, partition: TopicPartition, mode: VerificationMode): Promise<void> {
    const error = await new Promise<ErrorName | undefined>((resolve) => {
      const round = this.#roundFor(producer, mode)
      round.partitions.push(partition)
      round.answers.push(resolve)
    })
    if (error !== undefined) throw producerError(error, mode)
  }

  #roundFor(producer: TransactionalProducer, mode: VerificationMode): Round {
    const { transactionalId } = producer
    const rounds = this.#gathering.get(transactionalId) ?? []
    let round = rounds.find(
      (known) =>
        known.mode === mode && known.producer.producerId === producer.producerId && known.producer.producerEpoch === producer.producerEpoch,
    )
    if (round === undefined) {
      round = { producer, mode, partitions: [], answers: [] }
      rounds.push(round)
      this.#gathering.set(transactionalId, rounds)
      if (!this.#asking.has(transactionalId)) {
        // Begins when this turn's requests have named their partitions.
        this.#asking.set(
          transactionalId,
          Promise.resolve().then(() => this.#askAll(transactionalId)),
        )
      }
    }
    return round
  }

  async #askAll(transactionalId: string): Promise<void> {
    for (;;) {
      const round = this.#gathering.get(transactionalId)?.shift()
      if (round === undefined) break
      const errors = await this.#ask(round)
      for (const [index, answer] of round.answers.entries()) answer(errors[index])
    }
    this.#gathering.delete(transactionalId)
    this.#asking.delete(transactionalId)
  }

  async #ask(round: Round): Promise<readonly (ErrorName | undefined)[]> {
    const { backoffMs, maxMs } = this.#retry()
    const startMs = this.#clock.monotonic()
    for (;;) {
      const errors = await this.#askOnce(round)
      // The transaction before it is being completed, most of the time within a moment.
      const isWorthIt = round.mode === 'add' && errors.includes('CONCURRENT_TRANSACTIONS')
      if (!isWorthIt || this.#clock.monotonic() - startMs + backoffMs > maxMs) return errors
      await new Promise<void>((resolve) => this.#clock.setTimer(backoffMs, resolve))
    }
  }

  async #askOnce({ producer, mode, partitions }: Round): Promise<readonly (ErrorName | undefined)[]> {
    try {
      if (mode !== 'add') return this.#transactions.verifyPartitions({ ...producer, partitions })
      await this.#transactions.addPartitions({ ...producer, partitions }, 2)
      return partitions.map(() => undefined)
    } catch (error) {
      const name = error instanceof KafkaError ? error.errorName : 'UNKNOWN_SERVER_ERROR'
      return partitions.map(() => name)
    }
  }
}

/** What a producer is told, in the words that its request's version knows. */
function producerError(error: ErrorName, mode: VerificationMode): KafkaError {
  if (error === 'PRODUCER_FENCED') return new KafkaError('INVALID_PRODUCER_EPOCH')
  if (error === 'INVALID_TXN_STATE' || (error === 'TRANSACTION_ABORTABLE' && mode === 'verify')) {
    return new KafkaError('INVALID_TXN_STATE', 'Partition was not added to the transaction')
  }
  return new KafkaError(error)
}
