import { messageOf } from '@tidelog/core'
import { OffsetForLeaderEpoch } from '@tidelog/protocol'
import type { BrokerConnection } from '../cluster/broker-connection.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { OffsetSpec } from '../cluster/list-offsets.ts'
import type { PartitionInfo } from '../cluster/metadata-cache.ts'
import { BrokerError, ClientError, checkOffset, DisconnectedError, LogTruncationError } from '../errors.ts'
import { groupByTopic, PartitionMap, partitionName, type TopicPartition } from '../topic-partition.ts'
import type { LeaderAndEpoch, PartitionState } from './partition-state.ts'
import type { Position } from './position.ts'

export interface PositionValidatorOptions {
  readonly cluster: Cluster
  /** What `auto.offset.reset` means now; undefined: none. */
  readonly policy: () => OffsetSpec | undefined
  readonly onError: (error: ClientError) => void
  /** Positions have been checked: something may be fetched that could not before, or has to be looked up. */
  readonly notify: () => void
}

/** One position that is being checked. */
interface Check extends TopicPartition {
  readonly state: PartitionState
  readonly position: Position
  readonly fetchGeneration: number
  readonly leader: LeaderAndEpoch
}

interface EpochEnd {
  readonly errorCode: number
  readonly leaderEpoch: number
  readonly endOffset: number
}

/** From here on a consumer may ask that reads the topic; before, only another broker. */
const OLDEST_FOR_CONSUMERS = 3
/** Metadata this much newer that still shows an epoch lower than the position's is right: the cluster has lost the higher one. */
const METADATA_PATIENCE = 3

/**
 * Notices that a log was truncated below a position, as an unclean election does: before the first fetch from a leader that is new to a
 * partition, the leader is asked where the epoch of the last record read ends. Positions without an epoch cannot be checked. Source: KIP-320.
 */
export class PositionValidator {
  readonly #options: PositionValidatorOptions
  /** To be asked about with the next `run`. */
  #due: Check[] = []
  readonly #running = new Set<PartitionState>()
  /** Metadata versions at which an epoch was first seen to be behind a position's. */
  readonly #behindSince = new WeakMap<PartitionState, number>()

  constructor(options: PositionValidatorOptions) {
    this.#options = options
  }

  /** May the partition be fetched from this leader, or one of its followers? When not, it is on the way to be, once `run` has been called. */
  mayFetch(state: PartitionState, { leaderId, leaderEpoch }: PartitionInfo, nowMs: number): boolean {
    const { checkedLeader } = state
    if (checkedLeader?.leaderId === leaderId && checkedLeader.leaderEpoch === leaderEpoch) return true
    const position = state.position!
    if (position.leaderEpoch < 0 || leaderEpoch < 0) {
      state.checkedLeader = { leaderId, leaderEpoch }
      return true
    }
    if (position.leaderEpoch > leaderEpoch && this.#isMetadataBehind(state)) return false
    // What is buffered may be of a log that is gone.
    if (state.chunks.length > 0) state.refetch()
    if (state.notBeforeMs <= nowMs && !this.#running.has(state)) {
      const { topic, partition, fetchGeneration } = state
      this.#due.push({ topic, partition, state, position, fetchGeneration, leader: { leaderId, leaderEpoch } })
    }
    return false
  }

  /** Asks about the positions that were found to need it, each leader for itself. */
  run(): void {
    if (this.#due.length === 0) return
    const byLeader = new Map<number, Check[]>()
    for (const check of this.#due) {
      this.#running.add(check.state)
      const group = byLeader.get(check.leader.leaderId)
      if (group === undefined) byLeader.set(check.leader.leaderId, [check])
      else group.push(check)
    }
    this.#due = []
    for (const [leaderId, checks] of byLeader) this.#check(leaderId, checks)
  }

  #isMetadataBehind(state: PartitionState): boolean {
    const { cluster } = this.#options
    const { version } = cluster.metadata
    const since = this.#behindSince.get(state) ?? version
    this.#behindSince.set(state, since)
    if (version - since >= METADATA_PATIENCE) return false
    cluster.requestRefresh()
    return true
  }

  async #check(leaderId: number, checks: readonly Check[]): Promise<void> {
    const { cluster, notify } = this.#options
    try {
      const connection = await cluster.connectionTo(leaderId)
      const answers = await this.#ask(connection, checks)
      for (const check of checks) {
        const { state } = check
        if (state.fetchGeneration !== check.fetchGeneration) continue
        const answer = answers === undefined ? unchecked : answers.get(check)
        if (answer === undefined) this.#failed(state, new DisconnectedError(`${partitionName(check)}: the answer leaves it out`))
        else if (answer.errorCode !== 0) this.#failed(state, new BrokerError(answer.errorCode, partitionName(check)))
        else this.#apply(check, answer)
      }
    } catch (error) {
      if (cluster.closed) return
      const failure = error instanceof ClientError ? error : new ClientError('UNEXPECTED', messageOf(error), { cause: error })
      for (const { state } of checks) this.#failed(state, failure)
    } finally {
      for (const { state } of checks) this.#running.delete(state)
      if (!cluster.closed) notify()
    }
  }

