import { messageOf, type Timer } from '@tidelog/core'
import { Heartbeat, LeaveGroup } from '@tidelog/protocol'
import { BrokerError, ClientError, checkErrorCode, hasCode, isRetriable } from '../../errors.ts'
import { PartitionMap, type TopicPartition } from '../../topic-partition.ts'
import type { Deadline } from '../../wait.ts'
import type { Assignor } from '../assignors/assignor.ts'
import type { CommitIdentity } from '../offset-committer.ts'
import { type Joined, joinGroup } from './join-group.ts'
import {
  FirstFailure,
  type GroupMembershipOperation,
  loseAll,
  type Membership,
  type MembershipOptions,
  publishRebalance,
} from './membership.ts'
import { isFinal, Refusal } from './refusal.ts'
import { topicShape } from './topic-shape.ts'

export interface ClassicMembershipOptions extends MembershipOptions {
  readonly assignors: readonly Assignor[]
}

const NO_GENERATION = -1

/** Out of the group, with an id that means nothing any more. */
const memberLost = ['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION'] as const
/** Joining can be tried again, with or without a pause. */
const joinAgain = [...memberLost, 'REBALANCE_IN_PROGRESS', 'MEMBER_ID_REQUIRED'] as const

/**
 * Membership in a classic group, where the members assign: one of them, the leader, divides the partitions among all. Waiting for other members
 * goes on in the background. KIP-62, KIP-345, KIP-394, KIP-429.
 */
export class ClassicMembership implements Membership {
  readonly #options: ClassicMembershipOptions
  readonly #isCooperative: boolean
  #memberId = ''
  #generationId = NO_GENERATION
  #assignedIdentity: CommitIdentity = { generationId: NO_GENERATION, memberId: '', groupInstanceId: null }
  /** Topics that the present assignment was asked for with. */
  #joinedTopics: readonly string[] = []
  #lastAssigned: readonly TopicPartition[] = []
  /** The topics as this member saw them when it assigned, being the leader. */
  #assignedShapes: ReadonlyMap<string, string> | undefined
  #mustJoin: string | undefined = 'joining'
  #isLost = false
  #joining: Promise<void> | undefined
  #joined: Joined | undefined
  readonly #refusal = new Refusal()
  #failures = 0
  #heartbeatTimer: Timer | undefined
  #lastHeartbeatMs = 0
  #isHeartbeating = false
  #isLeft = false
  #isAdvancing = false

  constructor(options: ClassicMembershipOptions) {
    this.#options = options
    this.#isCooperative = options.assignors.every(({ supportedProtocols }) => supportedProtocols.includes('cooperative'))
  }

  get transactionIdentity(): CommitIdentity {
    return this.#generationId === NO_GENERATION ? this.#assignedIdentity : this.identity
  }

  get identity(): CommitIdentity {
    return {
      generationId: this.#generationId,
      memberId: this.#generationId === NO_GENERATION ? '' : this.#memberId,
      groupInstanceId: this.#generationId === NO_GENERATION ? null : this.#options.config['group.instance.id'],
    }
  }

