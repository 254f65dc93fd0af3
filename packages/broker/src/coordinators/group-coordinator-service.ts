import {
  type Caller,
  type CommitOffsetsRequest,
  type CommitResultOfTopic,
  type ConsumerCaller,
  type DescribedConsumerGroup,
  type DescribedGroup,
  decodeGroupRecord,
  encodeGroupRecord,
  type FetchOffsetsRequest,
  GroupCoordinator,
  type GroupCoordinatorConfig,
  type GroupRecord,
  type ListedGroup,
  type MarkerOfTransaction,
  type OffsetsOfTopic,
  type TopicsView,
  type TransactionOfWrite,
} from '@tidelog/coordinator'
import { type Clock, isWellFormedText, type Logger, type Random } from '@tidelog/core'
import { CONSUMER_OFFSETS_TOPIC } from '@tidelog/metadata'
import {
  type CodecName,
  type ConsumerGroupHeartbeatRequest,
  type ConsumerGroupHeartbeatResponse,
  type HeartbeatRequest,
  type HeartbeatResponse,
  type JoinGroupRequest,
  type JoinGroupResponse,
  KafkaError,
  type LeaveGroupRequest,
  type LeaveGroupResponse,
  type OffsetDeleteRequest,
  type OffsetDeleteResponse,
  type SyncGroupRequest,
  type SyncGroupResponse,
} from '@tidelog/protocol'
import type { CoordinatorLog } from './coordinator-log.ts'
import { CoordinatorPartition } from './coordinator-partition.ts'
import { keyPartition } from './key-partition.ts'
import { LedPartitions, type TermOfPartition } from './led-partitions.ts'

export interface GroupCoordinatorServiceOptions {
  readonly config: GroupCoordinatorConfig
  readonly topics: TopicsView
  /** offsets.topic.compression.codec */
  readonly codec: CodecName
  /** offsets.load.buffer.size */
  readonly loadBufferBytes: number
  /** Of __consumer_offsets; what it will have while it does not exist. */
  readonly partitionCount: () => number
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

type GroupPartition = CoordinatorPartition<GroupCoordinator, GroupRecord>

/**
 * The group coordinators of one broker: one for each partition of __consumer_offsets that it leads. Every method finds the partition of its
 * group, and throws KafkaError COORDINATOR_LOAD_IN_PROGRESS, NOT_COORDINATOR or, once closed, COORDINATOR_NOT_AVAILABLE.
 */
export class GroupCoordinatorService {
  readonly #options: GroupCoordinatorServiceOptions
  readonly #partitions = new LedPartitions<GroupPartition>((term) => this.#begin(term))

  constructor(options: GroupCoordinatorServiceOptions) {
    this.#options = options
  }

  // --- leadership ------------------------------------------------------------------------------------------------------------------

  #begin({ index, leaderEpoch, log, onLost }: TermOfPartition): GroupPartition {
    const groups = new GroupCoordinator(this.#options)
    return new CoordinatorPartition({
      ...this.#options,
      coordinator: groups,
      replay: {
        record: (key, value, producerId) => {
          const record = decodeGroupRecord(key, value)
          if (record !== undefined) groups.replay(record, producerId)
        },
        endTransaction: (producerId, committed) => groups.endTransaction(producerId, committed),
      },
      encode: encodeGroupRecord,
      log,
      logger: this.#options.logger.child({ partition: `${CONSUMER_OFFSETS_TOPIC}-${index}`, leaderEpoch }),
      onLost,
    })
  }

  /** This broker leads a partition of the offsets topic from now on. @returns when its groups have been loaded */
  elected(index: number, leaderEpoch: number, log: CoordinatorLog): Promise<void> {
    return this.#partitions.elected(index, leaderEpoch, log)
  }

  /** Another broker leads it, or it is gone. */
  resigned(index: number): void {
    this.#partitions.resigned(index)
  }

  /** Answers everyone who waits. */
  close(): void {
    this.#partitions.close()
  }

  /** @throws KafkaError INVALID_GROUP_ID for a name whose bytes are not UTF-8: it could not be told apart where it is shown */
  partitionOf(groupId: string): number {
    if (!isWellFormedText(groupId)) throw new KafkaError('INVALID_GROUP_ID')
    return keyPartition(groupId, this.#options.partitionCount())
  }

  #coordinatorOf(groupId: string): GroupPartition {
    return this.#partitions.of(this.partitionOf(groupId))
  }

  // --- members ---------------------------------------------------------------------------------------------------------------------

  async joinGroup(request: JoinGroupRequest, caller: Caller): Promise<JoinGroupResponse> {
    return this.#coordinatorOf(request.groupId).ask((groups, ticket, now) => groups.joinGroup(request, caller, ticket, now))
  }

