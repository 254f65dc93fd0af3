import { AddOffsetsToTxn, AddPartitionsToTxn, EndTxn, InitProducerId, TxnOffsetCommit } from '@tidelog/protocol'
import type { BrokerConnection } from '../../cluster/broker-connection.ts'
import { committedTopics } from '../../cluster/group-offsets.ts'
import { BrokerError, checkErrorCode, UnsupportedVersionError } from '../../errors.ts'
import { groupByTopic, type OffsetAndMetadata, partitionName, type TopicPartition } from '../../topic-partition.ts'
import type { ProducerIdAndEpoch } from '../producer-batch.ts'
import type { TransactionVersion } from './transaction-state.ts'

/** Which transaction a request belongs to. */
export interface TransactionIdentity extends ProducerIdAndEpoch {
  readonly transactionalId: string
  readonly version: TransactionVersion
}

/** Who has consumed what a transaction commits: the consumer's groupMetadata(), or a group by name that has no members. KIP-447. */
export interface TransactionGroup {
  readonly groupId: string
  /** With `memberId`: a member that the group has gone on without cannot commit. The group by itself when absent. */
  readonly generationId?: number | undefined
  readonly memberId?: string | undefined
  readonly groupInstanceId?: string | null | undefined
}

/** The versions from here on are version 2 of transactions, and a broker takes them as such. KIP-890. */
const FIRST_OF_VERSION_2 = { Produce: 12, TxnOffsetCommit: 5, EndTxn: 5 } as const
/** Later ones are for brokers among themselves. */
const NEWEST_ADD_PARTITIONS = 3
const OLDEST_BUMP = 3
const OLDEST_WITH_MEMBER = 3

/** Newest version to speak in a transaction, for APIs that mean something else in the other version of transactions. */
export const maxVersionOf = (api: keyof typeof FIRST_OF_VERSION_2, version: TransactionVersion): { readonly maxVersion?: number } =>
  version === 1 ? { maxVersion: FIRST_OF_VERSION_2[api] - 1 } : {}

const FEATURE = 'transaction.version'

/** The version of transactions that the coordinator's cluster runs. */
export function transactionVersionOf(connection: BrokerConnection): TransactionVersion {
  return connection.featureLevel(FEATURE) >= 2 && connection.versionOf(EndTxn) >= FIRST_OF_VERSION_2.EndTxn ? 2 : 1
}

/** @param last The producer that asks for its next epoch (KIP-360); undefined: it fences whoever has the id. */
export async function initProducerId(
  connection: BrokerConnection,
  transactionalId: string,
  transactionTimeoutMs: number,
  last: ProducerIdAndEpoch | undefined,
): Promise<ProducerIdAndEpoch> {
  const { errorCode, producerId, producerEpoch } = await connection.send(InitProducerId, (version) => {
    if (last !== undefined && version < OLDEST_BUMP) throw new UnsupportedVersionError('the broker raises no epochs (InitProducerId 3)')
    return { transactionalId, transactionTimeoutMs, ...last }
  })
  checkErrorCode(errorCode, `transactional id ${transactionalId}`)
  return { producerId, producerEpoch }
}

export async function addPartitions(
  connection: BrokerConnection,
  { transactionalId, producerId, producerEpoch }: TransactionIdentity,
  partitions: readonly TopicPartition[],
): Promise<void> {
  const topics = [...groupByTopic(partitions)].map(([name, entries]) => ({ name, partitions: entries.map(({ partition }) => partition) }))
  const response = await connection.send(
    AddPartitionsToTxn,
    {
      transactions: [],
      v3AndBelowTransactionalId: transactionalId,
      v3AndBelowProducerId: producerId,
      v3AndBelowProducerEpoch: producerEpoch,
      v3AndBelowTopics: topics,
    },
    { maxVersion: NEWEST_ADD_PARTITIONS },
  )
  const failures = response.resultsByTopicV3AndBelow.flatMap(({ name, resultsByPartition }) =>
    resultsByPartition
      .filter(({ partitionErrorCode }) => partitionErrorCode !== 0)
      .map(
        ({ partitionIndex, partitionErrorCode }) =>
          new BrokerError(partitionErrorCode, `${name}-${partitionIndex} in the transaction of ${transactionalId}`),
      ),
  )
  // The others of the request were not attempted because of the one that is at fault.
  const failure = failures.find(({ code }) => code !== 'OPERATION_NOT_ATTEMPTED') ?? failures[0]
  if (failure !== undefined) throw failure
}

export async function addOffsets(
  connection: BrokerConnection,
  { transactionalId, producerId, producerEpoch }: TransactionIdentity,
  groupId: string,
): Promise<void> {
  const { errorCode } = await connection.send(AddOffsetsToTxn, { transactionalId, producerId, producerEpoch, groupId })
  checkErrorCode(errorCode, `offsets of group ${groupId} in the transaction of ${transactionalId}`)
}

/** @throws BrokerError of the first partition that has one; all of `offsets` may be sent again */
export async function commitOffsets(
  connection: BrokerConnection,
  { transactionalId, producerId, producerEpoch, version }: TransactionIdentity,
  { groupId, generationId = -1, memberId = '', groupInstanceId = null }: TransactionGroup,
  offsets: readonly (TopicPartition & OffsetAndMetadata)[],
): Promise<void> {
  const response = await connection.send(
    TxnOffsetCommit,
    (apiVersion) => ({
      transactionalId,
      groupId,
      producerId,
      producerEpoch,
      ...(apiVersion >= OLDEST_WITH_MEMBER ? { generationId, memberId, groupInstanceId } : {}),
      topics: committedTopics(offsets),
    }),
    maxVersionOf('TxnOffsetCommit', version),
  )
  for (const { name, partitions } of response.topics) {
    for (const { partitionIndex, errorCode } of partitions) {
      checkErrorCode(errorCode, `offset of group ${groupId} in ${partitionName({ topic: name, partition: partitionIndex })}`)
    }
  }
}

/** @returns whom the next transaction belongs to: under version 2 the next epoch, or a new producer id when there is none left */
export async function endTransaction(
  connection: BrokerConnection,
  { transactionalId, producerId, producerEpoch, version }: TransactionIdentity,
  committed: boolean,
): Promise<ProducerIdAndEpoch | undefined> {
  const response = await connection.send(EndTxn, { transactionalId, producerId, producerEpoch, committed }, maxVersionOf('EndTxn', version))
  checkErrorCode(response.errorCode, `${committed ? 'commit' : 'abort'} of the transaction of ${transactionalId}`)
  return response.producerId >= 0 ? { producerId: response.producerId, producerEpoch: response.producerEpoch } : undefined
}
