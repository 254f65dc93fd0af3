import { type ErrorName, KafkaError, type OffsetCommitRequest } from '@tidelog/protocol'
import { appendErrorToReply } from '../../steps/append-error.ts'
import type { MarkerOfTransaction, Ticket, TransactionOfWrite } from '../../steps/step.ts'
import type { Group } from '../group.ts'
import type { GroupCoordinatorConfig } from '../group-config.ts'
import type { CommittedOffset, OffsetRecord } from '../group-record.ts'
import { codeOf } from '../group-replies.ts'
import type { GroupStepBuilder } from '../group-step.ts'
import { OffsetStore } from './offset-store.ts'
import { OpenTransactions } from './open-transactions.ts'

type CommittedPartition = OffsetCommitRequest['topics'][number]['partitions'][number]

/** An OffsetCommitRequest whose topics have names and exist. */
export interface CommitOffsetsRequest
  extends Pick<OffsetCommitRequest, 'groupId' | 'generationIdOrMemberEpoch' | 'memberId' | 'groupInstanceId' | 'retentionTimeMs'> {
  readonly topics: readonly { readonly name: string; readonly partitions: readonly CommittedPartition[] }[]
}

/** The reply to it. */
export interface CommitResultOfTopic {
  readonly name: string
  readonly partitions: { readonly partitionIndex: number; readonly errorCode: number }[]
}

export interface TopicPartitions {
  readonly name: string
  readonly partitionIndexes: readonly number[]
}

export interface FetchOffsetsRequest {
  readonly groupId: string
  /** null for all that the group has. */
  readonly topics: readonly TopicPartitions[] | null
  /** Waits for commits that are under way, and answers UNSTABLE_OFFSET_COMMIT where a transaction is open. KIP-447. */
  readonly requireStable: boolean
  /** Of a member of a consumer group, with its epoch; null and −1, or absent, from others. */
  readonly memberId?: string | null
  readonly memberEpoch?: number
}

export interface OffsetsOfTopic {
  readonly name: string
  readonly partitions: OffsetOfPartition[]
}
export interface OffsetOfPartition {
  readonly partitionIndex: number
  /** -1 where none is committed. */
  readonly committedOffset: number
  readonly committedLeaderEpoch: number
  readonly metadata: string
  readonly errorCode: number
}

const none = (partitionIndex: number, errorCode = 0): OffsetOfPartition => ({
  partitionIndex,
  committedOffset: -1,
  committedLeaderEpoch: -1,
  metadata: '',
  errorCode,
})

const found = (partitionIndex: number, { offset, leaderEpoch, metadata }: CommittedOffset): OffsetOfPartition => ({
  partitionIndex,
  committedOffset: offset,
  committedLeaderEpoch: leaderEpoch,
  metadata,
  errorCode: 0,
})

/** The offsets of one coordinator partition's groups: committing, reading, expiring them. Who may do so is decided before. */
export class GroupOffsets {
  readonly #config: GroupCoordinatorConfig
  readonly #store = new OffsetStore()
  readonly #openTransactions = new OpenTransactions()

  constructor(config: GroupCoordinatorConfig) {
    this.#config = config
  }

  // --- the log ---------------------------------------------------------------------------------------------------------------------

  replay(record: OffsetRecord, producerId: number | undefined): void {
    if (producerId !== undefined) {
      this.#openTransactions.add(producerId, record, this.#store.nextOrder())
      return
    }
    this.#store.replay(record)
    if (record.value === null) this.#openTransactions.forget(record)
  }

  endTransaction(producerId: number, committed: boolean): void {
    const offsets = this.#openTransactions.end(producerId)
    if (committed) for (const offset of offsets) this.#store.commitTransactional(offset)
  }

