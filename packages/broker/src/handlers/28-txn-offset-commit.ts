import { CONSUMER_OFFSETS_TOPIC } from '@tidelog/metadata'
import { errorTable, KafkaError, type ResponseInput, TxnOffsetCommit, type TxnOffsetCommitRequest } from '@tidelog/protocol'
import { defineHandler } from '../define-handler.ts'
import type { RequestContext } from '../request-context.ts'
import type { VerificationMode } from '../transactions/partition-verifier.ts'
import { verifiedGuard } from '../transactions/verified-guard.ts'

type Topic = TxnOffsetCommitRequest['topics'][number]
type Partition = Topic['partitions'][number]

/** Before, a coordinator that loads is one that is not available. */
const FIRST_VERSION_WITH_LOADING = 2
/** From here on a producer understands TRANSACTION_ABORTABLE. KIP-890. */
const FIRST_VERSION_WITH_ABORTABLE = 4
/** From here on the offsets' partition is added to the transaction by its leader. KIP-890. */
const FIRST_VERSION_THAT_ADDS = 5
/** Coordinators append without one. */
const noSequence = -1

/** Stores offsets that count once the producer's transaction is committed. Source: KIP-98, KIP-447 (member checks). */
export const txnOffsetCommit = defineHandler(
  TxnOffsetCommit,
  async (request, context) => {
    const { transactionalId, groupId, generationId, memberId, groupInstanceId, topics } = request
    context.authorize('Write', 'TransactionalId', transactionalId)
    context.authorize('Read', 'Group', groupId)
    const codes = new Map<Partition, number>()
    const toCommit = topics.map((topic) => existing(topic, context, codes)).filter(({ partitions }) => partitions.length > 0)
    if (toCommit.length > 0) {
      if (groupId === '') throw new KafkaError('INVALID_GROUP_ID')
      const producer = { producerId: request.producerId, producerEpoch: request.producerEpoch }
      const guard = await guardOf(request, context)
      const committed = await context.broker.groups.commitOffsetsInTransaction(
        {
          groupId,
          generationIdOrMemberEpoch: generationId,
          memberId,
          groupInstanceId,
          retentionTimeMs: -1,
          // The request names no time for the commit.
          topics: toCommit.map(({ name, partitions }) => ({
            name,
            partitions: partitions.map((partition) => ({ ...partition, commitTimestamp: -1 })),
          })),
        },
        { ...producer, guard },
      )
      for (const [i, { partitions }] of toCommit.entries()) {
        for (const [j, partition] of partitions.entries()) codes.set(partition, committed[i]!.partitions[j]!.errorCode)
      }
    }
    return reply(request, (partition) => codes.get(partition) ?? 0)
  },
  {
    errorResponse: (request, errorCode, _message, apiVersion) => reply(request, () => knownCode(errorCode, apiVersion)),
  },
)

/** Asks the coordinator of the transaction on behalf of the partition that has the group's offsets. */
async function guardOf(
  { transactionalId, groupId, producerId, producerEpoch }: TxnOffsetCommitRequest,
  { apiVersion, broker }: RequestContext,
) {
  const partition = broker.replicas.hosted(CONSUMER_OFFSETS_TOPIC, broker.groups.partitionOf(groupId))
  if (partition?.isLeader !== true) throw new KafkaError('NOT_COORDINATOR')
  const producer = { transactionalId, producerId, producerEpoch, baseSequence: noSequence }
  return verifiedGuard(partition, producer, verificationMode(apiVersion), broker)
}

function verificationMode(apiVersion: number): VerificationMode {
  if (apiVersion >= FIRST_VERSION_THAT_ADDS) return 'add'
  return apiVersion >= FIRST_VERSION_WITH_ABORTABLE ? 'verify-abortable' : 'verify'
}

function knownCode(errorCode: number, apiVersion: number): number {
  const isLoading = errorCode === errorTable.COORDINATOR_LOAD_IN_PROGRESS.code
  return isLoading && apiVersion < FIRST_VERSION_WITH_LOADING ? errorTable.COORDINATOR_NOT_AVAILABLE.code : errorCode
}

function reply({ topics }: TxnOffsetCommitRequest, codeOf: (partition: Partition) => number): ResponseInput<typeof TxnOffsetCommit> {
  return {
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map((partition) => ({ partitionIndex: partition.partitionIndex, errorCode: codeOf(partition) })),
    })),
  }
}

/** The topic with those of its partitions that may be committed; the codes of the others are noted. */
function existing({ name, partitions }: Topic, context: RequestContext, codes: Map<Partition, number>) {
  const isReadable = context.isAuthorized('Read', 'Topic', name)
  const partitionsToCommit = partitions.filter((partition) => {
    if (isReadable && context.broker.image.hasPartition(name, partition.partitionIndex)) return true
    codes.set(partition, errorTable[isReadable ? 'UNKNOWN_TOPIC_OR_PARTITION' : 'TOPIC_AUTHORIZATION_FAILED'].code)
    return false
  })
  return { name, partitions: partitionsToCommit }
}
