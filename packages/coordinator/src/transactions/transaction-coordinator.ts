import type { ErrorName } from '@tidelog/protocol'
import { appendErrorToReply } from '../steps/append-error.ts'
import type { Coordinator } from '../steps/coordinator.ts'
import { DeadlineHeap, newDeadline } from '../steps/deadline-heap.ts'
import type { Instant, Ticket } from '../steps/step.ts'
import { decideEnd, type EndRequest } from './end-decision.ts'
import { hasPartition, listPartitions, noPartitions, type TopicPartition, withoutPartitions } from './topic-partitions.ts'
import {
  adding,
  completed,
  deciding,
  hasTimeout,
  isBeingDecided,
  isEpochExhausted,
  isOver,
  NO_EPOCH,
  NO_PRODUCER_ID,
  newTransaction,
  type Transaction,
  withEpoch,
  withProducerId,
} from './transaction.ts'
import type { TransactionCoordinatorConfig } from './transaction-config.ts'
import { TransactionEntry } from './transaction-entry.ts'
import type { TransactionRecord } from './transaction-record.ts'
import { type MarkerResult, type MarkerSend, type TransactionStep, TransactionStepBuilder } from './transaction-step.ts'
import type { TransactionalIdPattern } from './transactional-id-pattern.ts'

export interface InitProducerRequest {
  readonly transactionalId: string
  readonly timeoutMs: number
  /** Given: the producer that this is goes on with another epoch, unless somebody else has taken over. KIP-360. */
  readonly expected: ProducerIdAndEpoch | undefined
}

export interface ProducerIdAndEpoch {
  readonly producerId: number
  readonly producerEpoch: number
}

export interface PartitionsRequest extends ProducerIdAndEpoch {
  readonly transactionalId: string
  readonly partitions: readonly TopicPartition[]
}

/** The reply to InitProducerId and EndTxn: what the producer goes on with, or why it cannot. */
export type ProducerReply = ProducerIdAndEpoch | Refused

export interface Refused {
  readonly error: ErrorName
}

/** The request cannot be answered without another producer id: take one and hand it in again. */
export const needsProducerId = Symbol('needsProducerId')

/** The reply to a verification: of each partition of the request, in its order, why it may not be written to. */
export type VerifyReply = Refused | { readonly errors: readonly (ErrorName | undefined)[] }

export interface DescribedTransaction extends ProducerIdAndEpoch {
  readonly state: string
  readonly timeoutMs: number
  readonly startTimestamp: number
  readonly partitions: readonly TopicPartition[]
}

export interface ListedTransaction {
  readonly transactionalId: string
  readonly producerId: number
  readonly state: string
}

export interface TransactionFilter {
  /** Empty: all of them. */
  readonly states: ReadonlySet<string>
  /** Empty: all of them. */
  readonly producerIds: ReadonlySet<number>
  /** Only transactions that began longer ago; negative: all of them. */
  readonly durationMs: number
  /** Undefined: all of them. */
  readonly pattern: TransactionalIdPattern | undefined
}

const retryBackoffMs = 20
const maxRetryBackoffMs = 1000
/** Tombstones of one write, which need not be appended all at once. */
const tombstonesPerWrite = 1000

/**
 * The transaction coordinator of one partition of __transaction_state, as pure steps: a request, a deadline, the outcome of an append or of
 * markers goes in with the time, and out come replies, records to append and markers to send. Whoever runs it keeps these rules:
 * - first `replay` for every record of the log in order, then `loaded`, then requests;
 * - the writes of all steps are appended in the order they were made, and each is settled, in that order;
 * - every `MarkerSend` is carried out and answered by one `markersSent`;
 * - `advance` is called when `nextDeadlineMs` has come.
 * A transition counts when its record is committed; until then whoever wants another one is told CONCURRENT_TRANSACTIONS. Source: KIP-98, KIP-890.
 */
export class TransactionCoordinator implements Coordinator<TransactionRecord, MarkerSend> {
  readonly #config: TransactionCoordinatorConfig
  readonly #coordinatorEpoch: number
  readonly #entries = new Map<string, TransactionEntry>()
  /** Those whose transaction is open. */
  readonly #ongoing = new Set<TransactionEntry>()
  readonly #deadlines = new DeadlineHeap<TransactionStepBuilder>()
  readonly #abortCheck = newDeadline<TransactionStepBuilder>((step) => this.#abortTimedOut(step))
  readonly #expiryCheck = newDeadline<TransactionStepBuilder>((step) => this.#removeExpired(step))

