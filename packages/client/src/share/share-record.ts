import type { RecordHeader } from '@tidelog/protocol'
import type { ConsumerRecord } from '../consumer/consumer-record.ts'
import type { AcknowledgeType } from './acknowledgements.ts'

/** How a record reaches the consumer that handed it out. */
export interface ShareRecordOwner<K, V> {
  acknowledge(record: ShareRecord<K, V>, type: AcknowledgeType): void
  renew(record: ShareRecord<K, V>): Promise<void>
}

/**
 * A record that this member has acquired: nobody else gets it until it is acknowledged or `acquisitionLockTimeoutMs` has passed. Key, value and headers are
 * views on what was fetched, as in ConsumerRecord.
 */
export class ShareRecord<K = Buffer, V = Buffer> {
  readonly #record: ConsumerRecord<K, V>
  readonly #owner: ShareRecordOwner<K, V>
  /** How often it has been handed to a member, this time included; 1: for the first time. */
  readonly deliveryCount: number

  /** @internal */
  constructor(record: ConsumerRecord<K, V>, deliveryCount: number, owner: ShareRecordOwner<K, V>) {
    this.#record = record
    this.deliveryCount = deliveryCount
    this.#owner = owner
  }

  get topic(): string {
    return this.#record.topic
  }
  get partition(): number {
    return this.#record.partition
  }
  get offset(): number {
    return this.#record.offset
  }
  /** Ms since the Unix epoch; -1: none. */
  get timestamp(): number {
    return this.#record.timestamp
  }
  /** CreateTime: `timestamp` is the producer's; LogAppendTime: the broker's. */
  get timestampType(): 'CreateTime' | 'LogAppendTime' {
    return this.#record.timestampType
  }
  /** Epoch of the leader that appended it; -1: unknown. */
  get leaderEpoch(): number {
    return this.#record.leaderEpoch
  }
  /** As they are, uncopied; null: the record has no key. */
  get keyBytes(): Buffer | null {
    return this.#record.keyBytes
  }
  /** As they are, uncopied; null: a tombstone. */
  get valueBytes(): Buffer | null {
    return this.#record.valueBytes
  }
  /** In their order, duplicates kept. @throws SerializationError when their bytes make no sense */
  get headers(): readonly RecordHeader[] {
    return this.#record.headers
  }
  /** null: the record has none. @throws SerializationError */
  get key(): K | null {
    return this.#record.key
  }
  /** null for a tombstone. @throws SerializationError */
  get value(): V | null {
    return this.#record.value
  }

  /** It has been dealt with. @throws IllegalStateError in implicit mode, and when it is acknowledged already */
  accept(): void {
    this.acknowledge('accept')
  }

  /** Somebody shall try it again, until it has been delivered as often as the group allows. @throws as accept() */
  release(): void {
    this.acknowledge('release')
  }

  /** Nobody shall try it again. @throws as accept() */
  reject(): void {
    this.acknowledge('reject')
  }

  /** accept(), release() or reject(), by name. @throws as accept() */
  acknowledge(type: AcknowledgeType): void {
    this.#owner.acknowledge(this, type)
  }

  /**
   * Starts the acquisition lock anew, for work that takes longer than `acquisitionLockTimeoutMs`. KIP-1222.
   * @throws UnsupportedVersionError before Kafka 4.2; BrokerError INVALID_RECORD_STATE when the lock has passed; IllegalStateError as accept()
   */
  renew(): Promise<void> {
    return this.#owner.renew(this)
  }

  /** Decodes key and value now; the promise, if there is one, waits for deserializers that return promises. */
  decode(): Promise<void> | undefined {
    return this.#record.decode()
  }

  /** `topic-partition@offset` */
  toString(): string {
    return this.#record.toString()
  }
}