  async syncGroup(request: SyncGroupRequest): Promise<SyncGroupResponse> {
    return this.#coordinatorOf(request.groupId).ask((groups, ticket, now) => groups.syncGroup(request, ticket, now))
  }

  heartbeat(request: HeartbeatRequest): HeartbeatResponse {
    const partition = this.#coordinatorOf(request.groupId)
    return partition.active.heartbeat(request, partition.now())
  }

  async leaveGroup(request: Pick<LeaveGroupRequest, 'groupId' | 'members'>): Promise<LeaveGroupResponse> {
    return this.#coordinatorOf(request.groupId).ask((groups, ticket, now) => groups.leaveGroup(request, ticket, now))
  }

  async consumerGroupHeartbeat(request: ConsumerGroupHeartbeatRequest, caller: ConsumerCaller): Promise<ConsumerGroupHeartbeatResponse> {
    return this.#coordinatorOf(request.groupId).ask((groups, ticket, now) => groups.consumerGroupHeartbeat(request, caller, ticket, now))
  }

  // --- offsets ---------------------------------------------------------------------------------------------------------------------

  async commitOffsets(request: CommitOffsetsRequest, caller: Pick<Caller, 'apiVersion'>): Promise<CommitResultOfTopic[]> {
    return this.#coordinatorOf(request.groupId).ask((groups, ticket, now) => groups.commitOffsets(request, caller, ticket, now))
  }

  /** @throws KafkaError as the other methods; what the commit itself cannot do stands beside its partitions */
  async commitOffsetsInTransaction(request: CommitOffsetsRequest, producer: TransactionOfWrite): Promise<CommitResultOfTopic[]> {
    return this.#coordinatorOf(request.groupId).ask((groups, ticket, now) =>
      groups.commitOffsetsInTransaction(request, producer, ticket, now),
    )
  }

  /** Ends a producer's transaction in one partition of the offsets topic. @throws KafkaError of the append */
  async writeMarker(index: number, marker: MarkerOfTransaction): Promise<void> {
    await this.#partitions.of(index).ask((groups, ticket, now) => groups.writeMarker(marker, ticket, now))
  }

  async fetchOffsets(request: FetchOffsetsRequest): Promise<OffsetsOfTopic[]> {
    return this.#coordinatorOf(request.groupId).ask((groups, ticket, now) => groups.fetchOffsets(request, ticket, now))
  }

  async deleteOffsets(request: OffsetDeleteRequest): Promise<OffsetDeleteResponse> {
    return this.#coordinatorOf(request.groupId).ask((groups, ticket, now) => groups.deleteOffsets(request, ticket, now))
  }

  /** Topics have come, gone or grown. */
  topicsChanged(names: ReadonlySet<string>): void {
    for (const coordinator of this.#partitions.all()) coordinator.tell((groups, now) => groups.topicsChanged(names, now))
  }

  /** Topics are gone: so is what groups had consumed of them. */
  topicsDeleted(topics: ReadonlySet<string>): void {
    for (const coordinator of this.#partitions.all()) coordinator.tell((groups, now) => groups.topicsDeleted(topics, now))
  }

  // --- groups ----------------------------------------------------------------------------------------------------------------------

  describeGroup(groupId: string, caller: Pick<Caller, 'apiVersion'>): DescribedGroup {
    return this.#coordinatorOf(groupId).active.describeGroup(groupId, caller)
  }

  /** @throws KafkaError GROUP_ID_NOT_FOUND, when it is none of the consumer protocol */
  describeConsumerGroup(groupId: string): DescribedConsumerGroup {
    return this.#coordinatorOf(groupId).active.describeConsumerGroup(groupId)
  }

  /** Those of the partitions that this broker leads. @throws KafkaError COORDINATOR_LOAD_IN_PROGRESS while any of them loads */
  listGroups(filter: { states: ReadonlySet<string>; types: ReadonlySet<string> }): ListedGroup[] {
    this.#partitions.requireOpen()
    return this.#partitions.all().flatMap((coordinator) => {
      try {
        return coordinator.active.listGroups(filter)
      } catch (error) {
        // One that could not be loaded has nothing to list here.
        if (error instanceof KafkaError && error.errorName === 'NOT_COORDINATOR') return []
        throw error
      }
    })
  }

  /** @returns An error code; NONE when the group and its offsets are gone. */
  async deleteGroup(groupId: string): Promise<number> {
    return this.#coordinatorOf(groupId).ask((groups, ticket, now) => groups.deleteGroup(groupId, ticket, now))
  }
}
