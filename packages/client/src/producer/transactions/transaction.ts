import { ClientError, IllegalStateError, isFatal } from '../../errors.ts'
import type { OffsetAndMetadata, TopicPartition } from '../../topic-partition.ts'
import type { WaitOptions } from '../../wait.ts'
import type { OnDelivery, ProducerRecord, RecordMetadata } from '../producer-record.ts'
import type { TransactionManager } from './transaction-manager.ts'
import type { TransactionGroup } from './transaction-requests.ts'

/** The ways into a producer's buffer. */
export interface RecordSender<K, V> {
  /** As producer.send(). */
  send(record: ProducerRecord<K, V>, options?: WaitOptions): Promise<RecordMetadata>
  /** As producer.sendMany(). */
  sendMany(records: readonly ProducerRecord<K, V>[], options?: WaitOptions): Promise<RecordMetadata[]>
  /** As producer.enqueue(). */
  enqueue(record: ProducerRecord<K, V>, onDelivery?: OnDelivery): boolean
  /** As producer.ready(). */
  ready(options?: WaitOptions): Promise<void>
}

/**
 * What the function given to `producer.transaction()` works with, until it ends. Nothing need be awaited: the commit waits for everything, and
 * fails when a record has.
 */
export class Transaction<K, V> implements RecordSender<K, V> {
  readonly #sender: RecordSender<K, V>
  readonly #manager: TransactionManager
  readonly #hasEnded: () => boolean

  /** @internal */
  constructor(sender: RecordSender<K, V>, manager: TransactionManager, hasEnded: () => boolean) {
    this.#sender = sender
    this.#manager = manager
    this.#hasEnded = hasEnded
  }

  /** As producer.send(). */
  send(record: ProducerRecord<K, V>, options?: WaitOptions): Promise<RecordMetadata> {
    this.#checkOpen()
    return this.#sender.send(record, options)
  }

  /** As producer.sendMany(). */
  sendMany(records: readonly ProducerRecord<K, V>[], options?: WaitOptions): Promise<RecordMetadata[]> {
    this.#checkOpen()
    return this.#sender.sendMany(records, options)
  }

  /** As producer.enqueue(). */
  enqueue(record: ProducerRecord<K, V>, onDelivery?: OnDelivery): boolean {
    this.#checkOpen()
    return this.#sender.enqueue(record, onDelivery)
  }

  /** As producer.ready(). */
  ready(options?: WaitOptions): Promise<void> {
    this.#checkOpen()
    return this.#sender.ready(options)
  }

  /** As producer.sendOffsetsToTransaction(). */
  sendOffsets(
    offsets: Iterable<TopicPartition & OffsetAndMetadata>,
    groupMetadata: TransactionGroup,
    options?: WaitOptions,
  ): Promise<void> {
    this.#checkOpen()
    const sent = this.#manager.sendOffsets([...offsets], groupMetadata, options)
    sent.catch(() => {})
    return sent
  }

  #checkOpen(): void {
    if (this.#hasEnded()) throw new IllegalStateError('this transaction has ended')
  }
}

/** Begins, has `work` done, and commits; aborts when `work` fails, or something of the transaction has. */
export async function runTransaction<K, V, R>(
  manager: TransactionManager,
  sender: RecordSender<K, V>,
  work: (transaction: Transaction<K, V>) => R | Promise<R>,
  options: WaitOptions,
): Promise<R> {
  options.signal?.throwIfAborted()
  if (!manager.isInitialized) await manager.initTransactions(options)
  // A call before this one ran out of time.
  if (manager.unfinishedEnd === 'commit') await commitOrAbort(manager, options)
  if (manager.unfinishedEnd === 'abort') await manager.abort(options)
  manager.begin()
  let hasEnded = false
  const transaction = new Transaction(sender, manager, () => hasEnded)
  try {
    const result = await work(transaction)
    hasEnded = true
    await manager.commit(options)
    return result
  } catch (error) {
    hasEnded = true
    throw await abortAfter(error, manager)
  }
}

async function commitOrAbort(manager: TransactionManager, options: WaitOptions): Promise<void> {
  try {
    await manager.commit(options)
  } catch (error) {
    throw await abortAfter(error, manager)
  }
}

/**
 * Not where a commit may have come about, nor where nothing can be done any more; what an abort cannot do now, the next call goes on with.
 * @returns what to throw: `error`, or that the producer is of no use any more when the abort has shown that and it was no error of the user's own
 */
async function abortAfter(error: unknown, manager: TransactionManager): Promise<unknown> {
  if (!manager.canAbort) return error
  try {
    await manager.abort()
  } catch (failure) {
    if (error instanceof ClientError && isFatal(failure)) return failure
  }
  return error
}
