import { createHash } from 'node:crypto'
import {
  type Caller,
  type ConsumerCaller,
  decodeGroupRecord,
  encodeGroupRecord,
  GroupCoordinator,
  type GroupCoordinatorConfig,
  type GroupRecord,
  type Instant,
  type Step,
  type Ticket,
  type TopicsView,
  type TopicView,
  type Write,
} from '@tidelog/coordinator'
import { seededRandom } from '@tidelog/core'
import type {
  ConsumerGroupHeartbeatRequest,
  ConsumerGroupHeartbeatResponse,
  ErrorName,
  HeartbeatResponse,
  JoinGroupRequest,
  JoinGroupResponse,
  LeaveGroupResponse,
  SyncGroupRequest,
  SyncGroupResponse,
} from '@tidelog/protocol'

/** What Kafka's broker has when nothing is configured, without the wait for the first members. */
const defaults: GroupCoordinatorConfig = {
  minSessionTimeoutMs: 6000,
  maxSessionTimeoutMs: 1_800_000,
  maxSize: 2 ** 31 - 1,
  initialRebalanceDelayMs: 0,
  offsetMetadataMaxBytes: 4096,
  offsetsRetentionMs: 7 * 24 * 3_600_000,
  offsetsRetentionCheckIntervalMs: 600_000,
  consumer: {
    maxSize: 2 ** 31 - 1,
    assignors: ['uniform', 'range'],
    migrationPolicy: 'bidirectional',
    settingsOf: () => ({ sessionTimeoutMs: 45_000, heartbeatIntervalMs: 5000, assignmentIntervalMs: 0 }),
  },
}

/** Topics that a test makes and changes as it likes. */
export class DrivenTopics implements TopicsView {
  versionOfNewTopics = 1
  readonly #topics = new Map<string, TopicView>()

