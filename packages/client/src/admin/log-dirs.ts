import { AlterReplicaLogDirs, DescribeLogDirs, type DescribeLogDirsResponse } from '@tidelog/protocol'
import type { RetryOptions } from '../cluster/cluster.ts'
import type { Outcome } from '../cluster/outcome.ts'
import { BrokerError, checkErrorCode, DisconnectedError } from '../errors.ts'
import { groupByTopic, partitionName, type TopicPartition } from '../topic-partition.ts'
import { type AdminCallOptions, type AdminContext, callOptions } from './admin-client.ts'
import { allOrThrow, failureOf } from './results.ts'

/** A replica in a log dir. */
export interface ReplicaInLogDir extends TopicPartition {
  readonly sizeBytes: number
  /** How far it lags behind the high watermark, or, for a future replica, behind the current one. */
  readonly offsetLag: number
  /** It is on its way to replace the current replica. */
  readonly isFuture: boolean
}

/** A log dir of a broker. */
export interface LogDirDescription {
  readonly path: string
  /** undefined while the directory works. */
  readonly error: BrokerError | undefined
  /** Of the volume; -1 when unknown. */
  readonly totalBytes: number
  /** Free on the volume; -1 when unknown. */
  readonly usableBytes: number
  /** It takes no further replicas; false from brokers that do not say. KIP-1066. */
  readonly isCordoned: boolean
  readonly replicas: readonly ReplicaInLogDir[]
}

/** What describeLogDirs() takes. */
export interface DescribeLogDirsOptions extends AdminCallOptions {
  /** All brokers when absent. */
  readonly brokers?: readonly number[] | undefined
  /** Only these partitions; all when absent. */
  readonly partitions?: readonly TopicPartition[] | undefined
}

export async function describeLogDirs(context: AdminContext, options: DescribeLogDirsOptions): Promise<Map<number, LogDirDescription[]>> {
  const { cluster } = context
  const retry = callOptions(context, 'describeLogDirs', options)
  await cluster.retry(retry, () => cluster.refresh(retry))
  const nodeIds = [...new Set(options.brokers ?? cluster.metadata.brokers.keys())]
  const described = nodeIds.map(async (nodeId) => [nodeId, await dirsOf(context, nodeId, options.partitions, retry)] as const)
  return new Map(await Promise.all(described))
}

function dirsOf(
  { cluster }: AdminContext,
  nodeId: number,
  partitions: readonly TopicPartition[] | undefined,
  retry: RetryOptions,
): Promise<LogDirDescription[]> {
  return cluster.retry(retry, async () => {
    const connection = await cluster.connectionTo(nodeId, 'general', retry)
    const response = await connection.send(DescribeLogDirs, { topics: partitions === undefined ? null : topicRows(partitions) })
    checkErrorCode(response.errorCode, `log dirs of broker ${nodeId}`)
    return response.results.map(descriptionOf)
  })
}

const topicRows = (partitions: readonly TopicPartition[]) =>
  [...groupByTopic(partitions)].map(([topic, entries]) => ({ topic, partitions: entries.map(({ partition }) => partition) }))

function descriptionOf({
  logDir,
  errorCode,
  totalBytes,
  usableBytes,
  isCordoned,
  topics,
}: DescribeLogDirsResponse['results'][number]): LogDirDescription {
  return {
    path: logDir,
    error: errorCode === 0 ? undefined : new BrokerError(errorCode, logDir),
    totalBytes,
    usableBytes,
    isCordoned,
    replicas: topics.flatMap(({ name, partitions }) =>
      partitions.map(({ partitionIndex, partitionSize, offsetLag, isFutureKey }) => ({
        topic: name,
        partition: partitionIndex,
        sizeBytes: partitionSize,
        offsetLag,
        isFuture: isFutureKey,
      })),
    ),
  }
}

/** A partition on one broker. */
export interface TopicPartitionReplica extends TopicPartition {
  readonly nodeId: number
}

/** A replica, and the log dir that it shall be in. */
export interface ReplicaMove extends TopicPartitionReplica {
  /** An absolute path of the broker's log.dirs. */
  readonly logDir: string
}