  get needsAttention(): boolean {
    if (this.#refusal.stands || this.#joined !== undefined || this.#isLost) return true
    return this.#mustJoin !== undefined && this.#joining === undefined
  }

  rejoin(reason: string): void {
    this.#mustJoin ??= reason
    this.#options.notify()
  }

  async advance(): Promise<void> {
    const triesAgain = this.#refusal.check()
    // A listener that reads, or asks for a position, is inside of one already.
    if (this.#isAdvancing || this.#isLeft) return
    this.#isAdvancing = true
    if (triesAgain && this.#mustJoin === undefined) this.#armHeartbeat(0)
    try {
      if (this.#isLost) await this.#loseAll()
      if (this.#joined !== undefined) await this.#finish(this.#joined)
      if (this.#mustJoin !== undefined && this.#joining === undefined && this.#joined === undefined) await this.#start(this.#mustJoin)
    } finally {
      this.#isAdvancing = false
    }
  }

  onMetadata(): void {
    this.#checkTopics()
  }

  /**
   * While a join is under way the group may be a generation further, with the answer that says so still travelling on its own connection; if
   * we are out, that answer says it.
   */
  lost(error: ClientError, generationId: number): boolean {
    if (error.code === 'FENCED_INSTANCE_ID') this.#refused(error)
    else if (generationId !== this.#generationId || this.#joining !== undefined) return false
    else this.#reset(`the coordinator answered ${error.code}`, error)
    return true
  }

  pollIntervalOver(): void {
    // What is not a member at the moment, or is becoming another generation's, looks with its first heartbeat.
    if (this.#generationId !== NO_GENERATION && this.#joining === undefined && !this.#isLeft && !this.#isLost) this.#giveUpMembership()
  }

  async leave(reason: string, deadline: Deadline, operation: GroupMembershipOperation): Promise<void> {
    if (this.#isLeft) return
    this.#isLeft = true
    this.#heartbeatTimer?.cancel()
    const isStatic = this.#options.config['group.instance.id'] !== null
    // A static member means to come back, unless it says otherwise.
    const stays = operation === 'remain-in-group' || (operation === 'default' && isStatic)
    if (this.#memberId === '' || stays) return
    await this.#sendLeave(reason, deadline).catch((error) => {
      this.#options.cluster.logger.debug('could not leave the group', { reason: messageOf(error) })
    })
  }

  async #sendLeave(reason: string, deadline: Deadline): Promise<void> {
    const { coordinator, cluster, config } = this.#options
    if (coordinator.nodeId === undefined) return
    const memberId = this.#memberId
    const groupInstanceId = config['group.instance.id']
    await cluster.retry({ deadline, what: 'leaving the group', maxRetries: 0 }, () =>
      coordinator.request((connection) =>
        connection.send(LeaveGroup, { groupId: coordinator.groupId, memberId, members: [{ memberId, groupInstanceId, reason }] }),
      ),
    )
  }

  // --- joining -----------------------------------------------------------------------------------------------------------------------

  async #start(reason: string): Promise<void> {
    const { actions, topics, metrics } = this.#options
    metrics.group.rebalanceBegan()
    const owned = actions.owned()
    const subscribed = new Set(topics())
    const toRevoke = this.#isCooperative ? owned.filter(({ topic }) => !subscribed.has(topic)) : owned
    if (toRevoke.length > 0) {
      await actions.revoke(toRevoke)
      // What the listener did may have taken so long that the group has gone on.
      if (this.#isLost) await this.#loseAll()
    }
    if (this.#isLeft) return
    this.#mustJoin = undefined
    this.#joining = this.#join([...subscribed].sort(), reason)
  }

  /** Runs in the background until the group has settled or has refused us. */
  async #join(topics: readonly string[], reason: string): Promise<void> {
    const { cluster, actions, notify, metrics } = this.#options
    const ownedBefore = this.#isCooperative ? actions.owned() : []
    // An eager sticky assignor wants to know what was given up just now.
    const previous = this.#isCooperative ? ownedBefore : this.#lastAssigned
    const generationBefore = this.#generationId
    this.#pauseHeartbeats()
    try {
      for (;;) {
        try {
          const joining = { memberId: this.#memberId, topics, owned: ownedBefore, previous, generationId: generationBefore, reason }
          const joined = await joinGroup(this.#options, joining, (memberId) => {
            this.#memberId = memberId
          })
          this.#memberId = joined.memberId
          this.#generationId = joined.generationId
          this.#joinedTopics = topics
          this.#assignedShapes = joined.shapes
          this.#failures = 0
          this.#joined = joined
          this.#startHeartbeats()
          return
        } catch (error) {
          metrics.group.rebalanceFailed()
          if (cluster.closed || this.#isLeft) return
          if (!isRetriable(error) && !hasCode(error, ...joinAgain)) {
            this.#mustJoin ??= reason
            // A refusal that is remembered comes at once: who reads on and on must not keep the event loop from going round.
            await new Promise((resolve) => setImmediate(resolve))
            this.#refused(error instanceof ClientError ? error : new ClientError('UNEXPECTED', String(error), { cause: error }))
            return
          }
          cluster.logger.debug('could not join the group', {
            group: this.#options.coordinator.groupId,
            reason: error instanceof Error ? error.message : '',
          })
          if (hasCode(error, ...memberLost)) {
            if (hasCode(error, 'UNKNOWN_MEMBER_ID')) this.#memberId = ''
            this.#generationId = NO_GENERATION
            if (ownedBefore.length > 0) {
              this.#reset('the coordinator has dropped this member')
              return
            }
          }
          await cluster.sleep(cluster.retryBackoffMs(this.#failures++)).catch(() => {})
        }
      }
    } finally {
      this.#joining = undefined
      notify()
    }
  }

  async #finish(joined: Joined): Promise<void> {
    const { actions, coordinator, metrics, topics } = this.#options
    this.#joined = undefined
    this.#assignedIdentity = this.identity
    // The subscription may have changed while the others were waited for; that is joined with again in a moment.
    const subscribed = new Set(topics())
    const assignment = joined.assignment.filter(({ topic }) => subscribed.has(topic))
    this.#lastAssigned = assignment
    joined.assignor.onAssignment?.(joined.assignment, joined.userData, joined.generationId)
    const before = new PartitionMap(actions.owned().map((partition) => [partition, true]))
    const after = new PartitionMap(assignment.map((partition) => [partition, true]))
    const revoked = [...before.keys()].filter((partition) => !after.has(partition))
    const added = [...after.keys()].filter((partition) => !before.has(partition))
    const failure = new FirstFailure()
    if (revoked.length > 0) {
      await failure.of(() => actions.revoke(revoked))
      // Who gets them is decided in the next round, now that nobody has them.
      this.#mustJoin ??= 'gave up partitions that are to move'
    }
    // What the listener did may have taken so long that the group has gone on.
    if (!this.#isLost) {
      await failure.of(() => actions.assign(added))
      metrics.group.rebalanced()
      publishRebalance(coordinator.groupId, joined, { assigned: added, revoked })
    }
    this.#checkTopics()
    failure.throwIfAny()
  }

  async #loseAll(): Promise<void> {
    this.#isLost = false
    this.#lastAssigned = []
    await loseAll(this.#options, { generationId: this.#generationId, memberId: this.#memberId })
  }

  /** Has the group rebalance when the subscription's topics are others than it was joined with, or those that the leader assigned have changed. */
  #checkTopics(): void {
    const { topics, cluster, config } = this.#options
    if (this.#generationId === NO_GENERATION || this.#mustJoin !== undefined || this.#isLeft) return
    const now = [...topics()].sort()
    if (now.length !== this.#joinedTopics.length || now.some((topic, index) => topic !== this.#joinedTopics[index])) {
      this.rejoin('the topics subscribed to have changed')
      return
    }
    for (const [topic, shape] of this.#assignedShapes ?? []) {
      const now = topicShape(cluster.metadata, topic, config['client.rack'])
      if (now !== undefined && now !== shape) {
        this.rejoin(`topic ${topic} is not as it was when its partitions were assigned`)
        return
      }
    }
  }

  /**
   * The membership is gone; the partitions are, or will be, somebody else's. The id is kept while the coordinator may know it: joining under
   * a new one would leave the old one in the group until its session times out.
   */
  #reset(reason: string, cause?: ClientError): void {
    if (cause?.code === 'UNKNOWN_MEMBER_ID') this.#memberId = ''
    this.#generationId = NO_GENERATION
    this.#isLost = true
    this.#joined = undefined
    this.#mustJoin ??= reason
    this.#pauseHeartbeats()
    this.#options.notify()
  }

  /** It may be a member still, and go on as such when the cause has been mended in time. */
  #refused(error: ClientError): void {
    this.#refusal.set(error)
    if (isFinal(error)) this.#generationId = NO_GENERATION
    this.#pauseHeartbeats()
    this.#options.notify()
  }

  // --- heartbeats --------------------------------------------------------------------------------------------------------------------

  #startHeartbeats(): void {
    const { cluster } = this.#options
    this.#lastHeartbeatMs = cluster.clock.monotonic()
    this.#armHeartbeat()
  }

  #pauseHeartbeats(): void {
    this.#heartbeatTimer?.cancel()
    this.#heartbeatTimer = undefined
  }

  #armHeartbeat(delayMs = this.#options.config['heartbeat.interval.ms']): void {
    const { cluster } = this.#options
    this.#heartbeatTimer?.cancel()
    if (cluster.closed || this.#isLeft || this.#generationId === NO_GENERATION || this.#refusal.stands) return
    this.#heartbeatTimer = cluster.clock.setTimer(delayMs, () => {
      this.#heartbeatTimer = undefined
      if (this.#isHeartbeating) return
      this.#isHeartbeating = true
      this.#heartbeat().finally(() => {
        this.#isHeartbeating = false
        if (this.#joining === undefined) this.#armHeartbeat()
      })
    })
  }

  async #heartbeat(): Promise<void> {
    const { cluster, config, coordinator, metrics, busySinceMs } = this.#options
    const nowMs = cluster.clock.monotonic()
    const busySince = busySinceMs()
    if (busySince !== undefined && nowMs - busySince > config['max.poll.interval.ms']) {
      await this.#giveUpMembership()
      return
    }
    const generationId = this.#generationId
    const memberId = this.#memberId
    try {
      await coordinator.request(async (connection) => {
        const groupInstanceId = config['group.instance.id']
        metrics.group.heartbeat.sent()
        const response = await connection.send(Heartbeat, { groupId: coordinator.groupId, generationId, memberId, groupInstanceId })
        checkErrorCode(response.errorCode, `heartbeat in group ${coordinator.groupId}`)
      })
      metrics.group.heartbeat.answered()
      this.#lastHeartbeatMs = cluster.clock.monotonic()
    } catch (error) {
      // The answer may be about a generation that has passed.
      if (cluster.closed || this.#isLeft || generationId !== this.#generationId || this.#joining !== undefined) return
      this.#heartbeatFailed(error)
    }
  }

  #heartbeatFailed(error: unknown): void {
    const { cluster, config, coordinator } = this.#options
    if (hasCode(error, 'REBALANCE_IN_PROGRESS')) {
      this.#lastHeartbeatMs = cluster.clock.monotonic()
      this.rejoin('the group is rebalancing')
    } else if (hasCode(error, ...memberLost)) {
      this.#reset(`the coordinator answered ${error.code}`, error)
    } else if (error instanceof BrokerError && !error.retriable) {
      this.#refused(error)
    } else if (cluster.clock.monotonic() - this.#lastHeartbeatMs > config['session.timeout.ms']) {
      cluster.logger.warn('no heartbeat has been answered within the session timeout', { group: coordinator.groupId })
      this.#reset('the session has timed out')
    }
  }

  /** The user's code has not come back for records: others get the partitions, as Java's client has it. */
  async #giveUpMembership(): Promise<void> {
    const { cluster, config, coordinator } = this.#options
    const limit = config['max.poll.interval.ms']
    cluster.logger.warn('leaving the group: records were processed for longer than maxPollIntervalMs', {
      group: coordinator.groupId,
      limit,
    })
    const leaving =
      config['group.instance.id'] === null
        ? this.#sendLeave('max.poll.interval.ms has passed', cluster.deadline(cluster.config['request.timeout.ms']))
        : undefined
    this.#reset('records were processed for longer than maxPollIntervalMs')
    if (leaving === undefined) return
    this.#memberId = ''
    await leaving.catch(() => {})
  }
}
