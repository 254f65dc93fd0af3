import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, int8, int32, nullable, since, string, withDefault } from '../schema/types.ts'

/** Cluster id, controller and brokers. KIP-700, KIP-919 (v1: controllers), KIP-1073 (v2: fenced brokers). */
export const DescribeCluster = defineApi({
  key: 60,
  name: 'DescribeCluster',
  versions: [0, 2],
  flexibleFrom: 0,
  request: {
    includeClusterAuthorizedOperations: bool,
    /** 1: brokers; 2: controllers. */
    endpointType: since(1, int8, 1),
    /** List brokers too that are registered and not serving. */
    includeFencedBrokers: since(2, bool),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode,
    errorMessage: withDefault(nullable(string), null),
    endpointType: since(1, int8, 1),
    clusterId: string,
    /** -1: not known. */
    controllerId: withDefault(int32, -1),
    brokers: array({
      brokerId: int32,
      host: string,
      port: int32,
      rack: withDefault(nullable(string), null),
      isFenced: since(2, bool),
    }),
    /** Bits 1 << AclOperation code; the default stands for not asked. KIP-430. */
    clusterAuthorizedOperations: withDefault(int32, -2147483648),
  },
})
export type DescribeClusterRequest = RequestOf<typeof DescribeCluster>
export type DescribeClusterResponse = ResponseOf<typeof DescribeCluster>