  /** Applies records ahead of their append and takes them back if it fails. */
  apply(
    step: GroupStepBuilder,
    records: readonly OffsetRecord[],
    settled: (step: GroupStepBuilder, failure: ErrorName | undefined) => void,
  ): void {
    const pending = records.map((record) => this.#store.applyAhead(record))
    step.write(records, (later, failure) => {
      for (const change of pending) {
        if (failure !== undefined) this.#store.rollBack(change)
        else {
          this.#store.commit(change)
          if (change.record.value === null) this.#openTransactions.forget(change.record)
        }
      }
      settled(later, failure)
    })
  }

  // --- committing ------------------------------------------------------------------------------------------------------------------

  commit(step: GroupStepBuilder, request: CommitOffsetsRequest, ticket: Ticket, settled: (failure: ErrorName | undefined) => void): void {
    const { records, response } = this.#evaluate(request, step.now.wallMs)
    this.apply(step, records, (later, failure) => {
      settled(failure)
      later.reply(ticket, failure === undefined ? response : this.refuse(request, appendErrorToReply(failure)))
    })
  }

  /** The same in a transaction: the offsets count once it is committed, and are unstable until it is over. */
  commitInTransaction(
    step: GroupStepBuilder,
    request: CommitOffsetsRequest,
    producer: TransactionOfWrite,
    ticket: Ticket,
    settled: (failure: ErrorName | undefined) => void,
  ): void {
    const { records, response } = this.#evaluate(request, step.now.wallMs)
    const { producerId } = producer
    const pending = records.map((record) => this.#openTransactions.add(producerId, record, this.#store.nextOrder()))
    step.write(
      records,
      (later, failure) => {
        if (failure !== undefined) for (const offset of pending) this.#openTransactions.remove(producerId, offset)
        settled(failure)
        later.reply(ticket, failure === undefined ? response : this.refuse(request, appendErrorToReply(failure)))
      },
      producer,
    )
  }

  /** Ends a transaction: its offsets count, or are gone, when the marker lies in the log. */
  writeMarker(step: GroupStepBuilder, transaction: MarkerOfTransaction, ticket: Ticket): void {
    step.write(
      [],
      (later, failure) => {
        if (failure === undefined) this.endTransaction(transaction.producerId, transaction.marker.committed)
        later.reply(ticket, failure === undefined ? undefined : new KafkaError(failure))
      },
      transaction,
    )
  }

  /** What is to be appended, and the response once it has been. */
  #evaluate(request: CommitOffsetsRequest, nowMs: number): { records: OffsetRecord[]; response: CommitResultOfTopic[] } {
    const records: OffsetRecord[] = []
    const response: CommitResultOfTopic[] = request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map((partition) => {
        const { partitionIndex } = partition
        const value = committedOffset(partition, request.retentionTimeMs, nowMs)
        const error = this.#valueError(value)
        if (error !== undefined) return { partitionIndex, errorCode: codeOf(error) }
        records.push({ kind: 'offset', group: request.groupId, topic: name, partition: partitionIndex, value })
        return { partitionIndex, errorCode: 0 }
      }),
    }))
    return { records, response }
  }

  #valueError({ offset, metadata, commitTimestamp, expireTimestamp }: CommittedOffset): ErrorName | undefined {
    if (metadata.length > this.#config.offsetMetadataMaxBytes) return 'OFFSET_METADATA_TOO_LARGE'
    // Never rounded: a value that is no whole number here is refused.
    return [offset, commitTimestamp, expireTimestamp].every(Number.isSafeInteger) ? undefined : 'INVALID_REQUEST'
  }

  refuse(request: CommitOffsetsRequest, error: ErrorName): CommitResultOfTopic[] {
    const errorCode = codeOf(error)
    return request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
    }))
  }

  // --- reading ---------------------------------------------------------------------------------------------------------------------

  fetch(request: Pick<FetchOffsetsRequest, 'groupId' | 'topics' | 'requireStable'>): OffsetsOfTopic[] {
    const { groupId, topics, requireStable } = request
    const isUnstable = (topic: string, partition: number) => requireStable && this.#openTransactions.has(groupId, topic, partition)
    const unstable = new KafkaError('UNSTABLE_OFFSET_COMMIT').code
    if (topics === null) {
      return Array.from(this.#store.committedOf(groupId), ({ topic, partitions }) => ({
        name: topic,
        partitions: partitions.map(({ partition, offset }) =>
          isUnstable(topic, partition) ? none(partition, unstable) : found(partition, offset),
        ),
      }))
    }
    return topics.map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((partition) => {
        if (isUnstable(name, partition)) return none(partition, unstable)
        const offset = this.#store.committed(groupId, name, partition)
        return offset === null ? none(partition) : found(partition, offset)
      }),
    }))
  }

  has(group: string): boolean {
    return this.#store.has(group)
  }

  // --- removing --------------------------------------------------------------------------------------------------------------------

  /** For those of `partitions` that have an offset. */
  tombstones(group: string, topic: string, partitions: readonly { partitionIndex: number }[]): OffsetRecord[] {
    return partitions
      .filter(
        ({ partitionIndex: partition }) =>
          this.#store.newest(group, topic, partition) !== null || this.#openTransactions.has(group, topic, partition),
      )
      .map(({ partitionIndex: partition }) => ({ kind: 'offset', group, topic, partition, value: null }))
  }

  /** For all offsets of a group; `topics` limits it to these. */
  allTombstones(group: string, topics?: ReadonlySet<string>): OffsetRecord[] {
    const records: OffsetRecord[] = []
    for (const { topic, partition } of this.#store.newestOf(group)) {
      if (topics === undefined || topics.has(topic)) records.push({ kind: 'offset', group, topic, partition, value: null })
    }
    for (const { topic, partition } of this.#openTransactions.of(group)) {
      if (this.#store.newest(group, topic, partition) !== null) continue
      if (topics === undefined || topics.has(topic)) records.push({ kind: 'offset', group, topic, partition, value: null })
    }
    return records
  }

  /**
   * Offsets whose retention time has passed: counted from the group's becoming empty, or, where members are there or never were, from
   * the commit; never of a topic that members subscribe to.
   * @returns all: nothing is left to keep the group for.
   */
  expired(group: Group, nowMs: number): { tombstones: OffsetRecord[]; all: boolean } {
    const tombstones: OffsetRecord[] = []
    if (!this.#store.has(group.id)) return { tombstones, all: !this.#openTransactions.hasGroup(group.id) }
    const sinceEmptyMs =
      group.type === 'classic' && group.protocolType !== undefined && group.state === 'Empty' ? group.stateSinceMs : undefined
    if (!group.knowsSubscription) return { tombstones, all: false }
    let all = true
    for (const { topic, partition, offset } of this.#store.newestOf(group.id)) {
      const sinceMs = sinceEmptyMs ?? offset.commitTimestamp
      const isOver = offset.expireTimestamp === -1 ? nowMs - sinceMs >= this.#config.offsetsRetentionMs : nowMs >= offset.expireTimestamp
      if (isOver && !group.isSubscribedTo(topic) && !this.#openTransactions.has(group.id, topic, partition)) {
        tombstones.push({ kind: 'offset', group: group.id, topic, partition, value: null })
      } else all = false
    }
    return { tombstones, all: all && !this.#openTransactions.hasGroup(group.id) }
  }
}

function committedOffset(partition: CommittedPartition, retentionTimeMs: number, nowMs: number): CommittedOffset {
  const { committedOffset: offset, committedLeaderEpoch: leaderEpoch, committedMetadata, commitTimestamp } = partition
  return {
    offset,
    leaderEpoch,
    metadata: committedMetadata ?? '',
    commitTimestamp: commitTimestamp === -1 ? nowMs : commitTimestamp,
    expireTimestamp: retentionTimeMs === -1 ? -1 : nowMs + retentionTimeMs,
  }
}
