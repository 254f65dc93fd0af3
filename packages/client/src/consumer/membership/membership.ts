import type { Cluster } from '../../cluster/cluster.ts'
import type { ConsumerConfig } from '../../config/consumer-config.ts'
import type { ClientError } from '../../errors.ts'
import type { TopicPartition } from '../../topic-partition.ts'
import type { Deadline } from '../../wait.ts'
import { consumerChannels } from '../consumer-channels.ts'
import type { ConsumerMetrics } from '../consumer-metrics.ts'
import type { GroupCoordinator } from '../group-coordinator.ts'
import type { CommitIdentity } from '../offset-committer.ts'

/** What the consumer does when its share of the group's partitions changes; each is awaited. */
export interface AssignmentActions {
  /** What is assigned now. */
  owned(): TopicPartition[]
  /** Gives partitions up while they are still this member's: handlers stop, offsets are committed, the listener hears of it. */
  revoke(partitions: readonly TopicPartition[]): Promise<void>
  /** Partitions are somebody else's already. */
  lose(partitions: readonly TopicPartition[]): Promise<void>
  assign(partitions: readonly TopicPartition[]): Promise<void>
}

export interface MembershipOptions {
  readonly cluster: Cluster
  readonly config: ConsumerConfig
  readonly coordinator: GroupCoordinator
  readonly metrics: ConsumerMetrics
  readonly actions: AssignmentActions
  /** Topics subscribed to by name, or found by a pattern of the client's. */
  readonly topics: () => readonly string[]
  /** A pattern that the coordinator evaluates; null: none. */
  readonly serverPattern: () => string | null
  /** Monotonic time since which the user's code has had the word; undefined while the consumer has it. */
  readonly busySinceMs: () => number | undefined
  /** advance() has something to do, or something has failed. */
  readonly notify: () => void
}

/** Whether a member that closes leaves its group. default: a static one stays until its session times out, others leave. KIP-1092. */
export type GroupMembershipOperation = 'leave-group' | 'remain-in-group' | 'default'

/**
 * A consumer's membership in its group, under either protocol. Rebalances move on in `advance`, which the consumer calls when it is asked for
 * records, so that listeners never run beside the user's own code; heartbeats go on in the background throughout.
 */
export interface Membership {
  /** As whom offsets are committed; generationId is -1 while out of the group. */
  readonly identity: CommitIdentity
  /**
   * For a transaction that commits the offsets of records that the user works on. When the membership has been lost beside that work, the one
   * that was lost: the coordinator refuses it, where no identity at all would be taken for a consumer outside of the group. KIP-447.
   */
  readonly transactionIdentity: CommitIdentity
  /** advance() would do something now: call the listener, join, throw. */
  readonly needsAttention: boolean
  /** The subscription is another, or the user wants a rebalance. */
  rejoin(reason: string): void
  /** Brings the rebalance a step further. @throws the error that ended the membership, what a listener throws */
  advance(): Promise<void>
  /** New metadata has come. */
  onMetadata(): void
  /**
   * The coordinator said that it does not know us, or not the generation (member epoch) that we spoke for.
   * @returns Whether the membership is gone.
   */
  lost(error: ClientError, generationId: number): boolean
  /** The user's code has had the word for `max.poll.interval.ms`: a member gives its place up, so that others get its partitions. */
  pollIntervalOver(): void
  /** Stops heartbeats and says goodbye as `operation` has it. Idempotent. */
  leave(reason: string, deadline: Deadline, operation: GroupMembershipOperation): Promise<void>
}

/** For those who listen on the channel. */
export function publishRebalance(
  groupId: string,
  { generationId, memberId }: Pick<CommitIdentity, 'generationId' | 'memberId'>,
  change: { readonly [K in 'assigned' | 'revoked' | 'lost']?: readonly TopicPartition[] },
): void {
  if (!consumerChannels.rebalance.hasSubscribers) return
  const { assigned = [], revoked = [], lost = [] } = change
  consumerChannels.rebalance.publish({ groupId, generationId, memberId, assigned, revoked, lost })
}

/** Whatever the member owns is somebody else's by now: the listener hears of it, and then the channel, also when the listener throws. */
export async function loseAll(
  { actions, coordinator }: Pick<MembershipOptions, 'actions' | 'coordinator'>,
  identity: Pick<CommitIdentity, 'generationId' | 'memberId'>,
): Promise<void> {
  const lost = actions.owned()
  if (lost.length === 0) return
  try {
    await actions.lose(lost)
  } finally {
    publishRebalance(coordinator.groupId, identity, { lost })
  }
}

/** A rebalance goes on to its end when a listener throws, as in Java: the first error is thrown when the rest is done. */
export class FirstFailure {
  #failure: { readonly error: unknown } | undefined

  async of(action: () => Promise<void>): Promise<void> {
    try {
      await action()
    } catch (error) {
      this.#failure ??= { error }
    }
  }

  throwIfAny(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }
}
