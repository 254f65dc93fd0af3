import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { errorCode, int16, int32, int64, string, withDefault } from '../schema/types.ts'

/** Adds a group's offsets to a transaction. KIP-98. */
export const AddOffsetsToTxn = defineApi({
  key: 25,
  name: 'AddOffsetsToTxn',
  versions: [0, 4],
  flexibleFrom: 3,
  request: {
    transactionalId: string,
    producerId: int64,
    producerEpoch: int16,
    groupId: string,
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
  },
})
export type AddOffsetsToTxnRequest = RequestOf<typeof AddOffsetsToTxn>
export type AddOffsetsToTxnResponse = ResponseOf<typeof AddOffsetsToTxn>
