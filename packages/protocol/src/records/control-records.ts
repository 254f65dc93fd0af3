/**
 * Control records: what a broker, not a client, writes into a partition. Each stands alone in a control batch.
 *
 *   key    int16 version (0), int16 type: 0 abort, 1 commit, 2 to 6 KRaft's own
 *   value  of abort and commit, the marker that ends a transaction: int16 version (0), int32 coordinatorEpoch
 *
 * Source: KIP-98.
 */
import { KafkaError } from '../errors.ts'
import { BatchBuilder } from './batch-builder.ts'
import type { KafkaRecord } from './kafka-record.ts'

export type MarkerType = 'abort' | 'commit'

export interface EndTxnMarker {
  readonly type: MarkerType
  /** Epoch of the transaction coordinator that decided. */
  readonly coordinatorEpoch: number
}

const VERSION = 0
const KEY_BYTES = 4
const MARKER_BYTES = 6
const types: readonly (MarkerType | undefined)[] = ['abort', 'commit']

/** The marker in a control record, or undefined for control records of another type. @throws KafkaError CORRUPT_MESSAGE when it is cut off. */
export function readEndTxnMarker({ key, value }: Pick<KafkaRecord, 'key' | 'value'>): EndTxnMarker | undefined {
  if (key === null || key.length < KEY_BYTES) throw new KafkaError('CORRUPT_MESSAGE', 'control record with a key that is too short')
  const type = types[key.readInt16BE(2)]
  if (type === undefined) return undefined
  if (value === null || value.length < MARKER_BYTES)
    throw new KafkaError('CORRUPT_MESSAGE', `${type} marker with a value that is too short`)
  return { type, coordinatorEpoch: value.readInt32BE(2) }
}

/** The control batch that ends a producer's transaction in one partition. */
export function buildEndTxnMarker(
  marker: EndTxnMarker & { readonly producerId: number; readonly producerEpoch: number; readonly timestamp: number },
): Buffer {
  const key = Buffer.alloc(KEY_BYTES)
  key.writeInt16BE(VERSION, 0)
  key.writeInt16BE(types.indexOf(marker.type), 2)
  const value = Buffer.alloc(MARKER_BYTES)
  value.writeInt16BE(VERSION, 0)
  value.writeInt32BE(marker.coordinatorEpoch, 2)
  const { producerId, producerEpoch, timestamp } = marker
  const builder = new BatchBuilder({ producerId, producerEpoch, isTransactional: true, isControl: true })
  builder.append({ timestamp, key, value })
  return builder.build()
}
