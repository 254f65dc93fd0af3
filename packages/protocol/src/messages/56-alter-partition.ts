import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int8, int32, int64, since, string, until, uuid, withDefault } from '../schema/types.ts'

/** Leader to controller: change the ISR of partitions. KIP-497. */
export const AlterPartition = defineApi({
  key: 56,
  name: 'AlterPartition',
  versions: [0, 3],
  flexibleFrom: 0,
  request: {
    brokerId: int32,
    brokerEpoch: withDefault(int64, -1),
    topics: array({
      topicName: until(1, string),
      topicId: since(2, uuid),
      partitions: array({
        partitionIndex: int32,
        leaderEpoch: int32,
        newIsr: until(2, array(int32)),
        newIsrWithEpochs: since(
          3,
          array({
            brokerId: int32,
            brokerEpoch: withDefault(int64, -1),
          }),
        ),
        leaderRecoveryState: since(1, int8, 0),
        partitionEpoch: int32,
      }),
    }),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
    topics: array({
      topicName: until(1, string),
      topicId: since(2, uuid),
      partitions: array({
        partitionIndex: int32,
        errorCode,
        leaderId: int32,
        leaderEpoch: int32,
        isr: array(int32),
        leaderRecoveryState: since(1, int8, 0),
        partitionEpoch: int32,
      }),
    }),
  },
})
export type AlterPartitionRequest = RequestOf<typeof AlterPartition>
export type AlterPartitionResponse = ResponseOf<typeof AlterPartition>
