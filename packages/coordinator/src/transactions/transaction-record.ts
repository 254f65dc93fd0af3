import { ByteReader, ByteWriter } from '@tidelog/core'
import { transactionLogKey, transactionLogValue } from '@tidelog/protocol'
import { noPartitions, withPartitions } from './topic-partitions.ts'
import { NO_EPOCH, type Transaction, transactionStates } from './transaction.ts'

/** What a transaction coordinator keeps in __transaction_state, one record a transactional id; without a transaction it is a tombstone. */
export interface TransactionRecord {
  readonly transactionalId: string
  readonly transaction: Transaction | null
}

const keyVersion = 0

/** The version of values that brokers of a finalized transaction.version read: 0 has no tagged fields. */
const valueVersionOf = (transactionVersion: number): number => (transactionVersion >= 1 ? 1 : 0)

/** The key and value bytes under which a record is appended. */
export function encodeTransactionRecord(
  { transactionalId, transaction }: TransactionRecord,
  transactionVersion: number,
): { key: Buffer; value: Buffer | null } {
  const key = new ByteWriter(64)
  key.int16(keyVersion)
  transactionLogKey.codec(keyVersion).write(key, { transactionalId })
  return { key: key.toBuffer(), value: transaction && encodeValue(transaction, valueVersionOf(transactionVersion)) }
}

function encodeValue(transaction: Transaction, version: number): Buffer {
  const writer = new ByteWriter(128)
  writer.int16(version)
  transactionLogValue.codec(version).write(writer, {
    producerId: transaction.producerId,
    previousProducerId: transaction.previousProducerId,
    nextProducerId: transaction.nextProducerId,
    producerEpoch: transaction.producerEpoch,
    nextProducerEpoch: transaction.nextProducerEpoch,
    transactionTimeoutMs: transaction.timeoutMs,
    transactionStatus: transactionStates.indexOf(transaction.state),
    transactionPartitions:
      transaction.state === 'Empty'
        ? null
        : Array.from(transaction.partitions, ([topic, indexes]) => ({ topic, partitionIds: [...indexes] })),
    transactionLastUpdateTimestampMs: transaction.lastUpdateTimestamp,
    transactionStartTimestampMs: transaction.startTimestamp,
    clientTransactionVersion: transaction.clientTransactionVersion,
  })
  return writer.toBuffer()
}

/**
 * Reads a record's bytes.
 * @returns undefined for a type of record that is not known here (it stays in the log as it is).
 * @throws MalformedError when the bytes do not hold what their version says; RangeError for a value of a newer version or an unknown state.
 */
export function decodeTransactionRecord(key: Buffer, value: Buffer | null): TransactionRecord | undefined {
  const reader = new ByteReader(key)
  if (reader.int16() !== keyVersion) return undefined
  const { transactionalId } = transactionLogKey.codec(keyVersion).read(reader)
  return { transactionalId, transaction: value && decodeValue(value) }
}

function decodeValue(bytes: Buffer): Transaction {
  const reader = new ByteReader(bytes)
  const value = transactionLogValue.codec(reader.int16()).read(reader)
  const state = transactionStates[value.transactionStatus]
  if (state === undefined) throw new RangeError(`a transaction has no state ${value.transactionStatus}`)
  const added = (value.transactionPartitions ?? []).flatMap(({ topic, partitionIds }) =>
    partitionIds.map((partition) => ({ topic, partition })),
  )
  return {
    producerId: value.producerId,
    previousProducerId: value.previousProducerId,
    nextProducerId: value.nextProducerId,
    producerEpoch: value.producerEpoch,
    lastProducerEpoch: NO_EPOCH,
    nextProducerEpoch: value.nextProducerEpoch,
    timeoutMs: value.transactionTimeoutMs,
    state,
    partitions: state === 'Empty' ? noPartitions : withPartitions(noPartitions, added),
    startTimestamp: value.transactionStartTimestampMs,
    lastUpdateTimestamp: value.transactionLastUpdateTimestampMs,
    clientTransactionVersion: value.clientTransactionVersion,
  }
}
