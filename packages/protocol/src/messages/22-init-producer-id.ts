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
    transactionalId: nullable(string),
    transactionTimeoutMs: int32,
    producerId: since(3, int64, -1),
    producerEpoch: since(3, int16, -1),
    enable2Pc: since(6, bool, false),
    keepPreparedTxn: since(6, bool, false),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
    producerId: withDefault(int64, -1),
    producerEpoch: int16,
    ongoingTxnProducerId: since(6, int64, -1),
    ongoingTxnProducerEpoch: since(6, int16, -1),
  },
})
export type InitProducerIdRequest = RequestOf<typeof InitProducerId>
export type InitProducerIdResponse = ResponseOf<typeof InitProducerId>
