import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int8, int32, nullable, since, string, withDefault } from '../schema/types.ts'

/** Elects preferred or unclean leaders. KIP-183, KIP-460. */
export const ElectLeaders = defineApi({
  key: 43,
  name: 'ElectLeaders',
  versions: [0, 2],
  flexibleFrom: 2,
  request: {
    /** 0: the preferred replica, if it is in sync; 1: any live replica, where no in-sync one is left. v0: 0. */
    electionType: since(1, int8),
    /** Null: all; those that need no election are left out of the answer. */
    topicPartitions: nullable(
      array({
        topic: string,
        partitions: array(int32),
      }),
    ),
    /** How long to wait until the brokers know the leaders. */
    timeoutMs: withDefault(int32, 60000),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    /** Of the whole request. */
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
