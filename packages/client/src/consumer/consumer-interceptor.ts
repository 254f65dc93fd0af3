import { type Logger, messageOf } from '@tidelog/core'
import type { OffsetAndMetadata, TopicPartition } from '../topic-partition.ts'
import type { ConsumerRecord } from './consumer-record.ts'
import type { PartitionState } from './partition-state.ts'
import { RecordTaker, type RecordTakerOptions } from './record-taker.ts'

/** Sees what a consumer hands out and commits, in the order of the interceptors. What one throws is logged, and changes nothing. KIP-42. */
export interface ConsumerInterceptor<K = Buffer, V = Buffer> {
  /** Records that are handed out now: those of a poll or a batch, one by one from records(). To change them is for deserializers. */
  onConsume?(records: readonly ConsumerRecord<K, V>[]): void
  /** Offsets that have been committed. */
  onCommit?(offsets: readonly (TopicPartition & OffsetAndMetadata)[]): void
}

/** All interceptors of a consumer as one. */
export class ConsumerInterceptors<K, V> {
  readonly #interceptors: readonly ConsumerInterceptor<K, V>[]
  readonly #logger: Logger

  constructor(interceptors: readonly ConsumerInterceptor<K, V>[], logger: Logger) {
    this.#interceptors = interceptors
    this.#logger = logger
  }

  onConsume(records: readonly ConsumerRecord<K, V>[]): void {
    this.#tell('onConsume', (interceptor) => interceptor.onConsume?.(records))
  }

  onCommit(offsets: readonly (TopicPartition & OffsetAndMetadata)[]): void {
    this.#tell('onCommit', (interceptor) => interceptor.onCommit?.(offsets))
  }

  #tell(call: string, tell: (interceptor: ConsumerInterceptor<K, V>) => void): void {
    for (const interceptor of this.#interceptors) {
      try {
        tell(interceptor)
      } catch (error) {
        this.#logger.warn('an interceptor failed', { call, reason: messageOf(error) })
      }
    }
  }
}

/** Tells interceptors of what is taken. */
export class InterceptedTaker<K, V> extends RecordTaker<K, V> {
  readonly #interceptors: ConsumerInterceptors<K, V>
  #hasTold = false

  constructor(options: RecordTakerOptions, interceptors: ConsumerInterceptors<K, V>) {
    super(options)
    this.#interceptors = interceptors
  }

  override take(max: number, into: ConsumerRecord<K, V>[], onlyOne?: boolean): PartitionState<K, V> | undefined {
    const before = into.length
    const state = super.take(max, into, onlyOne)
    if (into.length > before) this.#interceptors.onConsume(into.slice(before))
    this.#hasTold = true
    return state
  }

  override takeOne(): ConsumerRecord<K, V> | undefined {
    this.#hasTold = false
    const record = super.takeOne()
    // It may have come by way of take().
    if (record !== undefined && !this.#hasTold) this.#interceptors.onConsume([record])
    return record
  }
}
