import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, int8, int32, int64, since, string, until, uuid } from '../schema/types.ts'

const requestLeaderAndIsrPartitionState = {
  topicName: until(1, string),
  partitionIndex: int32,
  controllerEpoch: int32,
  leader: int32,
  leaderEpoch: int32,
  isr: array(int32),
  partitionEpoch: int32,
  replicas: array(int32),
  addingReplicas: since(3, array(int32)),
  removingReplicas: since(3, array(int32)),
  isNew: since(1, bool, false),
  leaderRecoveryState: since(6, int8, 0),
} as const

const responseLeaderAndIsrPartitionError = {
  topicName: until(4, string),
  partitionIndex: int32,
  errorCode,
} as const

/** Controller to broker: which replicas to lead or follow (ZooKeeper mode). */
export const LeaderAndIsr = defineApi({
  key: 4,
  name: 'LeaderAndIsr',
  versions: [0, 7],
  flexibleFrom: 4,
  request: {
    controllerId: int32,
    isKRaftController: since(7, bool, false),
    controllerEpoch: int32,
    brokerEpoch: since(2, int64, -1),
    type: since(5, int8),
    ungroupedPartitionStates: until(1, array(requestLeaderAndIsrPartitionState)),
    topicStates: since(
      2,
      array({
        topicName: string,
        topicId: since(5, uuid),
        partitionStates: array(requestLeaderAndIsrPartitionState),
      }),
    ),
    liveLeaders: array({
      brokerId: int32,
      hostName: string,
      port: int32,
    }),
  },
  response: {
    errorCode,
    partitionErrors: until(4, array(responseLeaderAndIsrPartitionError)),
    topics: since(
      5,
      array({
        topicId: uuid,
        partitionErrors: array(responseLeaderAndIsrPartitionError),
      }),
    ),
  },
})
export type LeaderAndIsrRequest = RequestOf<typeof LeaderAndIsr>
export type LeaderAndIsrResponse = ResponseOf<typeof LeaderAndIsr>
