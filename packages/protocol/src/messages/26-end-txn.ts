import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { bool, errorCode, int16, int32, int64, since, string, withDefault } from '../schema/types.ts'

/** Commits or aborts a transaction. KIP-98, KIP-890 (v5: returns the bumped epoch). */
export const EndTxn = defineApi({
  key: 26,
  name: 'EndTxn',
  versions: [0, 5],
  flexibleFrom: 3,
  request: {
    transactionalId: string,
    producerId: int64,
    producerEpoch: int16,
    committed: bool,
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
    producerId: since(5, int64, -1),
    producerEpoch: since(5, int16, -1),
  },
})
export type EndTxnRequest = RequestOf<typeof EndTxn>
export type EndTxnResponse = ResponseOf<typeof EndTxn>
