import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int32, int64, uuid, withDefault } from '../schema/types.ts'

/** Broker to controller: which log dir holds a replica. KIP-858. */
export const AssignReplicasToDirs = defineApi({
  key: 73,
  name: 'AssignReplicasToDirs',
  versions: [0, 0],
  flexibleFrom: 0,
  request: {
    brokerId: int32,
    brokerEpoch: withDefault(int64, -1),
    directories: array({
      id: uuid,
      topics: array({
        topicId: uuid,
        partitions: array({
          partitionIndex: int32,
        }),
      }),
    }),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
    directories: array({
      id: uuid,
      topics: array({
        topicId: uuid,
        partitions: array({
          partitionIndex: int32,
          errorCode,
        }),
      }),
    }),
  },
})
export type AssignReplicasToDirsRequest = RequestOf<typeof AssignReplicasToDirs>
export type AssignReplicasToDirsResponse = ResponseOf<typeof AssignReplicasToDirs>
