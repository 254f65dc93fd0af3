import { AlterReplicaLogDirs, errorTable, KafkaError, type ResponseInput } from '@tidelog/protocol'
import { defineHandler, errorCodeOf } from '../define-handler.ts'
import type { RequestContext } from '../request-context.ts'
import { RowTurns } from '../row-turns.ts'

type TopicRow = ResponseInput<typeof AlterReplicaLogDirs>['results'][number]

const { code: replicaNotAvailable } = errorTable.REPLICA_NOT_AVAILABLE

/** Moves partitions of this broker from one of its log dirs to another while they are served. KIP-113. */
export const alterReplicaLogDirs = defineHandler(AlterReplicaLogDirs, async ({ dirs }, context) => {
  context.authorize('Alter', 'Cluster', 'kafka-cluster')
  // The last place that a request names for a partition holds, as in Kafka.
  const places = new Map<string, Map<number, string>>()
  for (const { path, topics } of dirs) {
    for (const { name, partitions } of topics) {
      const byIndex = places.get(name) ?? new Map<number, string>()
      places.set(name, byIndex)
      for (const index of partitions) byIndex.set(index, path)
    }
  }
  const results: TopicRow[] = []
  const turns = new RowTurns()
  for (const [topicName, byIndex] of places) {
    const partitions: TopicRow['partitions'][number][] = []
    for (const [partitionIndex, path] of byIndex) {
      await turns.next()
      partitions.push({ partitionIndex, errorCode: await move(topicName, partitionIndex, path, context) })
    }
    results.push({ topicName, partitions })
  }
  return { results }
})

/** What Kafka answers for a partition, which it does not wait for. */
async function move(topic: string, index: number, path: string, context: RequestContext): Promise<number> {
  const { replicas } = context.broker
  try {
    await replicas.moveToLogDir(topic, index, path)
    return 0
  } catch (error) {
    const isElsewhere = error instanceof KafkaError && error.errorName === 'NOT_LEADER_OR_FOLLOWER'
    return isElsewhere ? replicaNotAvailable : errorCodeOf(error, context).errorCode
  }
}