  /** @param coordinatorEpoch The leader epoch of the partition, which markers carry. */
  constructor({ config, coordinatorEpoch }: { config: TransactionCoordinatorConfig; coordinatorEpoch: number }) {
    this.#config = config
    this.#coordinatorEpoch = coordinatorEpoch
  }

  // --- the log ---------------------------------------------------------------------------------------------------------------------

  replay({ transactionalId, transaction }: TransactionRecord): void {
    if (transaction === null) this.#entries.delete(transactionalId)
    else this.#entries.set(transactionalId, new TransactionEntry(transactionalId, transaction))
  }

  /** The log has been replayed: what was decided is carried out, what is open goes on and keeps its time. */
  loaded(now: Instant): TransactionStep {
    const step = new TransactionStepBuilder(now)
    for (const entry of this.#entries.values()) {
      const transaction = entry.transaction!
      if (isBeingDecided(transaction)) this.#complete(step, entry)
      else if (transaction.state === 'Ongoing') {
        const openMs = Math.min(Math.max(0, now.wallMs - transaction.startTimestamp), transaction.timeoutMs)
        this.#begun(entry, now.monotonicMs - openMs)
      }
    }
    this.#deadlines.set(this.#abortCheck, now.monotonicMs + this.#config.abortTimedOutIntervalMs)
    this.#deadlines.set(this.#expiryCheck, now.monotonicMs + this.#config.removeExpiredIntervalMs)
    return step
  }

  /** Another broker takes over. Nobody waits here but for writes, which are settled as failed. */
  unload(now: Instant): TransactionStep {
    for (const { completion } of this.#entries.values()) if (completion !== undefined) this.#deadlines.cancel(completion.retry)
    this.#entries.clear()
    this.#ongoing.clear()
    this.#deadlines.cancel(this.#abortCheck)
    this.#deadlines.cancel(this.#expiryCheck)
    return new TransactionStepBuilder(now)
  }

  // --- time ------------------------------------------------------------------------------------------------------------------------

  get nextDeadlineMs(): number {
    return this.#deadlines.nextMs
  }

  advance(now: Instant): TransactionStep {
    const step = new TransactionStepBuilder(now)
    for (let due = this.#deadlines.take(now.monotonicMs); due !== undefined; due = this.#deadlines.take(now.monotonicMs)) due.onDue(step)
    return step
  }

  #abortTimedOut(step: TransactionStepBuilder): void {
    for (const entry of this.#ongoing) {
      const transaction = entry.transaction!
      if (entry.isChanging || !hasTimeout(transaction)) continue
      if (step.now.monotonicMs - entry.startedMs > transaction.timeoutMs) this.#fence(step, entry, () => {})
    }
    this.#deadlines.set(this.#abortCheck, step.now.monotonicMs + this.#config.abortTimedOutIntervalMs)
  }

  /** Forgets ids that nobody has used for the expiration time. */
  #removeExpired(step: TransactionStepBuilder): void {
    const latest = step.now.wallMs - this.#config.idExpirationMs
    const expired: TransactionEntry[] = []
    for (const entry of this.#entries.values()) {
      const { transaction } = entry
      if (transaction === undefined || entry.isChanging || !isOver(transaction) || transaction.lastUpdateTimestamp > latest) continue
      expired.push(entry)
    }
    for (let start = 0; start < expired.length; start += tombstonesPerWrite)
      this.#remove(step, expired.slice(start, start + tombstonesPerWrite))
    this.#deadlines.set(this.#expiryCheck, step.now.monotonicMs + this.#config.removeExpiredIntervalMs)
  }

  #remove(step: TransactionStepBuilder, entries: readonly TransactionEntry[]): void {
    for (const entry of entries) entry.isBeingWritten = true
    const tombstones = entries.map(({ transactionalId }) => ({ transactionalId, transaction: null }))
    step.write(tombstones, (_, failure) => {
      for (const entry of entries) {
        entry.isBeingWritten = false
        if (failure === undefined && this.#entries.get(entry.transactionalId) === entry) this.#entries.delete(entry.transactionalId)
      }
    })
  }

  // --- producers -------------------------------------------------------------------------------------------------------------------

