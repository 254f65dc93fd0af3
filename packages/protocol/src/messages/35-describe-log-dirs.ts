import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, bool, errorCode, int32, int64, nullable, since, string, withDefault } from '../schema/types.ts'

/** Sizes and errors of log dirs and the replicas in them. KIP-113, KIP-827 (v4: volume sizes). */
export const DescribeLogDirs = defineApi({
  key: 35,
  name: 'DescribeLogDirs',
  versions: [0, 5],
  flexibleFrom: 2,
  request: {
    /** Null: all replicas of the broker. */
    topics: nullable(
      array({
        topic: string,
        partitions: array(int32),
      }),
    ),
  },
  response: {
    throttleTimeMs: withDefault(int32, 0),
    errorCode: since(3, errorCode),
    results: array({
      /** KAFKA_STORAGE_ERROR: the directory is offline. */
      errorCode,
      logDir: string,
      topics: array({
        name: string,
        partitions: array({
          partitionIndex: int32,
          /** Bytes of its log segments. */
          partitionSize: int64,
          /** How far the replica lies behind: of one that moves in behind the current one, else behind the high watermark. */
          offsetLag: int64,
          /** It is being moved here from another directory of the broker. */
          isFutureKey: bool,
        }),
      }),
      /** Of the volume; -1: not known. */
      totalBytes: since(4, int64, -1),
      usableBytes: since(4, int64, -1),
      /** It takes no new replicas. KIP-1066. */
      isCordoned: since(5, bool, false),
    }),
  },
})
export type DescribeLogDirsRequest = RequestOf<typeof DescribeLogDirs>
export type DescribeLogDirsResponse = ResponseOf<typeof DescribeLogDirs>
