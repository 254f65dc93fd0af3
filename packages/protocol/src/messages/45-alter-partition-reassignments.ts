import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, int32, nullable, since, string, withDefault } from '../schema/types.ts'

/** Starts or cancels moves of replicas. KIP-455. */
export const AlterPartitionReassignments = defineApi({
  key: 45,
  name: 'AlterPartitionReassignments',
  versions: [0, 1],
  flexibleFrom: 0,
  request: {
    timeoutMs: withDefault(int32, 60000),
    allowReplicationFactorChange: since(1, bool, true),
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        replicas: withDefault(nullable(array(int32)), null),
      }),
    }),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    allowReplicationFactorChange: since(1, bool, true),
    errorCode,
    errorMessage: nullable(string),
    responses: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        errorCode,
        errorMessage: nullable(string),
      }),
    }),
  },
})
export type AlterPartitionReassignmentsRequest = RequestOf<typeof AlterPartitionReassignments>
export type AlterPartitionReassignmentsResponse = ResponseOf<typeof AlterPartitionReassignments>
