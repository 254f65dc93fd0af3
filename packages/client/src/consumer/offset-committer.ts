import { OffsetCommit } from '@tidelog/protocol'
import type { Cluster, RetryOptions } from '../cluster/cluster.ts'
import { committedTopics, fetchGroupOffsets, NEWEST_VERSION_BY_NAME } from '../cluster/group-offsets.ts'
import { BrokerError, type ClientError, CommitFailedError, hasCode, isRetriable } from '../errors.ts'
import { type OffsetAndMetadata, type PartitionMap, partitionName, type TopicPartition } from '../topic-partition.ts'
import type { ConsumerMetrics } from './consumer-metrics.ts'
import type { GroupCoordinator } from './group-coordinator.ts'

/** As whom offsets are committed. */
export interface CommitIdentity {
  /** Of a classic group; the member epoch in a group of the consumer protocol. -1 for a consumer that is no member, with assigned partitions of its own choice. */
  readonly generationId: number
  readonly memberId: string
  readonly groupInstanceId: string | null
}

export interface OffsetCommitterOptions {
  readonly cluster: Cluster
  readonly coordinator: GroupCoordinator
  readonly metrics: ConsumerMetrics
  readonly identity: () => CommitIdentity
  /** The group is of the consumer protocol, whose coordinator checks who asks for offsets. */
  readonly asksAsMember: boolean
  /** The coordinator does not know this member, or not the generation it spoke for. @returns whether that ends the membership */
  readonly onMembershipLost: (error: ClientError, generationId: number) => boolean
}

/** Asked for a member that has another epoch, or is none, by now: to be asked as what it is now. */
const asAnother = ['STALE_MEMBER_EPOCH', 'UNKNOWN_MEMBER_ID'] as const
const notAMember = ['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'FENCED_INSTANCE_ID'] as const

/** Stores a group's offsets and reads them. Commits take effect in the order of the calls, also when one has to be repeated. */
export class OffsetCommitter {
  readonly #options: OffsetCommitterOptions
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: OffsetCommitterOptions) {
    this.#options = options
  }

  /**
   * @throws CommitFailedError when the group has gone on without this member, or is about to; BrokerError; TimeoutError
   */
  commit(offsets: readonly (TopicPartition & OffsetAndMetadata)[], options: RetryOptions): Promise<void> {
    if (offsets.length === 0) return Promise.resolve()
    const committed = this.#last.then(() => this.#commit(offsets, options))
    this.#last = committed.catch(() => {})
    return committed
  }

  /** Committed offsets; partitions without one are left out. */
  fetch(partitions: readonly TopicPartition[], requireStable: boolean, options: RetryOptions): Promise<PartitionMap<OffsetAndMetadata>> {
    const { coordinator, identity, asksAsMember } = this.#options
    const retryIf = (error: unknown) => isRetriable(error) || hasCode(error, ...asAnother)
    return coordinator.retry({ ...options, retryIf }, (connection) => {
      const { memberId, generationId } = identity()
      const member = !asksAsMember || generationId < 0 ? undefined : { memberId, memberEpoch: generationId }
      return fetchGroupOffsets(connection, coordinator.groupId, partitions, requireStable, member)
    })
  }

  async #commit(offsets: readonly (TopicPartition & OffsetAndMetadata)[], options: RetryOptions): Promise<void> {
    const { coordinator, metrics, identity, onMembershipLost } = this.#options
    let sentAs = identity()
    const wasMember = sentAs.generationId >= 0
    // A topic that is gone does not come back; an epoch that has gone on is followed, as Java has it.
    const retryIf = (error: unknown) =>
      (isRetriable(error) && !hasCode(error, 'UNKNOWN_TOPIC_OR_PARTITION')) || hasCode(error, 'STALE_MEMBER_EPOCH')
    try {
      await coordinator.retry({ ...options, retryIf }, async (connection) => {
        sentAs = identity()
        // From outside of the group an empty one would take it.
        if (wasMember && sentAs.generationId < 0) throw new CommitFailedError(goneOn(coordinator.groupId))
        const response = await metrics.group.commit(() =>
          connection.send(OffsetCommit, this.#requestOf(offsets, sentAs), { maxVersion: NEWEST_VERSION_BY_NAME }),
        )
        for (const { name, partitions } of response.topics) {
          for (const { partitionIndex, errorCode } of partitions) {
            const where = partitionName({ topic: name, partition: partitionIndex })
            if (errorCode !== 0) throw new BrokerError(errorCode, `offset of group ${coordinator.groupId} in ${where}`)
          }
        }
      })
    } catch (error) {
      if (hasCode(error, ...notAMember) && onMembershipLost(error, sentAs.generationId)) {
        throw new CommitFailedError(goneOn(coordinator.groupId), error)
      }
      if (hasCode(error, ...notAMember, 'REBALANCE_IN_PROGRESS')) {
        throw new CommitFailedError(`group ${coordinator.groupId} is rebalancing: commit again after the next poll`, error)
      }
      throw error
    }
  }

  #requestOf(offsets: readonly (TopicPartition & OffsetAndMetadata)[], { generationId, memberId, groupInstanceId }: CommitIdentity) {
    const { coordinator } = this.#options
    return (version: number) => ({
      groupId: coordinator.groupId,
      generationIdOrMemberEpoch: generationId,
      memberId,
      groupInstanceId: version >= OLDEST_STATIC ? groupInstanceId : null,
      topics: committedTopics(offsets),
    })
  }
}

const goneOn = (groupId: string): string =>
  `group ${groupId} has gone on without this consumer, which took longer than maxPollIntervalMs or was cut off: its offsets were not committed, and other members read the records again`

const OLDEST_STATIC = 7