  /**
   * Reply: ProducerReply, or `needsProducerId` where `newProducerId` is missing. An open transaction of the id is aborted, and whoever asks has to come
   * again.
   */
  initProducerId(request: InitProducerRequest, newProducerId: number | undefined, ticket: Ticket, now: Instant): TransactionStep {
    const step = new TransactionStepBuilder(now)
    const { transactionalId, timeoutMs, expected } = request
    const refuse = (error: ErrorName) => step.reply(ticket, { error })
    if (transactionalId === '') refuse('INVALID_REQUEST')
    else if (timeoutMs <= 0 || timeoutMs > this.#config.maxTimeoutMs) refuse('INVALID_TRANSACTION_TIMEOUT')
    else {
      let entry = this.#entries.get(transactionalId)
      if (entry === undefined && newProducerId === undefined) step.reply(ticket, needsProducerId)
      else if (entry?.isChanging) refuse('CONCURRENT_TRANSACTIONS')
      else {
        const transaction = entry?.transaction ?? newTransaction(newProducerId!, timeoutMs, now.wallMs)
        if (expected !== undefined && !mayGoOn(transaction, expected)) refuse('PRODUCER_FENCED')
        else if (transaction.state === 'Ongoing') {
          this.#fence(step, entry!, (later, failure) => {
            later.reply(ticket, { error: failure === undefined ? 'CONCURRENT_TRANSACTIONS' : appendErrorToReply(failure) })
          })
        } else {
          const next = initialized(transaction, request, newProducerId, now.wallMs)
          if (next === needsProducerId) step.reply(ticket, needsProducerId)
          else if (next === 'fenced') refuse('PRODUCER_FENCED')
          else {
            if (entry === undefined) {
              entry = new TransactionEntry(transactionalId)
              this.#entries.set(transactionalId, entry)
            }
            this.#write(step, entry, next, (later, failure) => {
              later.reply(ticket, failure === undefined ? producerOf(next) : { error: appendErrorToReply(failure) })
            })
          }
        }
      }
    }
    return step
  }

  /** Reply: Refused, or undefined when the partitions are in the transaction. @param clientTransactionVersion 2 when a partition's leader asks. */
  addPartitions(request: PartitionsRequest, clientTransactionVersion: number, ticket: Ticket, now: Instant): TransactionStep {
    const step = new TransactionStepBuilder(now)
    const entry = this.#entries.get(request.transactionalId)
    const transaction = this.#memberOf(entry, request)
    if ('error' in transaction) step.reply(ticket, transaction)
    else if (entry!.isChanging) step.reply(ticket, { error: 'CONCURRENT_TRANSACTIONS' })
    else if (transaction.state === 'Ongoing' && request.partitions.every((partition) => hasPartition(transaction.partitions, partition))) {
      step.reply(ticket, undefined)
    } else {
      const next = adding(transaction, request.partitions, { clientTransactionVersion, nowMs: now.wallMs })
      this.#write(step, entry!, next, (later, failure) => {
        later.reply(ticket, failure === undefined ? undefined : { error: appendErrorToReply(failure) })
      })
    }
    return step
  }

  /** Whether partitions are in the producer's open transaction; answers at once. Source: KIP-890. */
  verifyPartitions(request: PartitionsRequest): VerifyReply {
    const transaction = this.#memberOf(this.#entries.get(request.transactionalId), request)
    if ('error' in transaction) return transaction
    if (isBeingDecided(transaction)) return { error: 'CONCURRENT_TRANSACTIONS' }
    return {
      errors: request.partitions.map((partition) =>
        hasPartition(transaction.partitions, partition) ? undefined : 'TRANSACTION_ABORTABLE',
      ),
    }
  }

  #memberOf(entry: TransactionEntry | undefined, { transactionalId, producerId, producerEpoch }: PartitionsRequest): Transaction | Refused {
    if (transactionalId === '') return { error: 'INVALID_REQUEST' }
    const transaction = entry?.transaction
    if (transaction === undefined || transaction.producerId !== producerId) return { error: 'INVALID_PRODUCER_ID_MAPPING' }
    if (transaction.producerEpoch !== producerEpoch) return { error: 'PRODUCER_FENCED' }
    return transaction
  }

  /** Reply: ProducerReply once the decision is in the log, or `needsProducerId`. Its markers follow. */
  endTransaction(
    request: EndRequest & { readonly transactionalId: string },
    newProducerId: number | undefined,
    ticket: Ticket,
    now: Instant,
  ): TransactionStep {
    const step = new TransactionStepBuilder(now)
    const entry = this.#entries.get(request.transactionalId)
    const transaction = entry?.transaction
    if (request.transactionalId === '') step.reply(ticket, { error: 'INVALID_REQUEST' })
    else if (entry === undefined || transaction === undefined) step.reply(ticket, { error: 'INVALID_PRODUCER_ID_MAPPING' })
    else {
      const decision = decideEnd(transaction, request, { isChanging: entry.isChanging, newProducerId, nowMs: now.wallMs })
      if ('refuse' in decision) step.reply(ticket, { error: decision.refuse })
      else if ('repeat' in decision) step.reply(ticket, producerOf(transaction))
      else if ('needsProducerId' in decision) step.reply(ticket, needsProducerId)
      else {
        this.#write(step, entry, decision.next, (later, failure) => {
          if (failure !== undefined) {
            later.reply(ticket, { error: appendErrorToReply(failure) })
            return
          }
          later.reply(ticket, producerOf(completed(decision.next, later.now.wallMs)))
          this.#complete(later, entry)
        })
      }
    }
    return step
  }

  /** Aborts an open transaction so that its producer cannot go on. */
  #fence(
    step: TransactionStepBuilder,
    entry: TransactionEntry,
    done: (step: TransactionStepBuilder, failure: ErrorName | undefined) => void,
  ): void {
    const next = deciding(entry.transaction!, {
      committed: false,
      clientTransactionVersion: this.#config.transactionVersion,
      isFence: true,
      nextProducerId: NO_PRODUCER_ID,
      nowMs: step.now.wallMs,
    })
    this.#write(step, entry, next, (later, failure) => {
      done(later, failure)
      if (failure === undefined) this.#complete(later, entry)
    })
  }

  /** A transition: it counts once its record is committed, and leaves no trace if that fails. */
  #write(
    step: TransactionStepBuilder,
    entry: TransactionEntry,
    next: Transaction,
    settled: (step: TransactionStepBuilder, failure: ErrorName | undefined) => void,
  ): void {
    entry.isBeingWritten = true
    step.write([{ transactionalId: entry.transactionalId, transaction: next }], (later, failure) => {
      entry.isBeingWritten = false
      if (failure === undefined) this.#becomes(entry, next, later.now)
      else if (entry.transaction === undefined && this.#entries.get(entry.transactionalId) === entry) {
        this.#entries.delete(entry.transactionalId)
      }
      settled(later, failure)
    })
  }

  #becomes(entry: TransactionEntry, next: Transaction, now: Instant): void {
    const wasOngoing = entry.transaction?.state === 'Ongoing'
    entry.transaction = next
    if (next.state !== 'Ongoing') this.#ongoing.delete(entry)
    else if (!wasOngoing) this.#begun(entry, now.monotonicMs)
  }

  #begun(entry: TransactionEntry, startedMs: number): void {
    entry.startedMs = startedMs
    this.#ongoing.add(entry)
  }

  // --- markers ---------------------------------------------------------------------------------------------------------------------

  /** Writes the decision into every partition of the transaction, and then that it is over. */
  #complete(step: TransactionStepBuilder, entry: TransactionEntry): void {
    const retry = newDeadline<TransactionStepBuilder>((later) => this.#sendMarkers(later, entry))
    entry.completion = { left: entry.transaction!.partitions, failures: 0, retry }
    this.#sendMarkers(step, entry)
  }

  #sendMarkers(step: TransactionStepBuilder, entry: TransactionEntry): void {
    const { transactionalId, transaction, completion } = entry
    if (transaction === undefined || completion === undefined) return
    if (completion.left.size === 0) {
      this.#writeCompleted(step, entry)
      return
    }
    step.effects.push({
      transactionalId,
      producerId: transaction.producerId,
      producerEpoch: transaction.producerEpoch,
      coordinatorEpoch: this.#coordinatorEpoch,
      committed: transaction.state === 'PrepareCommit',
      transactionVersion: transaction.clientTransactionVersion,
      partitions: listPartitions(completion.left),
    })
  }

  /** @param results Of every partition of `send`. */
  markersSent(send: MarkerSend, results: readonly MarkerResult[], now: Instant): TransactionStep {
    const step = new TransactionStepBuilder(now)
    const entry = this.#entries.get(send.transactionalId)
    if (entry?.completion === undefined) return step
    const { completion } = entry
    // A newer coordinator or producer has ended this transaction there: the other partitions are its business too.
    const isFenced = results.some(({ outcome }) => outcome === 'fenced')
    completion.left = isFenced
      ? noPartitions
      : withoutPartitions(
          completion.left,
          results.filter(({ outcome }) => outcome !== 'retry'),
        )
    if (isFenced) this.#forgetCompletion(entry)
    else if (completion.left.size === 0) this.#writeCompleted(step, entry)
    else this.#retryLater(step, entry)
    return step
  }

  /** Nobody will write the rest here; the id stays as the log has it until a coordinator is loaded from it again. */
  #forgetCompletion(entry: TransactionEntry): void {
    entry.isBeingWritten = true
    entry.completion = undefined
  }

  #writeCompleted(step: TransactionStepBuilder, entry: TransactionEntry): void {
    this.#write(step, entry, completed(entry.transaction!, step.now.wallMs), (later, failure) => {
      if (failure === undefined) entry.completion = undefined
      else this.#retryLater(later, entry)
    })
  }

  #retryLater(step: TransactionStepBuilder, entry: TransactionEntry): void {
    const { completion } = entry
    if (completion === undefined || this.#entries.get(entry.transactionalId) !== entry) return
    const waitMs = Math.min(retryBackoffMs * 2 ** completion.failures, maxRetryBackoffMs)
    completion.failures = Math.min(completion.failures + 1, 30)
    this.#deadlines.set(completion.retry, step.now.monotonicMs + waitMs)
  }

  // --- what there is ---------------------------------------------------------------------------------------------------------------

  /** Answers at once. */
  describe(transactionalId: string): DescribedTransaction | Refused {
    if (transactionalId === '') return { error: 'INVALID_REQUEST' }
    const entry = this.#entries.get(transactionalId)
    const transaction = entry?.transaction
    if (entry === undefined || transaction === undefined) return { error: 'TRANSACTIONAL_ID_NOT_FOUND' }
    const { state, timeoutMs, startTimestamp } = transaction
    const partitions = listPartitions(entry.completion?.left ?? transaction.partitions)
    return { ...producerOf(transaction), state, timeoutMs, startTimestamp, partitions }
  }

  list({ states, producerIds, durationMs, pattern }: TransactionFilter, now: Instant): ListedTransaction[] {
    const listed: ListedTransaction[] = []
    for (const { transactionalId, transaction } of this.#entries.values()) {
      if (transaction === undefined) continue
      const { producerId, state, startTimestamp } = transaction
      if (producerIds.size > 0 && !producerIds.has(producerId)) continue
      if (states.size > 0 && !states.has(state)) continue
      if (durationMs >= 0 && now.wallMs - startTimestamp <= durationMs) continue
      if (pattern !== undefined && !pattern.matches(transactionalId)) continue
      listed.push({ transactionalId, producerId, state })
    }
    return listed
  }
}

