import { messageOf, type Timer } from '@tidelog/core'
import { ShareGroupHeartbeat, type ShareGroupHeartbeatResponse } from '@tidelog/protocol'
import type { Cluster } from '../cluster/cluster.ts'
import type { GroupCoordinator } from '../consumer/group-coordinator.ts'
import type { ShareGroupMetrics } from '../consumer/group-metrics.ts'
import { Refusal } from '../consumer/membership/refusal.ts'
import { BrokerError, ClientError, hasCode, isRetriable } from '../errors.ts'
import { before, type Deadline } from '../wait.ts'

export interface AssignedTopic {
  readonly topicId: string
  readonly partitions: readonly number[]
}

export interface ShareMembershipOptions {
  readonly cluster: Cluster
  readonly coordinator: GroupCoordinator
  readonly memberId: string
  readonly rackId: string | null
  readonly metrics: ShareGroupMetrics
  readonly onAssigned: (topics: readonly AssignedTopic[]) => void
  /** check() has something to throw. */
  readonly onRefused: () => void
}

const JOINING_EPOCH = 0
const LEAVING_EPOCH = -1
/** Whatever a broker says. */
const MIN_INTERVAL_MS = 50
/** The group knows another of us, or none: join again. */
const lostErrors = ['UNKNOWN_MEMBER_ID', 'FENCED_MEMBER_EPOCH'] as const

/** Membership of a share group: heartbeats that go on by themselves, in the background, and bring the assignment. Source: KIP-932. */
export class ShareMembership {
  readonly #options: ShareMembershipOptions
  #topics: readonly string[] = []
  /** What the coordinator knows of `#topics`; undefined: not yet these. */
  #sentTopics: readonly string[] | undefined
  #epoch = JOINING_EPOCH
  #timer: Timer | undefined
  #beating: Promise<void> | undefined
  #isStopped = true
  #failures = 0
  readonly #refusal = new Refusal()

  constructor(options: ShareMembershipOptions) {
    this.#options = options
  }

  /** Joins with these topics, or tells the group that they are others now. */
  subscribe(topics: readonly string[]): void {
    this.#topics = topics
    this.#isStopped = false
    this.#beatIn(0)
  }

  /** Asked by whoever reads. @throws what the group has refused this member for; the next time it is tried again */
  check(): void {
    if (this.#refusal.check()) this.#beatIn(0)
  }

  /** Leaves the group, if it knows this member. Best effort: it finds out by itself after its session timeout. */
  async leave(deadline: Deadline): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    this.#timer = undefined
    this.#refusal.clear()
    const { cluster, coordinator, memberId } = this.#options
    const leaving = async () => {
      await this.#beating
      if (this.#epoch === JOINING_EPOCH) return
      this.#rejoin()
      const { groupId } = coordinator
      await coordinator.request((connection) =>
        connection.send(ShareGroupHeartbeat, { groupId, memberId, memberEpoch: LEAVING_EPOCH, rackId: null, subscribedTopicNames: null }),
      )
    }
    await before(leaving(), cluster.clock, deadline, 'leaving the group').catch((error: unknown) => {
      cluster.logger.debug('the group was not told that a member leaves', { reason: messageOf(error) })
    })
  }

  #beatIn(ms: number): void {
    if (this.#isStopped || this.#options.cluster.closed || this.#refusal.stands) return
    this.#timer?.cancel()
    this.#timer = this.#options.cluster.clock.setTimer(ms, () => {
      this.#timer = undefined
      // One at a time: what has changed meanwhile goes with the one behind it.
      this.#beating ??= this.#beat().finally(() => {
        this.#beating = undefined
      })
    })
  }

  async #beat(): Promise<void> {
    const { cluster, coordinator, memberId, rackId, onRefused, metrics } = this.#options
    const topics = this.#topics
    const isNews = this.#sentTopics !== topics
    try {
      const response = await coordinator.request(async (connection) => {
        metrics.heartbeat.sent()
        const answer = await connection.send(ShareGroupHeartbeat, {
          groupId: coordinator.groupId,
          memberId,
          memberEpoch: this.#epoch,
          rackId: this.#epoch === JOINING_EPOCH ? rackId : null,
          subscribedTopicNames: isNews ? [...topics] : null,
        })
        if (answer.errorCode !== 0) throw new BrokerError(answer.errorCode, `share group ${coordinator.groupId}`, answer.errorMessage)
        return answer
      })
      metrics.heartbeat.answered()
      this.#failures = 0
      this.#sentTopics = topics
      this.#take(response)
      this.#beatIn(this.#topics === topics ? Math.max(MIN_INTERVAL_MS, response.heartbeatIntervalMs) : 0)
    } catch (error) {
      if (cluster.closed) return
      if (hasCode(error, ...lostErrors)) {
        this.#rejoin()
        this.#beatIn(0)
      } else if (isRetriable(error)) {
        cluster.logger.debug('a heartbeat failed', { reason: messageOf(error) })
        this.#beatIn(cluster.retryBackoffMs(this.#failures++))
      } else {
        this.#sentTopics = undefined
        this.#refusal.set(error instanceof ClientError ? error : new ClientError('UNEXPECTED', messageOf(error), { cause: error }))
        onRefused()
      }
    }
  }

  #take({ memberEpoch, assignment }: ShareGroupHeartbeatResponse): void {
    this.#epoch = memberEpoch
    if (assignment === null) return
    this.#options.metrics.rebalanced()
    this.#options.onAssigned(assignment.topicPartitions)
  }

  /** Nothing is assigned until the group has taken the member in again. */
  #rejoin(): void {
    this.#epoch = JOINING_EPOCH
    this.#sentTopics = undefined
    this.#options.onAssigned([])
  }
}
