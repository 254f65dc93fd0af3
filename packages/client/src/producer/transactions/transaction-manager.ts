import type { BrokerConnection } from '../../cluster/broker-connection.ts'
import type { Cluster } from '../../cluster/cluster.ts'
import { Coordinator } from '../../cluster/coordinator.ts'
import type { ProducerConfig } from '../../config/producer-config.ts'
import {
  ClientError,
  hasCode,
  IllegalStateError,
  recoverable,
  TimeoutError,
  TransactionAbortableError,
  TransactionAbortedError,
} from '../../errors.ts'
import type { OffsetAndMetadata, TopicPartition } from '../../topic-partition.ts'
import { type Deadline, until, type WaitOptions } from '../../wait.ts'
import type { ProducerIdAndEpoch } from '../producer-batch.ts'
import { producerChannels } from '../producer-channels.ts'
import type { SequenceIdentity } from '../producer-identity.ts'
import { cancelled, fatalOf, type Severity, severityOf, type TransactionRequest } from './transaction-errors.ts'
import {
  addOffsets,
  addPartitions,
  commitOffsets,
  endTransaction,
  initProducerId,
  maxVersionOf,
  type TransactionGroup,
  type TransactionIdentity,
  transactionVersionOf,
} from './transaction-requests.ts'
import { TransactionState, type TransactionVersion } from './transaction-state.ts'
import { TransactionTimes } from './transaction-times.ts'

export interface TransactionManagerOptions {
  readonly cluster: Cluster
  readonly config: ProducerConfig
  readonly transactionalId: string
  /** Has the sender look again. */
  readonly wake: () => void
  /** Fails every record that has not left yet. @returns whether one of them carried a sequence number */
  readonly dropWaiting: (error: ClientError) => boolean
  /** Sends what there is; resolves when nothing of what was given up to now is under way. */
  readonly flushed: () => Promise<void>
  readonly isIdle: () => boolean
}

/** While the previous transaction's markers are written, which takes a moment, its coordinator is asked again this often. As Java. */
const CONCURRENT_BACKOFF_MS = 20

/**
 * The transactions of one producer: asks the coordinator, admits partitions, judges failures, waits for what is under way. What it may do when
 * is for TransactionState to say. Every call that times out or is cancelled can be repeated, and goes on where it was.
 */
export class TransactionManager implements SequenceIdentity {
  readonly times: TransactionTimes
  readonly #options: TransactionManagerOptions
  readonly #state = new TransactionState()
  readonly #coordinator: Coordinator
  readonly #groups = new Map<string, Coordinator>()
  /** Calls that may still add to the transaction. */
  readonly #outstanding = new Set<Promise<unknown>>()
  #current: ProducerIdAndEpoch | undefined
  /** As the coordinator's last connection told. */
  #clusterVersion: TransactionVersion = 1
  #currentEnd: Promise<void> | undefined
  #isAdding = false
  /** Ends the adding of partitions to a transaction that has failed. */
  #stopAdding = new AbortController()

  constructor(options: TransactionManagerOptions) {
    this.#options = options
    const { cluster, transactionalId } = options
    this.times = new TransactionTimes(cluster.clock)
    this.#coordinator = new Coordinator(cluster, () => cluster.findTransactionCoordinator(transactionalId))
  }

  // --- what the sender asks ------------------------------------------------------------------------------------------------------------

  /** Under which sequence numbers are counted; undefined before initTransactions(). */
  get current(): ProducerIdAndEpoch | undefined {
    return this.#current
  }

  /** Nothing to ask for here: users call initTransactions(). */
  get(onReady: (error?: ClientError) => void): void {
    onReady(new IllegalStateError('records before initTransactions() has ended'))
  }

  /** Sequence numbers have to start again, which they do behind the transaction's end. */
  bump(): void {
    this.#state.loseNumbers()
  }

  get transactionalId(): string {
    return this.#options.transactionalId
  }

