import type { ClientError } from '../errors.ts'
import type { ProducerRecord, RecordMetadata } from './producer-record.ts'

/** Sees records go by, in the order of the interceptors. What one throws is logged, and the record goes on as it was. KIP-42. */
export interface ProducerInterceptor<K = unknown, V = unknown> {
  /** @returns The record to send in place of this one; undefined: this one. */
  onSend?(record: ProducerRecord<K, V>): ProducerRecord<K, V> | undefined
  /** Called once a record, when it is delivered or has failed. */
  onAcknowledgement?(error: ClientError | undefined, metadata: RecordMetadata | undefined, record: ProducerRecord<K, V>): void
}
