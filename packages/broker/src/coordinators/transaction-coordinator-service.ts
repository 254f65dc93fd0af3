import {
  type DescribedTransaction,
  decodeTransactionRecord,
  type EndRequest,
  encodeTransactionRecord,
  type InitProducerRequest,
  type ListedTransaction,
  type MarkerResult,
  type MarkerSend,
  needsProducerId,
  type PartitionsRequest,
  type ProducerReply,
  type Refused,
  TransactionCoordinator,
  type TransactionCoordinatorConfig,
  type TransactionFilter,
  type TransactionRecord,
} from '@tidelog/coordinator'
import { type Clock, isWellFormedText, type Logger } from '@tidelog/core'
import { TRANSACTION_STATE_TOPIC } from '@tidelog/metadata'
import { type ErrorName, KafkaError } from '@tidelog/protocol'
import type { CoordinatorLog } from './coordinator-log.ts'
import { CoordinatorPartition } from './coordinator-partition.ts'
import { keyPartition } from './key-partition.ts'
import { LedPartitions, type TermOfPartition } from './led-partitions.ts'

/** Brings the ends of transactions to the partitions that they have records in. */
export interface MarkerSender {
  /** @returns What came of it in each partition. Does not reject. */
  send(markers: MarkerSend): Promise<readonly MarkerResult[]>
}

export interface TransactionCoordinatorServiceOptions {
  readonly config: TransactionCoordinatorConfig
  /** transaction.state.log.load.buffer.size */
  readonly loadBufferBytes: number
  /** Of __transaction_state; what it will have while it does not exist. */
  readonly partitionCount: () => number
  readonly markers: MarkerSender
  readonly allocateProducerId: () => Promise<number>
  readonly clock: Clock
  readonly logger: Logger
}

type TransactionPartition = CoordinatorPartition<TransactionCoordinator, TransactionRecord, MarkerSend>
type Producer = Exclude<ProducerReply, Refused>

/**
 * The transaction coordinators of one broker: one for each partition of __transaction_state that it leads. Every method finds the partition of
 * its transactional id, and throws KafkaError COORDINATOR_LOAD_IN_PROGRESS, NOT_COORDINATOR, COORDINATOR_NOT_AVAILABLE once closed, and what
 * the coordinator refuses.
 */
export class TransactionCoordinatorService {
  readonly #options: TransactionCoordinatorServiceOptions
  readonly #partitions = new LedPartitions<TransactionPartition>((term) => this.#begin(term))

  constructor(options: TransactionCoordinatorServiceOptions) {
    this.#options = options
  }

  // --- leadership ------------------------------------------------------------------------------------------------------------------

