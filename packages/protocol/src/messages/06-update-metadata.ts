import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, int8, int16, int32, int64, nullable, since, string, tagged, until, uuid } from '../schema/types.ts'

const requestUpdateMetadataPartitionState = {
  topicName: until(4, string),
  partitionIndex: int32,
  controllerEpoch: int32,
  leader: int32,
  leaderEpoch: int32,
  isr: array(int32),
  zkVersion: int32,
  replicas: array(int32),
  offlineReplicas: since(4, array(int32)),
} as const

/** Controller to broker: the cluster as every broker shall describe it (ZooKeeper mode). */
export const UpdateMetadata = defineApi({
  key: 6,
  name: 'UpdateMetadata',
  versions: [0, 8],
  flexibleFrom: 6,
  request: {
    controllerId: int32,
    isKRaftController: since(8, bool, false),
    type: tagged(0, 8, int8, 0),
    controllerEpoch: int32,
    brokerEpoch: since(5, int64, -1),
    ungroupedPartitionStates: until(4, array(requestUpdateMetadataPartitionState)),
    topicStates: since(
      5,
      array({
        topicName: string,
        topicId: since(7, uuid),
        partitionStates: array(requestUpdateMetadataPartitionState),
      }),
    ),
    liveBrokers: array({
      id: int32,
      v0Host: until(0, string),
      v0Port: until(0, int32),
      endpoints: since(
        1,
        array({
          port: int32,
          host: string,
          listener: since(3, string),
          securityProtocol: int16,
        }),
      ),
      rack: since(2, nullable(string)),
    }),
  },
  response: {
    errorCode,
  },
})
export type UpdateMetadataRequest = RequestOf<typeof UpdateMetadata>
export type UpdateMetadataResponse = ResponseOf<typeof UpdateMetadata>
