import { type DataOf, defineData } from '../schema/define.ts'
import { array, int8, int16, int32, int64, nullable, string, tagged, timestampMs } from '../schema/types.ts'

/** A transactional id in __transaction_state: the key starts with int16 0, the value with its int16 version. A null value is a tombstone. */
export const transactionLogKey = defineData({ versions: [0, 0], fields: { transactionalId: string } })

export const transactionLogValue = defineData({
  versions: [0, 1],
  flexibleFrom: 1,
  fields: {
    producerId: int64,
    /** What it was before the last change; -1: there was none. */
    previousProducerId: tagged(0, 1, int64, -1),
    /** What it will be once the transaction is over, because the epochs of this one are used up; -1: it stays. KIP-890. */
    nextProducerId: tagged(1, 1, int64, -1),
    producerEpoch: int16,
    /** Of a transaction that an outside coordinator decides; -1: none. KIP-939. */
    nextProducerEpoch: tagged(3, 1, int16, -1),
    transactionTimeoutMs: int32,
    transactionStatus: int8,
    /** Null while the transaction is empty. */
    transactionPartitions: nullable(array({ topic: string, partitionIds: array(int32) })),
    transactionLastUpdateTimestampMs: timestampMs,
    /** -1: none has begun. */
    transactionStartTimestampMs: timestampMs,
    /** The transaction.version that the client followed. KIP-890. */
    clientTransactionVersion: tagged(2, 1, int16, 0),
  },
})
export type TransactionLogValue = DataOf<typeof transactionLogValue>
