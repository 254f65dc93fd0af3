import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, between, errorCode, int8, int32, nullable, since, string, until } from '../schema/types.ts'

/** The broker that coordinates a group or a transactional id. KIP-699 (v4: several keys). */
export const FindCoordinator = defineApi({
  key: 10,
  name: 'FindCoordinator',
  versions: [0, 6],
  flexibleFrom: 3,
  request: {
    /** Group or transactional id. */
    key: until(3, string),
    /** 0: group; 1: transaction; 2: share partition, as GROUP:TOPIC_ID:PARTITION (v6, KIP-932). */
    keyType: since(1, int8, 0),
    coordinatorKeys: since(4, array(string)),
  },
  response: {
    throttleTimeMs: since(1, int32, 0),
    errorCode: until(3, errorCode),
    errorMessage: between(1, 3, nullable(string)),
    /** -1 beside an error. */
    nodeId: until(3, int32),
    host: until(3, string),
    port: until(3, int32),
    coordinators: since(
      4,
      array({
        /** As asked. */
        key: string,
        nodeId: int32,
        host: string,
        port: int32,
        errorCode,
        errorMessage: nullable(string),
      }),
    ),
  },
})
export type FindCoordinatorRequest = RequestOf<typeof FindCoordinator>
export type FindCoordinatorResponse = ResponseOf<typeof FindCoordinator>
