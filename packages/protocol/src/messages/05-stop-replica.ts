import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, between, bool, errorCode, int32, int64, since, string, until, withDefault } from '../schema/types.ts'

/** Controller to broker: stop, and maybe delete, replicas (ZooKeeper mode). KIP-570. */
export const StopReplica = defineApi({
  key: 5,
  name: 'StopReplica',
  versions: [0, 4],
  flexibleFrom: 2,
  request: {
    controllerId: int32,
    isKRaftController: since(4, bool, false),
    controllerEpoch: int32,
    brokerEpoch: since(1, int64, -1),
    deletePartitions: until(2, bool),
    ungroupedPartitions: until(
      0,
      array({
        topicName: until(0, string),
        partitionIndex: until(0, int32),
      }),
    ),
    topics: between(
      1,
      2,
      array({
        name: until(2, string),
        partitionIndexes: until(2, array(int32)),
      }),
    ),
    topicStates: since(
      3,
      array({
        topicName: string,
        partitionStates: array({
          partitionIndex: int32,
          leaderEpoch: withDefault(int32, -1),
          deletePartition: bool,
        }),
      }),
    ),
  },
  response: {
    errorCode,
    partitionErrors: array({
      topicName: string,
      partitionIndex: int32,
      errorCode,
    }),
  },
})
export type StopReplicaRequest = RequestOf<typeof StopReplica>
export type StopReplicaResponse = ResponseOf<typeof StopReplica>