  /** How Produce is spoken in the open transaction. */
  get produceVersion(): { readonly maxVersion?: number } {
    return maxVersionOf('Produce', this.#state.version)
  }

  /** Is there a transaction that what is sent now can still become part of? */
  get isLive(): boolean {
    return this.#state.isLive
  }

  /** May a batch for the partition leave now? If not, the sender is woken when it may, or the batch fails. */
  admits(partition: TopicPartition): boolean {
    const answer = this.#state.admit(partition)
    if (answer === 'wait') this.#addWanted()
    if (answer === 'no') this.#dropSoon()
    return answer === 'yes'
  }

  /** A batch has failed for good. */
  batchFailed(error: ClientError, hasNumber: boolean): void {
    if (hasNumber) this.#state.loseNumbers()
    this.#failed('Produce', error)
  }

  /** A record of the transaction is not going to arrive. */
  recordFailed(error: ClientError): void {
    this.#failed('Produce', error)
  }

  // --- what users ask ------------------------------------------------------------------------------------------------------------------

  get isInitialized(): boolean {
    return this.#current !== undefined
  }

  get unfinishedEnd(): 'commit' | 'abort' | undefined {
    return this.#state.unfinishedEnd
  }

  /** Not while a commit may have come about. */
  get canAbort(): boolean {
    return this.#state.isUnfinished && this.#state.unfinishedEnd !== 'commit'
  }

  /** @throws IllegalStateError, TransactionAbortableError, or what is fatal, unless records may be sent */
  checkOpen(): void {
    this.#state.checkOpen()
  }

  initTransactions({ signal }: WaitOptions = {}): Promise<void> {
    return this.times.measure('init', async () => {
      this.#state.beginInit()
      try {
        this.#current = await this.#initProducerId(undefined, this.#deadline(), signal)
        this.#state.endInit(true)
      } finally {
        this.#state.endInit(false)
      }
    })
  }

  begin(): void {
    this.times.measureNow('begin', () => this.#state.begin(this.#clusterVersion))
    this.#stopAdding = new AbortController()
  }

  /** Waits for a call that adds to the transaction before its end, and has the transaction fail with it. */
  track<T>(call: Promise<T>): Promise<T> {
    const tracked = call.then(
      (value) => {
        this.#outstanding.delete(tracked)
        return value
      },
      (error) => {
        this.#outstanding.delete(tracked)
        if (error instanceof ClientError) this.recordFailed(error)
        throw error
      },
    )
    this.#outstanding.add(tracked)
    // Whoever does not await it hears of the failure from the commit.
    tracked.catch(() => {})
    return tracked
  }

  async sendOffsets(
    offsets: readonly (TopicPartition & OffsetAndMetadata)[],
    group: TransactionGroup,
    { signal }: WaitOptions = {},
  ): Promise<void> {
    this.#state.checkOpen()
    if (offsets.length === 0) return
    await this.times.measure('send-offsets', () => this.track(this.#sendOffsets(offsets, group, signal)))
  }

  commit({ signal }: WaitOptions = {}): Promise<void> {
    return this.times.measure('commit', () =>
      this.#ending(async () => {
        this.#state.beginCommit()
        if (this.#state.unfinishedEnd !== 'commit') await this.#quiet(signal)
        await this.#end(true, signal)
      }),
    )
  }

  abort({ signal }: WaitOptions = {}): Promise<void> {
    return this.times.measure('abort', () =>
      this.#ending(async () => {
        const cause = this.#state.failure
        this.#state.beginAbort()
        this.#drop(new TransactionAbortedError(this.transactionalId, cause))
        await this.#quiet(signal)
        await this.#end(false, signal)
      }),
    )
  }

  /** Aborts what is open; a commit that was begun is gone on with. */
  async close(): Promise<void> {
    await this.#currentEnd?.catch(() => {})
    if (!this.#state.isUnfinished) return
    await (this.#state.unfinishedEnd === 'commit' ? this.commit() : this.abort())
  }

  // --- the coordinator -----------------------------------------------------------------------------------------------------------------

  get #identity(): TransactionIdentity {
    return { ...this.#current!, transactionalId: this.transactionalId, version: this.#state.version }
  }

  #deadline(): Deadline {
    return this.#options.cluster.deadline(this.#options.config['max.block.ms'])
  }

  async #ending(end: () => Promise<void>): Promise<void> {
    if (this.#currentEnd !== undefined) throw new IllegalStateError('the transaction is being ended already')
    this.#currentEnd = end()
    try {
      await this.#currentEnd
    } finally {
      this.#currentEnd = undefined
    }
  }

  /** Resolves when nothing can be added to the transaction any more, and every record of it has arrived or failed. */
  async #quiet(signal: AbortSignal | undefined): Promise<void> {
    const { flushed, isIdle, cluster } = this.#options
    do {
      await until(Promise.all([flushed(), Promise.allSettled(this.#outstanding)]), signal, cluster.closing)
    } while (this.#outstanding.size > 0 || !isIdle())
  }

  async #end(committed: boolean, signal: AbortSignal | undefined): Promise<void> {
    const deadline = this.#deadline()
    const { endTxn, initProducerId } = this.#state.decide()
    const identity = this.#identity
    let mustInit = initProducerId
    if (endTxn) {
      try {
        const next = await this.#ask('EndTxn', { deadline, signal }, (connection) => endTransaction(connection, identity, committed))
        if (next !== undefined) this.#current = next
        this.#state.ended()
      } catch (error) {
        if (
          committed ||
          this.#state.status === 'fatal' ||
          !hasCode(error, 'UNKNOWN_PRODUCER_ID', 'INVALID_PRODUCER_ID_MAPPING', 'INVALID_TXN_STATE')
        )
          throw error
        // The coordinator knows of nothing to abort, and there may be something on its way to it: the next epoch shuts that out.
        this.#state.forgetId()
        mustInit = true
      }
    }
    if (mustInit) this.#current = await this.#initProducerId(this.#current, deadline, signal)
    this.#state.completed()
    const { transaction } = producerChannels
    if (transaction.hasSubscribers) transaction.publish({ transactionalId: this.transactionalId, committed })
  }

  #initProducerId(last: ProducerIdAndEpoch | undefined, deadline: Deadline, signal: AbortSignal | undefined): Promise<ProducerIdAndEpoch> {
    const timeoutMs = this.#options.config['transaction.timeout.ms']
    return this.#ask('InitProducerId', { deadline, signal }, (connection) =>
      initProducerId(connection, this.transactionalId, timeoutMs, last),
    )
  }

  async #sendOffsets(
    offsets: readonly (TopicPartition & OffsetAndMetadata)[],
    group: TransactionGroup,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const deadline = this.#deadline()
    const identity = this.#identity
    const { groupId } = group
    try {
      this.#state.adding()
      if (identity.version === 1) {
        await this.#ask('AddOffsetsToTxn', { deadline, signal }, (connection) => addOffsets(connection, identity, groupId))
      }
      this.#state.added([])
      const coordinator = this.#groupOf(groupId)
      await this.#ask(
        'TxnOffsetCommit',
        { deadline, signal },
        (connection) => commitOffsets(connection, identity, group, offsets),
        coordinator,
      )
    } catch (error) {
      // What was sent may arrive late: a later transaction must not take it for its own.
      this.#state.loseNumbers()
      this.recordFailed(cancelled(`sending the offsets of group ${groupId}`, error))
      throw error
    }
  }

  #groupOf(groupId: string): Coordinator {
    let coordinator = this.#groups.get(groupId)
    if (coordinator === undefined) {
      const { cluster } = this.#options
      coordinator = new Coordinator(cluster, () => cluster.findGroupCoordinator(groupId))
      this.#groups.set(groupId, coordinator)
    }
    return coordinator
  }

