import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int8, int32, nullable, since, string, withDefault } from '../schema/types.ts'

/** Elects preferred or unclean leaders. KIP-183, KIP-460. */
export const ElectLeaders = defineApi({
  key: 43,
  name: 'ElectLeaders',
  versions: [0, 2],
  flexibleFrom: 2,
  request: {
    electionType: since(1, int8),
    topicPartitions: nullable(
      array({
        topic: string,
        partitions: array(int32),
      }),
    ),
    timeoutMs: withDefault(int32, 60000),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode: since(1, errorCode),
    replicaElectionResults: array({
      topic: string,
      partitionResult: array({
        partitionId: int32,
        errorCode,
        errorMessage: nullable(string),
      }),
    }),
  },
})
export type ElectLeadersRequest = RequestOf<typeof ElectLeaders>
export type ElectLeadersResponse = ResponseOf<typeof ElectLeaders>