const producerOf = ({ producerId, producerEpoch }: Transaction): ProducerIdAndEpoch => ({ producerId, producerEpoch })

/** Whether it is this producer, or was before its epochs were used up. Its epoch is looked at later. */
function mayGoOn(transaction: Transaction, expected: ProducerIdAndEpoch): boolean {
  if (transaction.producerEpoch === NO_EPOCH || transaction.producerId === expected.producerId) return true
  return transaction.previousProducerId === expected.producerId && isEpochExhausted(expected.producerEpoch)
}

/** The next epoch of the producer, or the next producer id once epochs are used up. KIP-360. */
function initialized(
  transaction: Transaction,
  { timeoutMs, expected }: InitProducerRequest,
  newProducerId: number | undefined,
  nowMs: number,
): Transaction | typeof needsProducerId | 'fenced' {
  const { producerEpoch, lastProducerEpoch } = transaction
  const options = { timeoutMs, nowMs }
  if (isEpochExhausted(producerEpoch) && (expected === undefined || expected.producerEpoch === producerEpoch)) {
    if (newProducerId === undefined) return needsProducerId
    return withProducerId(
      transaction,
      { producerId: newProducerId, lastProducerEpoch: expected === undefined ? NO_EPOCH : producerEpoch },
      options,
    )
  }
  const nextEpoch = producerEpoch + 1
  if (expected === undefined) return withEpoch(transaction, { producerEpoch: nextEpoch, lastProducerEpoch: NO_EPOCH }, options)
  if (producerEpoch === NO_EPOCH || expected.producerEpoch === producerEpoch) {
    return withEpoch(transaction, { producerEpoch: nextEpoch, lastProducerEpoch: producerEpoch }, options)
  }
  // The answer to the same request was lost.
  if (expected.producerEpoch === lastProducerEpoch) return withEpoch(transaction, { producerEpoch, lastProducerEpoch }, options)
  return 'fenced'
}