  #failed(state: PartitionState, error: ClientError): void {
    const { cluster, onError } = this.#options
    const { topic, partition } = state
    state.notBeforeMs = cluster.clock.monotonic() + cluster.retryBackoffMs(state.failures++)
    cluster.requestRefresh()
    cluster.logger.debug('a position could not be checked', { topic, partition, reason: error.message })
    if (!error.retriable) onError(error)
  }

  /** undefined: the broker is too old to tell, and is read as brokers of that age always were. */
  async #ask(connection: BrokerConnection, checks: readonly Check[]): Promise<Map<Check, EpochEnd> | undefined> {
    if (!connection.serves(OffsetForLeaderEpoch) || connection.versionOf(OffsetForLeaderEpoch) < OLDEST_FOR_CONSUMERS) return undefined
    const response = await connection.send(OffsetForLeaderEpoch, {
      replicaId: -1,
      topics: [...groupByTopic(checks)].map(([topic, entries]) => ({
        topic,
        partitions: entries.map(({ partition, position, leader }) => ({
          partition,
          currentLeaderEpoch: leader.leaderEpoch,
          leaderEpoch: position.leaderEpoch,
        })),
      })),
    })
    const answers = new PartitionMap<EpochEnd>()
    for (const { topic, partitions } of response.topics) {
      for (const { partition, errorCode, leaderEpoch, endOffset } of partitions) {
        const place = { topic, partition }
        answers.set(place, { errorCode, leaderEpoch, endOffset: checkOffset(endOffset, place) })
      }
    }
    return new Map(checks.flatMap((check) => (answers.has(check) ? [[check, answers.get(check)!] as const] : [])))
  }

  /** What Java's consumer does: on to the end of the common part, or, without a policy, an error until somebody seeks. */
  #apply({ state, position, leader }: Check, { leaderEpoch, endOffset }: EpochEnd): void {
    const { cluster, policy, onError } = this.#options
    const { topic, partition } = state
    state.failures = 0
    const isUnknown = leaderEpoch < 0 || endOffset < 0
    if (!isUnknown && endOffset >= position.offset) {
      state.checkedLeader = leader
      return
    }
    const reset = policy()
    const divergent = isUnknown ? undefined : { offset: endOffset, leaderEpoch }
    if (reset === undefined) {
      state.notBeforeMs = cluster.clock.monotonic() + cluster.config['retry.backoff.ms']
      onError(new LogTruncationError({ topic, partition, position, divergent }))
      return
    }
    const { offset } = position
    cluster.logger.warn('the log was truncated below the position', { topic, partition, offset, endOffset: divergent?.offset ?? null })
    if (divergent === undefined) state.lookUp(reset)
    else {
      state.moveTo(divergent)
      state.checkedLeader = leader
    }
  }
}

/** As if the log held all that was read. */
const unchecked: EpochEnd = { errorCode: 0, leaderEpoch: 0, endOffset: Number.POSITIVE_INFINITY }
