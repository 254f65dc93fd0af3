import { messageOf, randomUuid, type Timer } from '@tidelog/core'
import { ConsumerGroupHeartbeat, type ConsumerGroupHeartbeatResponse } from '@tidelog/protocol'
import { ClientError, checkErrorCode, hasCode, isRetriable } from '../../errors.ts'
import type { TopicPartition } from '../../topic-partition.ts'
import type { Deadline } from '../../wait.ts'
import type { CommitIdentity } from '../offset-committer.ts'
import { HeartbeatRequest, type Said } from './heartbeat-request.ts'
import {
  FirstFailure,
  type GroupMembershipOperation,
  loseAll,
  type Membership,
  type MembershipOptions,
  publishRebalance,
} from './membership.ts'
import { isFinal, Refusal } from './refusal.ts'
import { idPartitionKey, type TopicIdPartition, TopicNames } from './topic-ids.ts'

const JOINING = 0
const LEFT = -1
/** A static member goes, and means to come back before its session times out. */
const LEFT_FOR_A_WHILE = -2

/** The coordinator has put this member out, or has never heard of it. */
const memberFenced = ['UNKNOWN_MEMBER_ID', 'FENCED_MEMBER_EPOCH'] as const

/** A partition by id, with the name that its topic had when it was assigned. */
interface OwnedPartition extends TopicIdPartition, TopicPartition {}

/**
 * Membership in a group of the consumer protocol (KIP-848): the coordinator assigns, heartbeats carry everything. What it wants this member
 * to have is reconciled in `advance`: partitions are given up, others taken on, and the next heartbeat, sent at once, tells what is owned now.
 */
export class ConsumerMembership implements Membership {
  readonly #options: MembershipOptions
  readonly #request: HeartbeatRequest
  readonly #names: TopicNames
  #memberId: string
  /** LEFT while out of the group. */
  #epoch = LEFT
  /** As whom it was last a member. */
  #lostIdentity: CommitIdentity
  #mustJoin = true
  #isLost = false
  #isLeft = false
  #isAdvancing = false
  readonly #refusal = new Refusal()
  /** Counts the times that this member has begun anew or has gone: what an earlier life was answered is nothing to this one. */
  #life = 0
  /** What the coordinator wants this member to have; undefined: it has not said yet. */
  #target: readonly TopicIdPartition[] | undefined
  #owned: readonly OwnedPartition[] = []
  /** `advance` can bring `#owned` closer to `#target`. */
  #canReconcile = false
  #intervalMs = 0
  #failures = 0
  #timer: Timer | undefined
  #isBeating = false
  /** Something is to be said before the interval is over. */
  #beatAgain = false

  constructor(options: MembershipOptions) {
    this.#options = options
    this.#request = new HeartbeatRequest(options.config)
    this.#names = new TopicNames(options.cluster, () => this.#lookAtTarget())
    this.#memberId = randomUuid(options.cluster.random)
    this.#lostIdentity = this.identity
  }

  get identity(): CommitIdentity {
    const isMember = this.#epoch > JOINING
    return {
      generationId: isMember ? this.#epoch : -1,
      memberId: isMember ? this.#memberId : '',
      groupInstanceId: isMember ? this.#options.config['group.instance.id'] : null,
    }
  }

  get transactionIdentity(): CommitIdentity {
    return this.#epoch > JOINING ? this.identity : this.#lostIdentity
  }

  get needsAttention(): boolean {
    return this.#refusal.stands || this.#isLost || this.#canReconcile || this.#mustJoin
  }

  rejoin(_reason: string): void {
    this.#options.notify()
    this.onMetadata()
  }

