import { type ClientError, IllegalStateError, TransactionAbortableError } from '../../errors.ts'
import { PartitionMap, type TopicPartition } from '../../topic-partition.ts'

/**
 * `failed`: something of the transaction went wrong, and it can only be aborted. `fatal`: the producer is of no use any more.
 */
export type TransactionStatus = 'uninitialized' | 'initializing' | 'ready' | 'open' | 'committing' | 'aborting' | 'failed' | 'fatal'

/** Kafka's transaction.version: 2 is KIP-890, where writing is what adds to a transaction and every transaction has an epoch of its own. */
export type TransactionVersion = 1 | 2

/** What ending the transaction takes, in this order. */
export interface EndPlan {
  /** False: the coordinator knows of no open transaction. */
  readonly endTxn: boolean
  /** The producer asks for its next epoch, because sequence numbers under this one have got lost. KIP-360. */
  readonly initProducerId: boolean
}

/** How a transactional producer stands: which calls fit, what a failure leaves possible, which partitions belong. No I/O, no time. */
export class TransactionState {
  #status: TransactionStatus = 'uninitialized'
  #version: TransactionVersion = 1
  #failure: ClientError | undefined
  /** Does the coordinator know an open transaction? `maybe`: it was asked to add something, and has not answered. */
  #known: 'no' | 'maybe' | 'yes' = 'no'
  #hasLostNumbers = false
  /** The coordinator does not know this producer id; nothing of it can be ended. */
  #isIdUnknown = false
  /** EndTxn may have left: the outcome is decided, here or there. */
  #isDecided = false
  readonly #partitions = new PartitionMap<'wanted' | 'adding' | 'added'>()

  get status(): TransactionStatus {
    return this.#status
  }

  /** Of the open transaction. */
  get version(): TransactionVersion {
    return this.#version
  }

  get failure(): ClientError | undefined {
    return this.#failure
  }

  /** Records may still reach brokers and count. */
  get isLive(): boolean {
    return this.#status === 'open' || (this.#status === 'committing' && !this.#isDecided)
  }

  /** An open transaction, or one whose end has been begun and has not come about. */
  get isUnfinished(): boolean {
    return this.#status === 'open' || this.#status === 'committing' || this.#status === 'aborting' || this.#status === 'failed'
  }

