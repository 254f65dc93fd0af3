import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int32, int64, nullable, offset, since, string, uuid, withDefault } from '../schema/types.ts'

/** Start offsets of share groups. KIP-932. */
export const DescribeShareGroupOffsets = defineApi({
  key: 90,
  name: 'DescribeShareGroupOffsets',
  versions: [0, 1],
  flexibleFrom: 0,
  request: {
    groups: array({
      groupId: string,
      topics: nullable(
        array({
          topicName: string,
          partitions: array(int32),
        }),
      ),
    }),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    groups: array({
      groupId: string,
      topics: array({
        topicName: string,
        topicId: uuid,
        partitions: array({
          partitionIndex: int32,
          startOffset: offset,
          leaderEpoch: int32,
          lag: since(1, int64, -1),
          errorCode,
          errorMessage: withDefault(nullable(string), null),
        }),
      }),
      errorCode,
      errorMessage: withDefault(nullable(string), null),
    }),
  },
})
export type DescribeShareGroupOffsetsRequest = RequestOf<typeof DescribeShareGroupOffsets>
export type DescribeShareGroupOffsetsResponse = ResponseOf<typeof DescribeShareGroupOffsets>
