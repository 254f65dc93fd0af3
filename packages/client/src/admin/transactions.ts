import { DescribeTransactions, InitProducerId, ListTransactions, WriteTxnMarkers } from '@tidelog/protocol'
import type { Outcome } from '../cluster/outcome.ts'
import { perCoordinator } from '../cluster/per-coordinator.ts'
import { perLeader } from '../cluster/per-leader.ts'
import { checkErrorCode, UnsupportedVersionError } from '../errors.ts'
import { partitionName, type TopicPartition } from '../topic-partition.ts'
import { type AdminCallOptions, type AdminContext, callOptions } from './admin-client.ts'
import { outcomeOf } from './per-item.ts'
import { allOrThrow } from './results.ts'

/** As coordinators call it: `Empty`, `Ongoing`, `PrepareCommit`, `PrepareAbort`, `CompleteCommit`, `CompleteAbort`, `PrepareEpochFence`. */
export type TransactionState = string

/** A transactional id, as listTransactions() finds it. */
export interface TransactionListing {
  readonly transactionalId: string
  readonly producerId: number
  readonly state: TransactionState
}

/** Which transactions listTransactions() gives: all when nothing is said. */
export interface ListTransactionsOptions extends AdminCallOptions {
  readonly states?: readonly TransactionState[]
  readonly producerIds?: readonly number[]
  /** Only transactions that have been running for longer; all when absent or negative. KIP-994. */
  readonly durationMs?: number | undefined
  /** A regular expression that the whole id must match. KIP-1152. */
  readonly transactionalIdPattern?: string | undefined
}

const OLDEST_LIST_BY_DURATION = 1
const OLDEST_LIST_BY_PATTERN = 2

/** Every broker lists the transactional ids that it coordinates. */
export async function listTransactions(
  context: AdminContext,
  { states = [], producerIds = [], durationMs = -1, transactionalIdPattern, ...options }: ListTransactionsOptions,
): Promise<Map<number, TransactionListing[]>> {
  const { cluster } = context
  const retry = callOptions(context, 'listTransactions', options)
  await cluster.retry(retry, () => cluster.refresh(retry))
  const listedBy = (nodeId: number) =>
    cluster.retry(retry, async () => {
      const connection = await cluster.connectionTo(nodeId, 'general', retry)
      const response = await connection.send(ListTransactions, (version) => {
        if (durationMs >= 0 && version < OLDEST_LIST_BY_DURATION)
          throw new UnsupportedVersionError('the broker cannot list transactions by duration')
        if (transactionalIdPattern !== undefined && version < OLDEST_LIST_BY_PATTERN)
          throw new UnsupportedVersionError('the broker cannot list transactions by a pattern of their ids')
        return {
          stateFilters: states,
          producerIdFilters: producerIds,
          durationFilter: durationMs,
          transactionalIdPattern: transactionalIdPattern ?? null,
        }
      })
      checkErrorCode(response.errorCode, `transactions of broker ${nodeId}`)
      return response.transactionStates.map(({ transactionalId, producerId, transactionState: state }) => ({
        transactionalId,
        producerId,
        state,
      }))
    })
  const nodeIds = [...cluster.metadata.brokers.keys()].sort((a, b) => a - b)
  return new Map(await Promise.all(nodeIds.map(async (nodeId) => [nodeId, await listedBy(nodeId)] as const)))
}

/** A transactional id, with its transaction if one is open. */
export interface TransactionDescription {
  readonly transactionalId: string
  readonly coordinatorId: number
  readonly state: TransactionState
  readonly producerId: number
  readonly producerEpoch: number
  readonly transactionTimeoutMs: number
  /** Ms since the Unix epoch; undefined while no transaction is open. */
  readonly transactionStartTimeMs: number | undefined
  /** Those of the open transaction, or those that wait for its marker. */
  readonly partitions: readonly TopicPartition[]
}

const idText = (transactionalId: string): string => `transactional id ${transactionalId}`

/** The values by transactional id, in order. @throws as allOrThrow */
function byId<V>(what: string, outcomes: ReadonlyMap<string, Outcome<V>>): Map<string, V> {
  const values = allOrThrow(what, outcomes)
  return new Map([...outcomes.keys()].map((id, index) => [id, values[index]!]))
}

export async function describeTransactions(
  context: AdminContext,
  transactionalIds: readonly string[],
  options: AdminCallOptions,
): Promise<Map<string, TransactionDescription>> {
  const what = 'describeTransactions'
  const retry = callOptions(context, what, options)
  const outcomes = await perCoordinator(context.cluster, 'transactional id', transactionalIds, retry, async (connection, ids, nodeId) => {
    const response = await connection.send(DescribeTransactions, { transactionalIds: [...ids] })
    return new Map(
      response.transactionStates.map((found) => {
        const describe = (): TransactionDescription => ({
          transactionalId: found.transactionalId,
          coordinatorId: nodeId,
          state: found.transactionState,
          producerId: found.producerId,
          producerEpoch: found.producerEpoch,
          transactionTimeoutMs: found.transactionTimeoutMs,
          transactionStartTimeMs: found.transactionStartTimeMs < 0 ? undefined : found.transactionStartTimeMs,
          partitions: found.topics.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition }))),
        })
        return [found.transactionalId, outcomeOf(idText(found.transactionalId), found, describe)]
      }),
    )
  })
  return byId(what, outcomes)
}

/** Which transaction: that of a producer in a partition. */
export interface AbortTransactionSpec extends TopicPartition {
  readonly producerId: number
  readonly producerEpoch: number
  /** The one that the partition knows, 0 where it knows none. */
  readonly coordinatorEpoch: number
}

export async function abortTransaction(context: AdminContext, spec: AbortTransactionSpec, options: AdminCallOptions): Promise<void> {
  const outcomes = await perLeader(context.cluster, [spec], callOptions(context, 'abortTransaction', options), async (connection) => {
    const { topic, partition, producerId, producerEpoch, coordinatorEpoch } = spec
    const response = await connection.send(WriteTxnMarkers, {
      markers: [
        {
          producerId,
          producerEpoch,
          transactionResult: false,
          topics: [{ name: topic, partitionIndexes: [partition] }],
          coordinatorEpoch,
        },
      ],
    })
    const answer = response.markers[0]?.topics[0]?.partitions[0]
    return new Map(answer === undefined ? [] : [[spec, { errorCode: answer.errorCode, value: undefined }]])
  })
  allOrThrow('abortTransaction', [[partitionName(spec), outcomes[0]!]])
}

export async function fenceProducers(
  context: AdminContext,
  transactionalIds: readonly string[],
  options: AdminCallOptions,
): Promise<Map<string, { readonly producerId: number; readonly producerEpoch: number }>> {
  const what = 'fenceProducers'
  const retry = callOptions(context, what, options)
  const outcomes = await perCoordinator(context.cluster, 'transactional id', transactionalIds, retry, async (connection, ids) => {
    const fenced = ids.map(async (transactionalId) => {
      const response = await connection.send(InitProducerId, {
        transactionalId,
        // What the id's transactions would get if it were new; of one that is known it matters to nobody, for its next producer names its own.
        transactionTimeoutMs: options.timeoutMs ?? context.config['request.timeout.ms'],
        producerId: -1,
        producerEpoch: -1,
      })
      const { producerId, producerEpoch } = response
      return [transactionalId, outcomeOf(idText(transactionalId), response, () => ({ producerId, producerEpoch }))] as const
    })
    return new Map(await Promise.all(fenced))
  })
  return byId(what, outcomes)
}
