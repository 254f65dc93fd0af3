import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, between, bool, errorCode, int32, nullable, since, string, uuid } from '../schema/types.ts'

/** Brokers, topics and partition leaders; may create topics. KIP-516 (v10: topic ids). */
export const Metadata = defineApi({
  key: 3,
  name: 'Metadata',
  versions: [0, 13],
  flexibleFrom: 9,
  request: {
    topics: nullable(
      array({
        topicId: since(10, uuid),
        name: nullable(string, { since: 10 }),
      }),
      { since: 1 },
    ),
    allowAutoTopicCreation: since(4, bool, true),
    includeClusterAuthorizedOperations: between(8, 10, bool),
    includeTopicAuthorizedOperations: since(8, bool),
  },
  response: {
    throttleTimeMs: since(3, int32, 0),
    brokers: array({
      nodeId: int32,
      host: string,
      port: int32,
      rack: since(1, nullable(string), null),
    }),
    clusterId: since(2, nullable(string), null),
    controllerId: since(1, int32, -1),
    topics: array({
      errorCode,
      name: nullable(string, { since: 12 }),
      topicId: since(10, uuid),
      isInternal: since(1, bool, false),
      partitions: array({
        errorCode,
        partitionIndex: int32,
        leaderId: int32,
        leaderEpoch: since(7, int32, -1),
        replicaNodes: array(int32),
        isrNodes: array(int32),
        offlineReplicas: since(5, array(int32)),
      }),
      topicAuthorizedOperations: since(8, int32, -2147483648),
    }),
    clusterAuthorizedOperations: between(8, 10, int32, -2147483648),
    errorCode: since(13, errorCode),
  },
})
export type MetadataRequest = RequestOf<typeof Metadata>
export type MetadataResponse = ResponseOf<typeof Metadata>
