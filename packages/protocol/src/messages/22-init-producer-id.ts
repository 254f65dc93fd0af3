import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { bool, errorCode, int16, int32, int64, nullable, since, string, withDefault } from '../schema/types.ts'

/** Gives an idempotent or transactional producer its id and epoch. KIP-98, KIP-360 (v3), KIP-939 (v6). */
export const InitProducerId = defineApi({
  key: 22,
  name: 'InitProducerId',
  versions: [0, 6],
  announced: [0, 5],
  flexibleFrom: 2,
  request: {
    /** Null: idempotence only. */
    transactionalId: nullable(string),
    /** An open transaction is aborted after it; at most transaction.max.timeout.ms. */
    transactionTimeoutMs: int32,
    /** With its epoch: bump the epoch of the producer that this is, unless somebody else has. -1: a new one. */
    producerId: since(3, int64, -1),
    producerEpoch: since(3, int16, -1),
    /** Never abort by timeout: an outside coordinator decides. */
    enable2Pc: since(6, bool, false),
    /** Leave the open transaction as it is, and tell of it. */
    keepPreparedTxn: since(6, bool, false),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
    producerId: withDefault(int64, -1),
    producerEpoch: int16,
    /** -1: none is open. */
    ongoingTxnProducerId: since(6, int64, -1),
    ongoingTxnProducerEpoch: since(6, int16, -1),
  },
})
export type InitProducerIdRequest = RequestOf<typeof InitProducerId>
export type InitProducerIdResponse = ResponseOf<typeof InitProducerId>
