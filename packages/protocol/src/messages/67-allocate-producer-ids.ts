import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { errorCode, int32, int64, withDefault } from '../schema/types.ts'

/** Broker to controller: a block of producer ids. KIP-730. */
export const AllocateProducerIds = defineApi({
  key: 67,
  name: 'AllocateProducerIds',
  versions: [0, 0],
  flexibleFrom: 0,
  request: {
    brokerId: int32,
    brokerEpoch: withDefault(int64, -1),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
    producerIdStart: int64,
    producerIdLen: int32,
  },
})
export type AllocateProducerIdsRequest = RequestOf<typeof AllocateProducerIds>
export type AllocateProducerIdsResponse = ResponseOf<typeof AllocateProducerIds>
