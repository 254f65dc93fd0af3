import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int32, int64, since, string } from '../schema/types.ts'

/** Broker to controller: move my leaderships away, I am stopping. KIP-49. */
export const ControlledShutdown = defineApi({
  key: 7,
  name: 'ControlledShutdown',
  versions: [0, 3],
  flexibleFrom: 3,
  request: {
    brokerId: int32,
    brokerEpoch: since(2, int64, -1),
  },
  response: {
    errorCode,
    remainingPartitions: array({
      topicName: string,
      partitionIndex: int32,
    }),
  },
})
export type ControlledShutdownRequest = RequestOf<typeof ControlledShutdown>
export type ControlledShutdownResponse = ResponseOf<typeof ControlledShutdown>