const replicaName = (replica: TopicPartitionReplica): string => `${partitionName(replica)} on broker ${replica.nodeId}`

function groupBy<K, V>(values: readonly V[], keyOf: (value: V) => K): Map<K, V[]> {
  const groups = new Map<K, V[]>()
  for (const value of values) {
    const group = groups.get(keyOf(value))
    if (group === undefined) groups.set(keyOf(value), [value])
    else group.push(value)
  }
  return groups
}

/** Calls each broker with its replicas. What a broker as a whole refuses is the outcome of each of them. */
async function perBroker<R extends TopicPartitionReplica, V>(
  replicas: readonly R[],
  call: (nodeId: number, replicas: readonly R[]) => Promise<(replica: R) => Outcome<V>>,
): Promise<[name: string, outcome: Outcome<V>][]> {
  const byNode = groupBy(replicas, ({ nodeId }) => nodeId)
  const outcomesOf = new Map(
    await Promise.all([...byNode].map(async ([nodeId, own]) => [nodeId, await call(nodeId, own).catch(failureOf)] as const)),
  )
  return replicas.map((replica) => {
    const outcomes = outcomesOf.get(replica.nodeId)!
    return [replicaName(replica), typeof outcomes === 'function' ? outcomes(replica) : outcomes]
  })
}

export async function alterReplicaLogDirs(context: AdminContext, moves: readonly ReplicaMove[], options: AdminCallOptions): Promise<void> {
  const { cluster } = context
  const retry = callOptions(context, 'alterReplicaLogDirs', options)
  const outcomes = await perBroker(moves, (nodeId, own) =>
    cluster.retry(retry, async () => {
      const connection = await cluster.connectionTo(nodeId, 'general', retry)
      const byPath = groupBy(own, ({ logDir }) => logDir)
      const { results } = await connection.send(AlterReplicaLogDirs, {
        dirs: [...byPath].map(([path, inPath]) => ({
          path,
          topics: topicRows(inPath).map(({ topic, partitions }) => ({ name: topic, partitions })),
        })),
      })
      return (move: ReplicaMove): Outcome<undefined> => {
        const rows = results.find(({ topicName }) => topicName === move.topic)?.partitions
        const errorCode = rows?.find(({ partitionIndex }) => partitionIndex === move.partition)?.errorCode
        if (errorCode === undefined) return { error: new DisconnectedError(`${replicaName(move)}: the broker's answer leaves it out`) }
        return errorCode === 0 ? { value: undefined } : { error: new BrokerError(errorCode, replicaName(move)) }
      }
    }),
  )
  allOrThrow('alterReplicaLogDirs', outcomes)
}

/** Where a replica lies. */
export interface ReplicaPlace {
  readonly path: string
  /** As of `ReplicaInLogDir`. */
  readonly offsetLag: number
}

/** Where a replica is, and where it is going. */
export interface ReplicaLogDirs extends TopicPartitionReplica {
  /** undefined when the broker has no such replica, or has it in a directory that is offline. */
  readonly current: ReplicaPlace | undefined
  /** Where it moves to; undefined when it does not move. */
  readonly future: ReplicaPlace | undefined
}

export async function describeReplicaLogDirs(
  context: AdminContext,
  replicas: readonly TopicPartitionReplica[],
  options: AdminCallOptions,
): Promise<ReplicaLogDirs[]> {
  const retry = callOptions(context, 'describeReplicaLogDirs', options)
  const outcomes = await perBroker(replicas, async (nodeId, own) => {
    const dirs = await dirsOf(context, nodeId, own, retry)
    return ({ topic, partition }: TopicPartitionReplica): Outcome<ReplicaLogDirs> => {
      const placeOf = (isFuture: boolean): ReplicaPlace | undefined => {
        for (const { path, replicas: there } of dirs) {
          const found = there.find((one) => one.topic === topic && one.partition === partition && one.isFuture === isFuture)
          if (found !== undefined) return { path, offsetLag: found.offsetLag }
        }
        return undefined
      }
      return { value: { topic, partition, nodeId, current: placeOf(false), future: placeOf(true) } }
    }
  })
  return allOrThrow('describeReplicaLogDirs', outcomes)
}