  /** The id of a topic follows from its name and `incarnation`: one that is deleted and made again has another. */
  set(name: string, partitionCount: number, { racks = [] as string[], incarnation = undefined as number | undefined } = {}): void {
    const known = incarnation === undefined ? this.#topics.get(name)?.topicId : undefined
    const topicId =
      known ??
      createHash('md5')
        .update(`${name} ${incarnation ?? 0}`)
        .digest()
        .toString('base64url')
    if (!this.#topics.has(name)) this.versionOfNewTopics++
    this.#topics.set(name, { name, topicId, partitionCount, racksOf: () => racks })
  }

  delete(name: string): void {
    this.#topics.delete(name)
  }

  byName(name: string): TopicView | undefined {
    return this.#topics.get(name)
  }

  byId(topicId: string): TopicView | undefined {
    for (const topic of this.#topics.values()) if (topic.topicId === topicId) return topic
    return undefined
  }

  names(): Iterable<string> {
    return this.#topics.keys()
  }
}

export interface JoinOptions {
  groupId?: string
  memberId?: string
  groupInstanceId?: string | null
  protocolType?: string
  /** Name and metadata, in order of preference. */
  protocols?: Record<string, string | Buffer>
  sessionTimeoutMs?: number
  rebalanceTimeoutMs?: number
  apiVersion?: number
  clientId?: string
}

/** Partitions by topic name. */
export type Owned = Record<string, number[]>
/** `owned` says what the member reports to have. */
export type BeatOptions = Partial<ConsumerGroupHeartbeatRequest & ConsumerCaller> & { owned?: Owned }

/** Runs one group coordinator by hand: time stands still until `advance`, the log is an array of encoded records. */
export class GroupDriver {
  readonly groups: GroupCoordinator
  readonly topics: DrivenTopics
  readonly log: { key: Buffer; value: Buffer | null }[]
  readonly replies = new Map<Ticket, unknown>()
  /** While true, writes wait in `held` instead of being appended at once. */
  isHolding = false
  held: Write<GroupRecord>[] = []
  now: Instant = { wallMs: 1_700_000_000_000, monotonicMs: 0 }
  readonly #config: GroupCoordinatorConfig
  readonly #seed: number
  #nextTicket = 1

  constructor({
    config = {},
    log = [],
    topics = new DrivenTopics(),
    seed = 1,
  }: { config?: Partial<GroupCoordinatorConfig>; log?: GroupDriver['log']; topics?: DrivenTopics; seed?: number } = {}) {
    this.#config = { ...defaults, ...config }
    this.#seed = seed
    this.log = [...log]
    this.topics = topics
    this.groups = new GroupCoordinator({ config: this.#config, random: seededRandom(seed), topics })
    for (const { key, value } of log) {
      const record = decodeGroupRecord(key, value)
      if (record !== undefined) this.groups.replay(record)
    }
    this.carryOut(this.groups.loaded(this.now))
  }

  /** Another coordinator over the same log, as after a restart of the broker; this one is not to be used any more. */
  restarted(config: Partial<GroupCoordinatorConfig> = this.#config): GroupDriver {
    // Another seed each time: member ids that were given out before must not come again.
    const driver = new GroupDriver({ config, log: this.log, topics: this.topics, seed: this.#seed + 1_000_003 })
    driver.now = this.now
    return driver
  }

  carryOut({ replies, writes }: Step<GroupRecord>): void {
    for (const { ticket, response } of replies) {
      if (this.replies.has(ticket)) throw new Error(`ticket ${ticket} is answered twice`)
      this.replies.set(ticket, response)
    }
    this.held.push(...writes)
    if (!this.isHolding) this.settle()
  }

  /** Appends what is held, or fails it. */
  settle(failure?: ErrorName): void {
    while (this.held.length > 0) {
      const write = this.held.shift()!
      if (failure === undefined) for (const record of write.records) this.log.push(encodeGroupRecord(record))
      const { replies, writes } = write.settle(this.now, failure)
      this.carryOut({ replies, writes: [], effects: [] })
      this.held.push(...writes)
    }
  }

  ask(take: (groups: GroupCoordinator, ticket: Ticket, now: Instant) => Step<GroupRecord>): Ticket {
    const ticket = this.#nextTicket++
    this.carryOut(take(this.groups, ticket, this.now))
    return ticket
  }

  /** The answer to a ticket, which must have come. */
  reply<T>(ticket: Ticket): T {
    if (!this.replies.has(ticket)) throw new Error(`ticket ${ticket} is still waiting`)
    return this.replies.get(ticket) as T
  }

  answer<T>(take: (groups: GroupCoordinator, ticket: Ticket, now: Instant) => Step<GroupRecord>): T {
    return this.reply<T>(this.ask(take))
  }

  /** Lets time pass; deadlines fall due one after the other. */
  advance(ms: number): void {
    const endMs = this.now.monotonicMs + ms
    for (;;) {
      const nextMs = this.groups.nextDeadlineMs
      if (nextMs > endMs) break
      this.#moveTo(Math.max(nextMs, this.now.monotonicMs))
      this.carryOut(this.groups.advance(this.now))
    }
    this.#moveTo(endMs)
  }

  #moveTo(monotonicMs: number): void {
    this.now = { wallMs: this.now.wallMs + monotonicMs - this.now.monotonicMs, monotonicMs }
  }

  // --- requests, with what a consumer would send -------------------------------------------------------------------------------------

  join(options: JoinOptions = {}): Ticket {
    const { groupId = 'g', memberId = '', groupInstanceId = null, protocolType = 'consumer', protocols = { range: 'm' } } = options
    const { sessionTimeoutMs = 10_000, rebalanceTimeoutMs = 60_000, apiVersion = 9, clientId = 'client' } = options
    const request: JoinGroupRequest = {
      groupId,
      memberId,
      groupInstanceId,
      protocolType,
      protocols: Object.entries(protocols).map(([name, metadata]) => ({ name, metadata: Buffer.from(metadata as string) })),
      sessionTimeoutMs,
      rebalanceTimeoutMs,
      reason: null,
    }
    const caller: Caller = { apiVersion, clientId, clientHost: '/127.0.0.1' }
    return this.ask((groups, ticket, now) => groups.joinGroup(request, caller, ticket, now))
  }

  joined(ticket: Ticket): JoinGroupResponse {
    return this.reply(ticket)
  }

  /** Joins a dynamic member as clients since KIP-394 do: the first answer gives the member id. @returns Ticket of the second JoinGroup. */
  joinTwice(options: JoinOptions = {}): { memberId: string; ticket: Ticket } {
    const { memberId } = this.joined(this.join(options))
    return { memberId, ticket: this.join({ ...options, memberId }) }
  }

  sync(
    options: Partial<Omit<SyncGroupRequest, 'assignments'>> & {
      memberId: string
      generationId: number
      assignments?: Record<string, string>
    },
  ): Ticket {
    const request: SyncGroupRequest = {
      groupId: 'g',
      groupInstanceId: null,
      protocolType: null,
      protocolName: null,
      ...options,
      assignments: Object.entries(options.assignments ?? {}).map(([memberId, assignment]) => ({
        memberId,
        assignment: Buffer.from(assignment),
      })),
    }
    return this.ask((groups, ticket, now) => groups.syncGroup(request, ticket, now))
  }

  synced(ticket: Ticket): SyncGroupResponse {
    return this.reply(ticket)
  }

  heartbeat(memberId: string, generationId: number, { groupId = 'g', groupInstanceId = null as string | null } = {}): HeartbeatResponse {
    return this.groups.heartbeat({ groupId, memberId, generationId, groupInstanceId }, this.now)
  }

  /** A heartbeat of a member that uses the consumer protocol. An epoch of 0 joins, with the topic `t` when nothing else is said. */
  beatTicket(memberId: string, memberEpoch: number, options: BeatOptions = {}): Ticket {
    const joining = memberEpoch === 0 ? { rebalanceTimeoutMs: 60_000, subscribedTopicNames: ['t'], topicPartitions: [] } : {}
    const { apiVersion = 1, clientId = 'client', clientHost = '/127.0.0.1', mayDescribe = () => true, owned, ...fields } = options
    const request: ConsumerGroupHeartbeatRequest = {
      groupId: 'g',
      memberId,
      memberEpoch,
      instanceId: null,
      rackId: null,
      rebalanceTimeoutMs: -1,
      subscribedTopicNames: null,
      subscribedTopicRegex: null,
      serverAssignor: null,
      topicPartitions: null,
      ...joining,
      ...(owned && { topicPartitions: this.#toTopicPartitions(owned) }),
      ...fields,
    }
    const caller = { apiVersion, clientId, clientHost, mayDescribe }
    return this.ask((groups, ticket, now) => groups.consumerGroupHeartbeat(request, caller, ticket, now))
  }

  beat(memberId: string, memberEpoch: number, options?: BeatOptions): ConsumerGroupHeartbeatResponse {
    return this.reply(this.beatTicket(memberId, memberEpoch, options))
  }

  #toTopicPartitions(owned: Owned): { topicId: string; partitions: number[] }[] {
    return Object.entries(owned).map(([name, partitions]) => ({ topicId: this.topics.byName(name)!.topicId, partitions }))
  }

  /** What a heartbeat assigns, by topic name; undefined when it tells nothing of it. */
  assigned({ assignment }: ConsumerGroupHeartbeatResponse): Owned | undefined {
    if (assignment === null) return undefined
    return Object.fromEntries(assignment.topicPartitions.map(({ topicId, partitions }) => [this.topics.byId(topicId)!.name, partitions]))
  }

  leave(members: { memberId?: string; groupInstanceId?: string | null }[], groupId = 'g'): LeaveGroupResponse {
    const request = {
      groupId,
      members: members.map(({ memberId = '', groupInstanceId = null }) => ({ memberId, groupInstanceId, reason: null })),
    }
    return this.answer((groups, ticket, now) => groups.leaveGroup(request, ticket, now))
  }

  /** One offset for partition 0 of `topic`. @returns The partition's error code. */
  commit(
    options: { topic?: string; offset?: number; metadata?: string | null } & {
      groupId?: string
      memberId?: string
      generationId?: number
      groupInstanceId?: string | null
      retentionTimeMs?: number
      apiVersion?: number
    } = {},
  ): Ticket {
    const { groupId = 'g', memberId = '', generationId = -1, groupInstanceId = null, retentionTimeMs = -1, apiVersion = 8 } = options
    const { topic = 't', offset: committedOffset = 1, metadata: committedMetadata = null } = options
    const partition = { partitionIndex: 0, committedOffset, committedLeaderEpoch: -1, commitTimestamp: -1, committedMetadata }
    const topics = [{ name: topic, partitions: [partition] }]
    return this.ask((groups, ticket, now) =>
      groups.commitOffsets(
        { groupId, memberId, generationIdOrMemberEpoch: generationId, groupInstanceId, retentionTimeMs, topics },
        { apiVersion },
        ticket,
        now,
      ),
    )
  }

  committed(ticket: Ticket): number {
    return this.reply<{ partitions: { errorCode: number }[] }[]>(ticket)[0]!.partitions[0]!.errorCode
  }

  /** The committed offset of partition 0, -1 without one. */
  offset(topic = 't', groupId = 'g'): number {
    const topics = [{ name: topic, partitionIndexes: [0] }]
    const reply = this.answer<{ partitions: { committedOffset: number }[] }[]>((groups, ticket, now) =>
      groups.fetchOffsets({ groupId, topics, requireStable: false }, ticket, now),
    )
    return reply[0]!.partitions[0]!.committedOffset
  }

  state(groupId = 'g'): string {
    return this.groups.describeGroup(groupId, { apiVersion: 5 }).groupState
  }
}