  /** The end was decided and could not be carried out yet; the same call goes on with it. */
  get unfinishedEnd(): 'commit' | 'abort' | undefined {
    if (this.#status === 'committing' && this.#isDecided) return 'commit'
    return this.#status === 'aborting' ? 'abort' : undefined
  }

  beginInit(): void {
    this.#checkFatal()
    if (this.#status !== 'uninitialized') throw new IllegalStateError(`initTransactions() is called once: the producer is ${this.#status}`)
    this.#status = 'initializing'
  }

  /** @param isDone false: it may be tried again. */
  endInit(isDone: boolean): void {
    if (this.#status === 'initializing') this.#status = isDone ? 'ready' : 'uninitialized'
  }

  begin(version: TransactionVersion): void {
    this.#checkFatal()
    if (this.#status === 'uninitialized' || this.#status === 'initializing') {
      throw new IllegalStateError('beginTransaction() before initTransactions() has ended')
    }
    if (this.#status !== 'ready') throw new IllegalStateError(`a producer has one transaction at a time, and one is ${this.#status}`)
    this.#status = 'open'
    this.#version = version
  }

  /** @throws unless a record or offsets may be added. */
  checkOpen(): void {
    this.#checkFatal()
    this.#checkFailed()
    if (this.#status !== 'open') throw new IllegalStateError(`no transaction is open: the producer is ${this.#status}`)
  }

  /** @throws unless the transaction may be committed, or its commit gone on with. */
  beginCommit(): void {
    this.#checkFatal()
    this.#checkFailed()
    if (this.#status !== 'open' && this.#status !== 'committing') {
      throw new IllegalStateError(`no transaction to commit: the producer is ${this.#status}`)
    }
    this.#status = 'committing'
  }

  beginAbort(): void {
    this.#checkFatal()
    if (this.#status === 'committing' && this.#isDecided) {
      throw new IllegalStateError('the transaction may be committed already: call commitTransaction() again')
    }
    if (!this.isUnfinished) throw new IllegalStateError(`no transaction to abort: the producer is ${this.#status}`)
    this.#status = 'aborting'
  }

  /** From here on the outcome cannot change. @throws what has failed meanwhile, for a commit */
  decide(): EndPlan {
    this.#checkFatal()
    this.#checkFailed()
    this.#isDecided = true
    // The coordinator may hear of partitions yet that it was told of and has not answered about.
    const mayAddLate = [...this.#partitions.values()].includes('adding')
    return {
      endTxn: this.#known !== 'no' && !this.#isIdUnknown,
      initProducerId: this.#isIdUnknown || (this.#version === 1 && (this.#hasLostNumbers || mayAddLate)),
    }
  }

  /** The coordinator has ended the transaction: an end that is gone on with does not ask for that again, under an epoch that may be the last one by then. */
  ended(): void {
    this.#known = 'no'
  }

  /** Is an answer that no transaction is open what an abort may expect? */
  get mayBeUnknown(): boolean {
    return this.#status === 'aborting' && this.#known === 'maybe'
  }

  completed(): void {
    this.#checkFatal()
    this.#status = 'ready'
    this.#failure = undefined
    this.#known = 'no'
    this.#hasLostNumbers = false
    this.#isIdUnknown = false
    this.#isDecided = false
    this.#partitions.clear()
  }

  /** The transaction can only be aborted. @returns whether that is news */
  fail(error: ClientError): boolean {
    if (this.#status !== 'open' && this.#status !== 'committing') return false
    this.#status = 'failed'
    this.#failure = error
    this.#isDecided = false
    return true
  }

  /** The producer can only be closed. @returns whether that is news */
  failForGood(error: ClientError): boolean {
    if (this.#status === 'fatal') return false
    this.#status = 'fatal'
    this.#failure = error
    return true
  }

  /** A batch that carries a sequence number is not going to arrive, or nobody knows whether it has. */
  loseNumbers(): void {
    this.#hasLostNumbers = true
  }

  forgetId(): void {
    this.#isIdUnknown = true
  }

  // --- what belongs to the transaction ---------------------------------------------------------------------------------------------------

  /** May a batch for the partition leave? `wait`: the coordinator must hear of the partition first. */
  admit(partition: TopicPartition): 'yes' | 'wait' | 'no' {
    if (!this.isLive) return 'no'
    if (this.#version === 2) {
      this.#known = 'yes'
      return 'yes'
    }
    const stage = this.#partitions.get(partition)
    if (stage === undefined) this.#partitions.set(partition, 'wanted')
    return stage === 'added' ? 'yes' : 'wait'
  }

  /** Partitions that the coordinator is going to be told of. */
  takeWanted(): TopicPartition[] {
    if (!this.isLive) return []
    const wanted = [...this.#partitions].filter(([, stage]) => stage === 'wanted').map(([partition]) => partition)
    for (const partition of wanted) this.#partitions.set(partition, 'adding')
    if (wanted.length > 0) this.adding()
    return wanted
  }

  /** The coordinator is being told. */
  adding(): void {
    if (this.#known === 'no') this.#known = 'maybe'
  }

  added(partitions: readonly TopicPartition[]): void {
    this.#known = 'yes'
    for (const partition of partitions) this.#partitions.set(partition, 'added')
  }

  #checkFatal(): void {
    if (this.#status === 'fatal') throw this.#failure!
  }

  #checkFailed(): void {
    if (this.#status === 'failed') throw new TransactionAbortableError(this.#failure!)
  }
}