  #begin({ index, leaderEpoch, log, onLost }: TermOfPartition): TransactionPartition {
    const { config, markers } = this.#options
    const transactions = new TransactionCoordinator({ config, coordinatorEpoch: leaderEpoch })
    const partition: TransactionPartition = new CoordinatorPartition({
      ...this.#options,
      coordinator: transactions,
      replay: {
        record: (key, value) => {
          const record = decodeTransactionRecord(key, value)
          if (record !== undefined) transactions.replay(record)
        },
        // Nobody writes transactions into this topic.
        endTransaction: () => {},
      },
      encode: (record) => encodeTransactionRecord(record, config.transactionVersion),
      // Of Kafka's choice, so that both read it: the topic's own codec is none as well.
      codec: 'none',
      log,
      logger: this.#options.logger.child({ partition: `${TRANSACTION_STATE_TOPIC}-${index}`, leaderEpoch }),
      onLost,
      onEffect: (send) => {
        void markers.send(send).then((results) => partition.tell((coordinator, now) => coordinator.markersSent(send, results, now)))
      },
    })
    return partition
  }

  /** This broker leads a partition of the transaction topic from now on. @returns when its transactions have been loaded */
  elected(index: number, leaderEpoch: number, log: CoordinatorLog): Promise<void> {
    return this.#partitions.elected(index, leaderEpoch, log)
  }

  /** Another broker leads it, or it is gone. */
  resigned(index: number): void {
    this.#partitions.resigned(index)
  }

  /** Answers everyone who waits. */
  close(): void {
    this.#partitions.close()
  }

  /** @throws KafkaError INVALID_REQUEST for a name whose bytes are not UTF-8: it could not be told apart where it is shown */
  partitionOf(transactionalId: string): number {
    if (!isWellFormedText(transactionalId)) throw new KafkaError('INVALID_REQUEST', 'the transactional id is not UTF-8')
    return keyPartition(transactionalId, this.#options.partitionCount())
  }

  #coordinatorOf(transactionalId: string): TransactionPartition {
    return this.#partitions.of(this.partitionOf(transactionalId))
  }

  // --- producers -------------------------------------------------------------------------------------------------------------------

  /** @throws KafkaError INVALID_TRANSACTION_TIMEOUT, CONCURRENT_TRANSACTIONS, PRODUCER_FENCED */
  initProducerId(request: InitProducerRequest): Promise<Producer> {
    return this.#withProducerId(request.transactionalId, (coordinator, newProducerId, ticket, now) =>
      coordinator.initProducerId(request, newProducerId, ticket, now),
    )
  }

  /** @throws KafkaError INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, CONCURRENT_TRANSACTIONS, INVALID_TXN_STATE */
  endTransaction(request: EndRequest & { readonly transactionalId: string }): Promise<Producer> {
    return this.#withProducerId(request.transactionalId, (coordinator, newProducerId, ticket, now) =>
      coordinator.endTransaction(request, newProducerId, ticket, now),
    )
  }

  /** Asks without a new producer id, for they cost a write to the store now and then, and once more with one where it takes one. */
  async #withProducerId(
    transactionalId: string,
    take: (
      coordinator: TransactionCoordinator,
      newProducerId: number | undefined,
      ...rest: Parameters<Parameters<TransactionPartition['ask']>[0]> extends [unknown, ...infer Rest] ? Rest : never
    ) => ReturnType<Parameters<TransactionPartition['ask']>[0]>,
  ): Promise<Producer> {
    const ask = (newProducerId: number | undefined) =>
      this.#coordinatorOf(transactionalId).ask<ProducerReply | typeof needsProducerId>((coordinator, ticket, now) =>
        take(coordinator, newProducerId, ticket, now),
      )
    let reply = await ask(undefined)
    if (reply === needsProducerId) reply = await ask(await this.#options.allocateProducerId())
    if (reply === needsProducerId) throw new KafkaError('UNKNOWN_SERVER_ERROR')
    return accepted(reply)
  }

  /**
   * @param clientTransactionVersion 2 when a partition's leader asks for its producer.
   * @throws KafkaError INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, CONCURRENT_TRANSACTIONS
   */
  async addPartitions(request: PartitionsRequest, clientTransactionVersion: number): Promise<void> {
    const partition = this.#coordinatorOf(request.transactionalId)
    const reply = await partition.ask<Refused | undefined>((coordinator, ticket, now) =>
      coordinator.addPartitions(request, clientTransactionVersion, ticket, now),
    )
    if (reply !== undefined) throw new KafkaError(reply.error)
  }

  /**
   * Whether the partitions are in the producer's open transaction.
   * @returns Of each partition, in order, why it is not. @throws KafkaError INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, CONCURRENT_TRANSACTIONS
   */
  verifyPartitions(request: PartitionsRequest): readonly (ErrorName | undefined)[] {
    return accepted(this.#coordinatorOf(request.transactionalId).active.verifyPartitions(request)).errors
  }

  // --- what there is ---------------------------------------------------------------------------------------------------------------

  /** @throws KafkaError TRANSACTIONAL_ID_NOT_FOUND */
  describe(transactionalId: string): DescribedTransaction {
    return accepted(this.#coordinatorOf(transactionalId).active.describe(transactionalId))
  }

  /** Those of the partitions that this broker leads. @throws KafkaError COORDINATOR_LOAD_IN_PROGRESS while any of them loads */
  list(filter: TransactionFilter): ListedTransaction[] {
    this.#partitions.requireOpen()
    return this.#partitions.all().flatMap((partition) => {
      try {
        return partition.active.list(filter, partition.now())
      } catch (error) {
        // One that could not be loaded has nothing to list here.
        if (error instanceof KafkaError && error.errorName === 'NOT_COORDINATOR') return []
        throw error
      }
    })
  }
}

function accepted<Reply extends object>(reply: Reply | Refused): Exclude<Reply, Refused> {
  if ('error' in reply) throw new KafkaError(reply.error)
  return reply as Exclude<Reply, Refused>
}
