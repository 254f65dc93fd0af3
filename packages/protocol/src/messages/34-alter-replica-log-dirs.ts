import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int32, string, withDefault } from '../schema/types.ts'

/** Moves replicas between the log dirs of one broker. KIP-113. */
export const AlterReplicaLogDirs = defineApi({
  key: 34,
  name: 'AlterReplicaLogDirs',
  versions: [0, 2],
  flexibleFrom: 2,
  request: {
    dirs: array({
      path: string,
      topics: array({
        name: string,
        partitions: array(int32),
      }),
    }),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    results: array({
      topicName: string,
      partitions: array({
        partitionIndex: int32,
        errorCode,
      }),
    }),
  },
})
export type AlterReplicaLogDirsRequest = RequestOf<typeof AlterReplicaLogDirs>
export type AlterReplicaLogDirsResponse = ResponseOf<typeof AlterReplicaLogDirs>
