import { ZERO_UUID } from '@tidelog/core'
import { OffsetCommit } from '@tidelog/protocol'
import type { BrokerConnection } from '../cluster/broker-connection.ts'
import type { Cluster, RetryOptions } from '../cluster/cluster.ts'
import { committedTopics, committedTopicsById, fetchGroupOffsets, NEWEST_VERSION_BY_NAME } from '../cluster/group-offsets.ts'
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
  /** Of the topic in which the partition's position is one; undefined: not known. */
  readonly topicIdOf: (partition: TopicPartition) => string | undefined
  /** The coordinator does not know this member, or not the generation it spoke for. @returns whether that ends the membership */
  readonly onMembershipLost: (error: ClientError, generationId: number) => boolean
}

/** Asked for a member that has another epoch, or is none, by now: to be asked as what it is now. */
const asAnother = ['STALE_MEMBER_EPOCH', 'UNKNOWN_MEMBER_ID'] as const
/** A coordinator may hear of a new topic a moment after its leaders have; one that is gone does not come back. */
const MAX_UNKNOWN_TOPIC_IDS = 3
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
    const { topicIdOf } = this.#options
    // As it is now: by the time of the request there may be another topic of the name, and the offsets are none of it.
    const commits = offsets.map((offset) => ({ ...offset, topicId: topicIdOf(offset) }))
    const committed = this.#last.then(() => this.#commit(commits, options))
    this.#last = committed.catch(() => {})
    return committed
  }

  /** Committed offsets; partitions without one are left out. */
  fetch(partitions: readonly TopicPartition[], requireStable: boolean, options: RetryOptions): Promise<PartitionMap<OffsetAndMetadata>> {
    const { cluster, coordinator, identity, asksAsMember } = this.#options
    const retryIf = (error: unknown) => {
      // Newer metadata may have another id, or none, and then the topic is asked for by name.
      if (hasCode(error, 'UNKNOWN_TOPIC_ID')) cluster.requestRefresh()
      return isRetriable(error) || hasCode(error, ...asAnother)
    }
    return coordinator.retry({ ...options, retryIf }, (connection) => {
      const { memberId, generationId } = identity()
      const member = !asksAsMember || generationId < 0 ? undefined : { memberId, memberEpoch: generationId }
      const topicIds = this.#topicIdsOf(partitions)
      return fetchGroupOffsets(connection, coordinator.groupId, partitions, requireStable, { member, topicIds })
    })
  }

  /** As the metadata has them. */
  #topicIdsOf(partitions: readonly TopicPartition[]): Map<string, string> {
    const { cluster } = this.#options
    const topicIds = new Map<string, string>()
    for (const { topic } of partitions) {
      const topicId = cluster.metadata.topic(topic)?.topicId ?? ZERO_UUID
      if (topicId !== ZERO_UUID) topicIds.set(topic, topicId)
    }
    return topicIds
  }

  async #commit(commits: readonly Commit[], options: RetryOptions): Promise<void> {
    const { coordinator, metrics, identity, onMembershipLost } = this.#options
    let sentAs = identity()
    const wasMember = sentAs.generationId >= 0
    // A topic that is gone does not come back; an epoch that has gone on is followed, as Java has it.
    let unknownIds = 0
    const retryIf = (error: unknown) => {
      if (hasCode(error, 'UNKNOWN_TOPIC_ID')) return ++unknownIds < MAX_UNKNOWN_TOPIC_IDS
      return (isRetriable(error) && !hasCode(error, 'UNKNOWN_TOPIC_OR_PARTITION')) || hasCode(error, 'STALE_MEMBER_EPOCH')
    }
    // A request names all of its topics one way or the other.
    const parts = [commits.filter(isById), commits.filter((commit) => !isById(commit))].filter(({ length }) => length > 0)
    try {
      await coordinator.retry({ ...options, retryIf }, async (connection) => {
        sentAs = identity()
        // From outside of the group an empty one would take it.
        if (wasMember && sentAs.generationId < 0) throw new CommitFailedError(goneOn(coordinator.groupId))
        for (const part of parts) await metrics.group.commit(() => this.#send(connection, part, sentAs))
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

  /** @throws BrokerError of the first partition that has one */
  async #send(connection: BrokerConnection, commits: readonly Commit[], sentAs: CommitIdentity): Promise<void> {
    const { groupId } = this.#options.coordinator
    const options = commits.every(isById) ? {} : { maxVersion: NEWEST_VERSION_BY_NAME }
    const { topics } = await connection.send(OffsetCommit, this.#requestOf(commits, sentAs), options)
    const namesById = new Map(commits.map(({ topic, topicId }) => [topicId, topic]))
    for (const { name, topicId, partitions } of topics) {
      for (const { partitionIndex, errorCode } of partitions) {
        const where = partitionName({ topic: name || (namesById.get(topicId) ?? topicId), partition: partitionIndex })
        if (errorCode !== 0) throw new BrokerError(errorCode, `offset of group ${groupId} in ${where}`)
      }
    }
  }

  #requestOf(commits: readonly Commit[], { generationId, memberId, groupInstanceId }: CommitIdentity) {
    const { coordinator } = this.#options
    return (version: number) => ({
      groupId: coordinator.groupId,
      generationIdOrMemberEpoch: generationId,
      memberId,
      groupInstanceId: version >= OLDEST_STATIC ? groupInstanceId : null,
      topics: version > NEWEST_VERSION_BY_NAME ? committedTopicsById(commits.filter(isById)) : committedTopics(commits),
    })
  }
}

/** What is to be stored of a partition. */
interface Commit extends TopicPartition, OffsetAndMetadata {
  readonly topicId: string | undefined
}

const isById = (commit: Commit): commit is Commit & { readonly topicId: string } => commit.topicId !== undefined

const goneOn = (groupId: string): string =>
  `group ${groupId} has gone on without this consumer, which took longer than maxPollIntervalMs or was cut off: its offsets were not committed, and other members read the records again`

const OLDEST_STATIC = 7
