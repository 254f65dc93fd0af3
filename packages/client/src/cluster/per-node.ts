import { messageOf } from '@tidelog/core'
import { ClientError, DisconnectedError, isRetriable, TimeoutError } from '../errors.ts'
import { before, until } from '../wait.ts'
import type { BrokerConnection } from './broker-connection.ts'
import type { Cluster, RetryOptions } from './cluster.ts'
import type { Purpose } from './connection-pool.ts'
import type { Outcome } from './outcome.ts'

export interface PerNode<I, V> {
  readonly purpose: Purpose
  /** Names an item in errors. */
  readonly nameOf: (item: I) => string
  /**
   * Finds the broker of every item. One that has none is failed: for now, when the error is retriable, else for good.
   * @param round 0 at first: what was found then may be out of date in later rounds.
   */
  readonly locate: (
    pending: readonly I[],
    failed: (item: I, error: ClientError, isFinal?: boolean) => void,
    round: number,
  ) => Promise<Map<number, I[]>>
  /** Answers for every item it was given; an item without an answer is sent again. */
  readonly send: (connection: BrokerConnection, items: readonly I[], nodeId: number) => Promise<ReadonlyMap<I, Outcome<V>>>
}

/**
 * Sends each item to the broker that serves it, one request a broker, and again, to wherever it is by then, what failed retriably.
 * @returns An outcome for every item, in order. Only an aborted signal and close() make it throw.
 */
export async function perNode<I, V>(
  cluster: Cluster,
  items: readonly I[],
  { deadline, what, signal, maxRetries = Number.POSITIVE_INFINITY }: RetryOptions,
  { purpose, nameOf, locate, send }: PerNode<I, V>,
): Promise<Map<I, Outcome<V>>> {
  const outcomes = new Map<I, Outcome<V>>()
  const lastErrors = new Map<I, ClientError>()
  let pending: readonly I[] = [...new Set(items)]

  const failed = (item: I, error: ClientError, isFinal = !isRetriable(error)) => {
    if (isFinal) outcomes.set(item, { error })
    else lastErrors.set(item, error)
  }
  const failAll = (group: readonly I[], error: unknown) => {
    if (signal?.aborted || cluster.closed) throw error
    const failure = error instanceof ClientError ? error : new ClientError('UNEXPECTED', messageOf(error), { cause: error })
    for (const item of group) failed(item, failure)
  }
  const sendTo = async (nodeId: number, group: readonly I[]) => {
    try {
      const connection = await cluster.connectionTo(nodeId, purpose, { signal })
      const answers = await send(connection, group, nodeId)
      for (const item of group) {
        const answer = answers.get(item)
        if (answer === undefined) failed(item, new DisconnectedError(`${nameOf(item)}: the broker's answer leaves it out`))
        else if (answer.error !== undefined) failed(item, answer.error)
        else outcomes.set(item, answer)
      }
    } catch (error) {
      failAll(group, error)
    }
  }
  const oneRound = async (round: number) => {
    const asked = pending
    try {
      const byNode = await locate(asked, failed, round)
      await Promise.all([...byNode].map(([nodeId, group]) => sendTo(nodeId, group)))
    } catch (error) {
      failAll(asked, error)
    }
  }

  for (let round = 0; pending.length > 0; round++) {
    if (round > 0) {
      const waitMs = cluster.retryBackoffMs(round - 1)
      if (waitMs >= deadline.remainingMs || round > maxRetries) break
      await cluster.sleep(waitMs, signal)
    }
    try {
      await before(until(oneRound(round), signal, cluster.closing), cluster.clock, deadline, what)
    } catch (error) {
      if (!(error instanceof TimeoutError) || signal?.aborted || cluster.closed) throw error
      break
    }
    pending = pending.filter((item) => !outcomes.has(item))
  }
  const gaveUp = (item: I): ClientError => {
    const last = lastErrors.get(item)
    const why = last === undefined ? 'no broker answered' : messageOf(last)
    return new TimeoutError(`${what} of ${nameOf(item)} did not succeed within ${deadline.timeoutMs} ms: ${why}`, last)
  }
  return new Map(items.map((item) => [item, outcomes.get(item) ?? { error: gaveUp(item) }]))
}
