import { errorTable } from '@tidelog/protocol'
import { BrokerError, ClientError, TimeoutError } from '../errors.ts'
import { partitionName, type TopicPartition } from '../topic-partition.ts'
import type { BrokerConnection } from './broker-connection.ts'
import { type Cluster, finalTopicErrors, type RetryOptions } from './cluster.ts'
import type { Outcome } from './outcome.ts'
import { perNode } from './per-node.ts'

/**
 * Sends each partition's item to the partition's leader, one request a broker, and again, with fresh metadata, what failed retriably.
 * @param send Answers for every item it was given; an item without an answer is sent again.
 * @returns An outcome for every item, in order. Only an aborted signal and close() make it throw.
 */
export async function perLeader<I extends TopicPartition, V>(
  cluster: Cluster,
  items: readonly I[],
  options: RetryOptions,
  send: (connection: BrokerConnection, items: readonly I[]) => Promise<Map<I, { readonly errorCode: number; readonly value: V }>>,
): Promise<Outcome<V>[]> {
  const { signal } = options
  const outcomes = await perNode<I, V>(cluster, items, options, {
    purpose: 'general',
    nameOf: partitionName,
    async locate(pending, failed, round) {
      const topics = [...new Set(pending.map(({ topic }) => topic))]
      for (const topic of topics) cluster.addInterest(topic)
      let refreshFailure: ClientError | undefined
      if (round > 0 || topics.some((topic) => cluster.metadata.topic(topic) === undefined)) {
        await cluster.refresh({ signal }).catch((error: unknown) => {
          if (signal?.aborted || cluster.closed || !(error instanceof ClientError)) throw error
          refreshFailure = error
        })
      }
      const byLeader = new Map<number, I[]>()
      for (const item of pending) {
        const info = cluster.metadata.partition(item.topic, item.partition)
        if (info === undefined) {
          const code = cluster.metadata.errorOf(item.topic) || errorTable.UNKNOWN_TOPIC_OR_PARTITION.code
          const isTopic = cluster.metadata.topic(item.topic) === undefined
          const error = refreshFailure ?? new BrokerError(code, isTopic ? `topic ${item.topic}` : partitionName(item))
          failed(item, error, finalTopicErrors.has(error.code) || !error.retriable)
        } else if (info.leaderId < 0) {
          failed(item, new BrokerError(errorTable.LEADER_NOT_AVAILABLE.code, partitionName(item)))
        } else {
          const group = byLeader.get(info.leaderId)
          if (group === undefined) byLeader.set(info.leaderId, [item])
          else group.push(item)
        }
      }
      return byLeader
    },
    async send(connection, group) {
      const answers = await send(connection, group)
      return new Map(
        [...answers].map(([item, { errorCode, value }]) => [
          item,
          errorCode === 0 ? { value } : { error: new BrokerError(errorCode, partitionName(item)) },
        ]),
      )
    },
  })
  return items.map((item) => {
    const outcome = outcomes.get(item)!
    // The whole time has gone by waiting for the topic: its last error says more than the timeout.
    const isMissing = outcome.error instanceof TimeoutError && cluster.metadata.topic(item.topic) === undefined
    return isMissing && outcome.error.cause instanceof BrokerError ? { error: outcome.error.cause } : outcome
  })
}
