import { type Logger, messageOf } from '@tidelog/core'
import { ClientError, SerializationError } from '../errors.ts'
import type { WaitOptions } from '../wait.ts'
import type { ProducerInterceptor } from './producer-interceptor.ts'
import type { OnDelivery, ProducerRecord, RecordMetadata } from './producer-record.ts'
import type { RecordSender } from './transactions/transaction.ts'
import type { TransactionManager } from './transactions/transaction-manager.ts'

export interface HookedSenderOptions<K, V> {
  readonly sender: RecordSender<K, V>
  readonly interceptors: readonly ProducerInterceptor<K, V>[]
  /** undefined: no transactional id. */
  readonly transactions: TransactionManager | undefined
  readonly logger: Logger
}

/** The ways into the buffer of a producer that has interceptors or transactions, which see every record go in and come back. */
export class HookedSender<K, V> implements RecordSender<K, V> {
  readonly #options: HookedSenderOptions<K, V>

  constructor(options: HookedSenderOptions<K, V>) {
    this.#options = options
  }

  send(record: ProducerRecord<K, V>, options?: WaitOptions): Promise<RecordMetadata> {
    return this.#around(() => {
      const intercepted = this.#onSend(record)
      return this.#options.sender.send(intercepted, options).then(
        (metadata) => {
          this.#onAcknowledgement(undefined, metadata, intercepted)
          return metadata
        },
        (error) => {
          this.#onAcknowledgement(asClientError(error), undefined, intercepted)
          throw error
        },
      )
    })
  }

  sendMany(records: readonly ProducerRecord<K, V>[], options?: WaitOptions): Promise<RecordMetadata[]> {
    return this.#around(() => {
      const intercepted = records.map((record) => this.#onSend(record))
      return this.#options.sender.sendMany(intercepted, options).then(
        (results) => {
          for (const [index, metadata] of results.entries()) this.#onAcknowledgement(undefined, metadata, intercepted[index]!)
          return results
        },
        (error) => {
          for (const record of intercepted) this.#onAcknowledgement(asClientError(error), undefined, record)
          throw error
        },
      )
    })
  }

  enqueue(record: ProducerRecord<K, V>, onDelivery?: OnDelivery): boolean {
    const { sender, transactions, interceptors } = this.#options
    transactions?.checkOpen()
    const intercepted = this.#onSend(record)
    // Without anybody who listens, the next flush() tells of a failure, or the commit.
    if (interceptors.length === 0 && transactions === undefined) return sender.enqueue(intercepted, onDelivery)
    try {
      return sender.enqueue(intercepted, (error, metadata) => {
        if (error !== undefined) transactions?.recordFailed(error)
        this.#onAcknowledgement(error, metadata, intercepted)
        onDelivery?.(error, metadata)
      })
    } catch (error) {
      // One whose bytes have to be awaited was not taken, and can be given to send().
      const isForSend = error instanceof SerializationError && error.isAsynchronous
      if (error instanceof ClientError && !isForSend) transactions?.recordFailed(error)
      throw error
    }
  }

  ready(options?: WaitOptions): Promise<void> {
    return this.#options.sender.ready(options)
  }

  #around<T>(send: () => Promise<T>): Promise<T> {
    const { transactions } = this.#options
    if (transactions === undefined) return send()
    try {
      transactions.checkOpen()
    } catch (error) {
      const refused = Promise.reject(error)
      refused.catch(() => {})
      return refused
    }
    return transactions.track(send())
  }

  #onSend(record: ProducerRecord<K, V>): ProducerRecord<K, V> {
    let intercepted = record
    for (const interceptor of this.#options.interceptors) {
      try {
        intercepted = interceptor.onSend?.(intercepted) ?? intercepted
      } catch (error) {
        this.#options.logger.warn('an interceptor failed', { call: 'onSend', topic: record.topic, reason: messageOf(error) })
      }
    }
    return intercepted
  }

  #onAcknowledgement(error: ClientError | undefined, metadata: RecordMetadata | undefined, record: ProducerRecord<K, V>): void {
    for (const interceptor of this.#options.interceptors) {
      try {
        interceptor.onAcknowledgement?.(error, metadata, record)
      } catch (failure) {
        this.#options.logger.warn('an interceptor failed', { call: 'onAcknowledgement', topic: record.topic, reason: messageOf(failure) })
      }
    }
  }
}

/** What was given up by the user's signal has the signal's own reason. */
const asClientError = (error: unknown): ClientError =>
  error instanceof ClientError ? error : new ClientError('CANCELLED', messageOf(error), { cause: error })
