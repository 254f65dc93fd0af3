import { statfs } from 'node:fs/promises'
import { DescribeLogDirs, KafkaError, type ResponseInput } from '@tidelog/protocol'
import type { Log, LogManager } from '@tidelog/storage'
import { isCordoned } from '../config/log-dirs-config.ts'
import { defineHandler } from '../define-handler.ts'

const storageError = new KafkaError('KAFKA_STORAGE_ERROR').code
/** As the protocol's default: the volume cannot be asked. */
const unknownSpace = { totalBytes: -1, usableBytes: -1 }

type PartitionRow = ResponseInput<typeof DescribeLogDirs>['results'][number]['topics'][number]['partitions'][number]

/** Each log dir with its partitions' sizes and what its volume holds and has left. Null topics: all of them. Source: KIP-113, KIP-827, KIP-1066. */
export const describeLogDirs = defineHandler(DescribeLogDirs, async ({ topics }, context) => {
  const { logs, config } = context.broker
  context.authorize('Describe', 'Cluster', 'kafka-cluster')
  const wanted = topics === null ? undefined : new Map(topics.map(({ topic, partitions }) => [topic, new Set(partitions)]))
  const offline = new Set(logs.offlineDirs)
  const results = await Promise.all(
    logs.dirs.map(async (logDir) => {
      if (offline.has(logDir)) return { errorCode: storageError, logDir, topics: [], ...unknownSpace }
      const topicRows = new Map<string, PartitionRow[]>()
      for (const log of [...logs.logs(), ...logs.futures()]) {
        if (log.logDir !== logDir || (wanted !== undefined && !wanted.get(log.topic)?.has(log.partition))) continue
        const rows = topicRows.get(log.topic) ?? []
        topicRows.set(log.topic, rows)
        rows.push({
          partitionIndex: log.partition,
          partitionSize: log.sizeBytes,
          ...standingOf(log, logs),
        })
      }
      const topicsHere = [...topicRows].map(([name, partitions]) => ({ name, partitions }))
      return { errorCode: 0, logDir, topics: topicsHere, ...(await spaceOf(logDir)), isCordoned: isCordoned(config, logDir) }
    }),
  )
  return { errorCode: 0, results }
})

/** How far a copy that moves in lies behind its log, or a log behind the high watermark. */
function standingOf(log: Log, logs: LogManager): { offsetLag: number; isFutureKey: boolean } {
  const current = logs.getLog(log.topic, log.partition)
  if (current === undefined || current === log) return { offsetLag: Math.max(0, log.highWatermark - log.logEndOffset), isFutureKey: false }
  return { offsetLag: current.logEndOffset - log.logEndOffset, isFutureKey: true }
}

async function spaceOf(dir: string): Promise<{ totalBytes: number; usableBytes: number }> {
  try {
    const { blocks, bavail, bsize } = await statfs(dir)
    return { totalBytes: blocks * bsize, usableBytes: bavail * bsize }
  } catch {
    return unknownSpace
  }
}