  async advance(): Promise<void> {
    // The coordinator hears everything once more.
    if (this.#refusal.check()) this.#beatSoon()
    // A listener that reads, or asks for a position, is inside of one already.
    if (this.#isAdvancing || this.#isLeft) return
    this.#isAdvancing = true
    try {
      if (this.#isLost) await this.#loseAll()
      if (this.#canReconcile) await this.#reconcile()
      if (this.#mustJoin && !this.#isLost && !this.#isLeft) this.#join()
    } finally {
      this.#isAdvancing = false
    }
  }

  onMetadata(): void {
    if (this.#epoch > JOINING && this.#request.isNews(this.#said())) this.#beatSoon()
    this.#lookAtTarget()
  }

  lost(error: ClientError, memberEpoch: number): boolean {
    if (error.code === 'FENCED_INSTANCE_ID') this.#refused(error)
    else if (this.#epoch < JOINING) return true
    else if (memberEpoch !== this.#epoch || !hasCode(error, ...memberFenced)) return false
    else this.#fenced(error)
    return true
  }

  pollIntervalOver(): void {
    if (this.#epoch > JOINING) this.#giveUpMembership()
  }

  async leave(reason: string, deadline: Deadline, operation: GroupMembershipOperation): Promise<void> {
    if (this.#isLeft) return
    this.#isLeft = true
    const wasMember = this.#epoch >= JOINING
    const { cluster, coordinator, config } = this.#options
    const isStatic = config['group.instance.id'] !== null
    this.#outOfGroup()
    this.#mustJoin = false
    this.#names.want(new Set())
    if (!wasMember || coordinator.nodeId === undefined || (operation === 'remain-in-group' && !isStatic)) return
    const epoch = isStatic && operation !== 'leave-group' ? LEFT_FOR_A_WHILE : LEFT
    cluster.logger.debug('leaving the group', { group: coordinator.groupId, reason })
    await cluster
      .retry({ deadline, what: 'leaving the group', maxRetries: 0 }, () => this.#sayGoodbye(epoch))
      .catch((error) => {
        cluster.logger.debug('could not leave the group', { reason: messageOf(error) })
      })
  }

  // --- in and out of the group -------------------------------------------------------------------------------------------------------

  #join(): void {
    this.#mustJoin = false
    this.#epoch = JOINING
    this.#request.forget()
    this.#beatSoon()
  }

  /** The coordinator has dropped this member: its partitions are others' already. It joins again, under the same id. */
  #fenced(cause: ClientError): void {
    const { cluster, coordinator } = this.#options
    cluster.logger.info('the coordinator has put this member out of the group', { group: coordinator.groupId, code: cause.code })
    this.#outOfGroup()
    this.#startOver()
  }

  /** Out, and to come back when the listener has heard of what is lost. */
  #startOver(): void {
    this.#isLost = true
    this.#mustJoin = true
    this.#options.metrics.group.rebalanceFailed()
    this.#options.notify()
  }

  #outOfGroup(): void {
    this.#life++
    this.#lostIdentity = this.transactionIdentity
    this.#epoch = LEFT
    this.#target = undefined
    this.#canReconcile = false
    this.#failures = 0
    this.#timer?.cancel()
    this.#timer = undefined
  }

  /** Unless that is final it may be a member still, and goes on as such when the cause has been mended in time. */
  #refused(error: ClientError): void {
    if (isFinal(error)) {
      this.#outOfGroup()
      this.#mustJoin = false
    }
    this.#refusal.set(error)
    this.#options.notify()
  }

  async #loseAll(): Promise<void> {
    this.#isLost = false
    this.#owned = []
    await loseAll(this.#options, { generationId: this.#epoch, memberId: this.#memberId })
  }

  #sayGoodbye(memberEpoch: number): Promise<unknown> {
    const { coordinator, config } = this.#options
    const request = { groupId: coordinator.groupId, memberId: this.#memberId, memberEpoch, instanceId: config['group.instance.id'] }
    return coordinator.request((connection) => connection.send(ConsumerGroupHeartbeat, request))
  }

  /** The user's code has not come back for records: others get the partitions, as Java's client has it. */
  #giveUpMembership(): void {
    const { cluster, config, coordinator } = this.#options
    cluster.logger.warn('leaving the group: records were processed for longer than maxPollIntervalMs', {
      group: coordinator.groupId,
      limit: config['max.poll.interval.ms'],
    })
    this.#outOfGroup()
    this.#sayGoodbye(config['group.instance.id'] === null ? LEFT : LEFT_FOR_A_WHILE).catch(() => {})
    this.#startOver()
  }

  // --- reconciliation ----------------------------------------------------------------------------------------------------------------

  /** The target, or the name of one of its topics, is new. */
  #lookAtTarget(): void {
    if (this.#target === undefined) return
    this.#names.want(new Set(this.#target.map(({ topicId }) => topicId)))
    const { revoked, added } = this.#difference(this.#target)
    this.#canReconcile = revoked.length > 0 || added.length > 0
    if (this.#canReconcile) this.#options.notify()
  }

  /** Partitions whose topic has no name yet are left for later. */
  #difference(target: readonly TopicIdPartition[]): { revoked: OwnedPartition[]; added: OwnedPartition[] } {
    const wanted = new Set(target.map(idPartitionKey))
    const had = new Set(this.#owned.map(idPartitionKey))
    const added = target.flatMap((one) => {
      const topic = had.has(idPartitionKey(one)) ? undefined : this.#names.nameOf(one.topicId)
      return topic === undefined ? [] : [{ ...one, topic }]
    })
    return { revoked: this.#owned.filter((one) => !wanted.has(idPartitionKey(one))), added }
  }

  async #reconcile(): Promise<void> {
    const { actions, coordinator, metrics } = this.#options
    const life = this.#life
    this.#canReconcile = false
    metrics.group.rebalanceBegan()
    const { revoked, added } = this.#difference(this.#target ?? [])
    const failure = new FirstFailure()
    if (revoked.length > 0) {
      await failure.of(() => actions.revoke(revoked.map(nameOnly)))
      this.#owned = this.#owned.filter((one) => !revoked.includes(one))
    }
    // What the listener did may have taken so long that the group has gone on; then all is lost, and the next step says so.
    if (life === this.#life) {
      this.#owned = [...this.#owned, ...added]
      await failure.of(() => actions.assign(added.map(nameOnly)))
      metrics.group.rebalanced()
      publishRebalance(coordinator.groupId, this.identity, { assigned: added.map(nameOnly), revoked: revoked.map(nameOnly) })
    }
    if (life === this.#life) {
      this.#beatSoon()
      this.#lookAtTarget()
    }
    failure.throwIfAny()
  }

  // --- heartbeats --------------------------------------------------------------------------------------------------------------------

  #said(): Said {
    const { topics, serverPattern } = this.#options
    return { topics: [...topics()].sort(), pattern: serverPattern(), owned: this.#owned }
  }

  #beatSoon(): void {
    if (this.#isBeating) this.#beatAgain = true
    else this.#beatIn(0)
  }

  #beatIn(delayMs: number): void {
    const { cluster } = this.#options
    this.#timer?.cancel()
    this.#timer = undefined
    if (cluster.closed || this.#epoch < JOINING || this.#refusal.stands) return
    this.#timer = cluster.clock.setTimer(delayMs, () => {
      this.#timer = undefined
      if (this.#isBeating) return
      this.#isBeating = true
      this.#beatAgain = false
      this.#beat().then((nextMs) => {
        this.#isBeating = false
        this.#beatIn(this.#beatAgain ? 0 : nextMs)
      })
    })
  }

  /** Never rejects. @returns Time until the next one. */
  async #beat(): Promise<number> {
    const { cluster, config, coordinator, metrics, busySinceMs } = this.#options
    const busySince = busySinceMs()
    if (busySince !== undefined && cluster.clock.monotonic() - busySince > config['max.poll.interval.ms']) {
      this.#giveUpMembership()
      return 0
    }
    const life = this.#life
    const said = this.#said()
    const member = { memberId: this.#memberId, memberEpoch: this.#epoch }
    try {
      const response = await coordinator.request(async (connection) => {
        const { groupId } = coordinator
        metrics.group.heartbeat.sent()
        const answer = await connection.send(ConsumerGroupHeartbeat, (version) => this.#request.build(version, groupId, member, said))
        checkErrorCode(answer.errorCode, `heartbeat in group ${groupId}`, answer.errorMessage)
        return answer
      })
      if (life !== this.#life) return 0
      metrics.group.heartbeat.answered()
      this.#failures = 0
      this.#request.wasHeard(said)
      this.#answered(response)
      return this.#intervalMs
    } catch (error) {
      if (life !== this.#life || cluster.closed) return 0
      this.#request.forget()
      return this.#failed(error)
    }
  }

  #answered({ memberId, memberEpoch, heartbeatIntervalMs, assignment }: ConsumerGroupHeartbeatResponse): void {
    if (memberId) this.#memberId = memberId
    this.#epoch = memberEpoch
    this.#intervalMs = heartbeatIntervalMs
    if (this.#request.isNews(this.#said())) this.#beatAgain = true
    if (assignment === null) return
    this.#target = assignment.topicPartitions.flatMap(({ topicId, partitions }) => partitions.map((partition) => ({ topicId, partition })))
    this.#lookAtTarget()
  }

  #failed(error: unknown): number {
    const { cluster, coordinator } = this.#options
    if (hasCode(error, ...memberFenced)) {
      this.#fenced(error)
      return 0
    }
    if (isRetriable(error)) {
      cluster.logger.debug('a heartbeat failed', { group: coordinator.groupId, reason: error instanceof Error ? error.message : '' })
      return cluster.retryBackoffMs(this.#failures++)
    }
    this.#refused(asFatal(error))
    return 0
  }
}

function asFatal(error: unknown): ClientError {
  if (hasCode(error, 'UNSUPPORTED_VERSION') && !error.fatal) {
    return new ClientError('UNSUPPORTED_VERSION', "the brokers serve no groups of the consumer protocol: use groupProtocol: 'classic'", {
      fatal: true,
      cause: error,
    })
  }
  return error instanceof ClientError ? error : new ClientError('UNEXPECTED', String(error), { cause: error })
}

const nameOnly = ({ topic, partition }: TopicPartition): TopicPartition => ({ topic, partition })