  #addWanted(): void {
    if (this.#isAdding) return
    this.#isAdding = true
    // After the sender's pass, which may want more of them.
    queueMicrotask(() => {
      this.#add()
        .catch(() => {})
        .finally(() => {
          this.#isAdding = false
          this.#options.wake()
        })
    })
  }

  async #add(): Promise<void> {
    const { cluster, config, wake } = this.#options
    const { signal } = this.#stopAdding
    for (let wanted = this.#state.takeWanted(); wanted.length > 0; wanted = this.#state.takeWanted()) {
      const deadline = cluster.deadline(config['delivery.timeout.ms'])
      const identity = this.#identity
      try {
        await this.#ask('AddPartitionsToTxn', { deadline, signal }, (connection) => addPartitions(connection, identity, wanted))
      } catch (error) {
        this.#state.loseNumbers()
        this.recordFailed(cancelled('adding partitions', error))
        throw error
      }
      this.#state.added(wanted)
      wake()
    }
  }

  /** One request to a coordinator, repeated while that may help. @throws what users see: a fatal error, a TransactionAbortableError, a TimeoutError */
  async #ask<T>(
    request: TransactionRequest,
    { deadline, signal }: { readonly deadline: Deadline; readonly signal: AbortSignal | undefined },
    send: (connection: BrokerConnection) => Promise<T>,
    coordinator = this.#coordinator,
  ): Promise<T> {
    const { cluster } = this.#options
    try {
      return await coordinator.retry({ deadline, what: request, signal }, async (connection) => {
        if (coordinator === this.#coordinator) this.#clusterVersion = transactionVersionOf(connection)
        // Whoever gave up while the coordinator was looked for may be in the next transaction by now.
        signal?.throwIfAborted()
        if (deadline.expired) throw new TimeoutError(`${request} was not sent within ${deadline.timeoutMs} ms`)
        for (;;) {
          try {
            return await send(connection)
          } catch (error) {
            if (!hasCode(error, 'CONCURRENT_TRANSACTIONS') || deadline.remainingMs <= CONCURRENT_BACKOFF_MS) throw error
            await cluster.sleep(CONCURRENT_BACKOFF_MS, signal)
          }
        }
      })
    } catch (error) {
      if (!(error instanceof ClientError) || signal?.aborted || cluster.closed) throw error
      throw this.#failed(request, error)
    }
  }

  /** Takes note of a failure. @returns what users see of it */
  #failed(request: TransactionRequest, error: ClientError): ClientError {
    const severity = this.#severityOf(request, error)
    if (severity === 'fatal') {
      const failure = fatalOf(request, error, this.transactionalId)
      if (this.#state.failForGood(failure)) this.#turned()
      return failure
    }
    if (severity === 'retriable') return recoverable(error)
    if (hasCode(error, 'INVALID_PRODUCER_ID_MAPPING')) this.#state.forgetId()
    if (this.#state.fail(error)) this.#turned()
    // With InitProducerId there is no transaction yet, and with an abort none any more.
    const isPlain = request === 'Produce' || request === 'InitProducerId' || this.#state.status === 'aborting'
    return isPlain ? error : new TransactionAbortableError(error)
  }

  #severityOf(request: TransactionRequest, error: ClientError): Severity {
    if (this.#isNoTransaction(request, error) || this.#isTooLate(request, error)) return 'abortable'
    // Aborting is all that could be done.
    if (request === 'EndTxn' && this.#state.status === 'aborting' && hasCode(error, 'TRANSACTION_ABORTABLE')) return 'fatal'
    return severityOf(request, error)
  }

  /**
   * Nothing is open, and an abort may go on: of what the coordinator may never have heard of; or under version 2 of what has been open for too
   * long, where the answer to an abort brings the next epoch, unless another producer has taken the id.
   */
  #isNoTransaction(request: TransactionRequest, error: ClientError): boolean {
    const { status, version, mayBeUnknown } = this.#state
    return request === 'EndTxn' && hasCode(error, 'INVALID_TXN_STATE') && (mayBeUnknown || (version === 2 && status === 'committing'))
  }

  /** Under version 2 a group's coordinator is a leader as others are: whether all is over or the producer fenced, what the abort comes to tells. */
  #isTooLate(request: TransactionRequest, error: ClientError): boolean {
    if (request !== 'TxnOffsetCommit' || this.#state.version === 1) return false
    return hasCode(error, 'INVALID_PRODUCER_EPOCH', 'INVALID_PRODUCER_ID_MAPPING', 'INVALID_TXN_STATE')
  }

  #turned(): void {
    const { cluster } = this.#options
    const { status, failure } = this.#state
    cluster.logger.warn('a transaction cannot be committed', { transactionalId: this.transactionalId, status, reason: failure!.message })
    this.#stopAdding.abort(failure)
    this.#dropSoon()
  }

  #isDropping = false
  /** Records that wait cannot become part of a transaction any more. Not at once: the sender may be among them. */
  #dropSoon(): void {
    if (this.#isDropping) return
    this.#isDropping = true
    queueMicrotask(() => {
      this.#isDropping = false
      if (!this.#state.isLive) this.#drop(this.#state.failure ?? new TransactionAbortedError(this.transactionalId))
    })
  }

  #drop(error: ClientError): void {
    this.#stopAdding.abort(error)
    if (this.#options.dropWaiting(error)) this.#state.loseNumbers()
  }
}
