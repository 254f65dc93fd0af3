import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, between, bool, errorCode, int32, nullable, since, string, uuid } from '../schema/types.ts'

/** Brokers, topics and partition leaders; may create topics. KIP-516 (v10: topic ids). */
export const Metadata = defineApi({
  key: 3,
  name: 'Metadata',
  versions: [0, 13],
  flexibleFrom: 9,
  request: {
    /** Null: all topics; in v0 an empty array means that. */
    topics: nullable(
      array({
        /** With a null name (since v12): look the topic up by its id. */
        topicId: since(10, uuid),
        name: nullable(string, { since: 10 }),
      }),
      { since: 1 },
    ),
    /** Create what is missing, where auto.create.topics.enable allows it. Before v4 always. */
    allowAutoTopicCreation: since(4, bool, true),
    /** KIP-430; since v11 in DescribeCluster. */
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
    /** KIP-78. */
    clusterId: since(2, nullable(string), null),
    /** -1: not known. */
    controllerId: since(1, int32, -1),
    topics: array({
      errorCode,
      /** Null beside an id that no topic has. */
      name: nullable(string, { since: 12 }),
      topicId: since(10, uuid),
      isInternal: since(1, bool, false),
      partitions: array({
        errorCode,
        partitionIndex: int32,
        /** -1 beside LEADER_NOT_AVAILABLE. */
        leaderId: int32,
        /** -1: not known. KIP-320. */
        leaderEpoch: since(7, int32, -1),
        replicaNodes: array(int32),
        isrNodes: array(int32),
        /** Replicas whose broker or log dir is down. KIP-112. */
        offlineReplicas: since(5, array(int32)),
      }),
      /** Bits 1 << AclOperation code of what the caller may do; the default stands for not asked. KIP-430. */
      topicAuthorizedOperations: since(8, int32, -2147483648),
    }),
    clusterAuthorizedOperations: between(8, 10, int32, -2147483648),
    /** REBOOTSTRAP_REQUIRED: the client should start from its bootstrap servers. KIP-1102. */
    errorCode: since(13, errorCode),
  },
})
export type MetadataRequest = RequestOf<typeof Metadata>
export type MetadataResponse = ResponseOf<typeof Metadata>
