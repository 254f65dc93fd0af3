import { errorTable } from '@tidelog/protocol'
import { BrokerError, ClientError, DisconnectedError, isRetriable, TimeoutError } from '../errors.ts'
import { partitionName, type TopicPartition } from '../topic-partition.ts'
import type { BrokerConnection } from './broker-connection.ts'
import { type Cluster, messageOf } from './cluster.ts'
import type { Deadline, WaitOptions } from './wait.ts'

/** What became of one item: its value, or why there is none. */
export type Outcome<V> = { readonly value: V; readonly error?: undefined } | { readonly value?: undefined; readonly error: ClientError }

export interface PerLeaderOptions extends WaitOptions {
  readonly deadline: Deadline
  /** Names the operation in errors. */
  readonly what: string
}

/**
 * Sends each partition's item to the partition's leader, one request a broker, and again, with fresh metadata, what failed retriably.
 * @param send Answers for every item it was given; an item without an answer is sent again.
 * @returns An outcome for every item, in order. Only an aborted signal and close() make it throw.
 */
export async function perLeader<I extends TopicPartition, V>(
  cluster: Cluster,
  items: readonly I[],
  { deadline, what, signal }: PerLeaderOptions,
  send: (connection: BrokerConnection, items: readonly I[]) => Promise<Map<I, { readonly errorCode: number; readonly value: V }>>,
): Promise<Outcome<V>[]> {
  const outcomes = new Map<I, Outcome<V>>()
  const lastErrors = new Map<I, ClientError>()
  let pending: readonly I[] = items

  const failed = (item: I, error: ClientError) => {
    if (isRetriable(error)) lastErrors.set(item, error)
    else outcomes.set(item, { error })
  }
  const sendTo = async (leaderId: number, group: readonly I[]) => {
    try {
      const connection = await cluster.connectionTo(leaderId, 'general', { signal })
      const answers = await send(connection, group)
      for (const item of group) {
        const answer = answers.get(item)
        if (answer === undefined) failed(item, new DisconnectedError(`${partitionName(item)}: the broker's answer leaves it out`))
        else if (answer.errorCode !== 0) failed(item, new BrokerError(answer.errorCode, partitionName(item)))
        else outcomes.set(item, { value: answer.value })
      }
    } catch (error) {
      if (signal?.aborted || cluster.closed) throw error
      for (const item of group)
        failed(item, error instanceof ClientError ? error : new ClientError('UNEXPECTED', messageOf(error), { cause: error }))
    }
  }

  for (let round = 0; pending.length > 0; round++) {
    if (round > 0) {
      const waitMs = cluster.retryBackoffMs(round - 1)
      if (waitMs >= deadline.remainingMs) break
      await cluster.sleep(waitMs, signal)
      await cluster.refresh({ signal }).catch((error) => {
        if (signal?.aborted || cluster.closed) throw error
      })
    }
    const byLeader = new Map<number, I[]>()
    for (const topic of new Set(pending.map((item) => item.topic))) {
      try {
        await cluster.topic(topic, { deadline, signal })
      } catch (error) {
        if (signal?.aborted || cluster.closed || !(error instanceof ClientError)) throw error
        // The whole time has gone by waiting for the topic: its last error says more than the timeout.
        const final = error instanceof TimeoutError && error.cause instanceof ClientError ? error.cause : error
        for (const item of pending) if (item.topic === topic) outcomes.set(item, { error: final })
      }
    }
    for (const item of pending) {
      if (outcomes.has(item)) continue
      const info = cluster.metadata.partition(item.topic, item.partition)
      if (info === undefined) {
        lastErrors.set(item, new BrokerError(errorTable.UNKNOWN_TOPIC_OR_PARTITION.code, partitionName(item)))
      } else if (info.leaderId < 0) {
        lastErrors.set(item, new BrokerError(errorTable.LEADER_NOT_AVAILABLE.code, partitionName(item)))
      } else {
        const group = byLeader.get(info.leaderId)
        if (group === undefined) byLeader.set(info.leaderId, [item])
        else group.push(item)
      }
    }
    await Promise.all([...byLeader].map(([leaderId, group]) => sendTo(leaderId, group)))
    pending = pending.filter((item) => !outcomes.has(item))
  }
  return items.map(
    (item) =>
      outcomes.get(item) ?? {
        error: new TimeoutError(
          `${what} of ${partitionName(item)} did not succeed within ${deadline.timeoutMs} ms: ${messageOf(lastErrors.get(item))}`,
          lastErrors.get(item),
        ),
      },
  )
}
