/** One broker under a script of heartbeats: the same words for members and topics, whatever ids the broker gave them. */
import { decodeGroupRecord, type GroupRecord, javaUuidHash } from '@tidelog/coordinator'
import { ByteReader, ByteWriter } from '@tidelog/core'
import {
  ConsumerGroupDescribe,
  ConsumerGroupHeartbeat,
  type ConsumerGroupHeartbeatRequest,
  CreateTopics,
  consumerProtocolAssignment,
  consumerProtocolSubscription,
  DescribeGroups,
  errorName,
  Fetch,
  FindCoordinator,
  Heartbeat,
  iterateBatches,
  JoinGroup,
  LeaveGroup,
  ListGroups,
  OffsetCommit,
  OffsetFetch,
  readRecords,
  SyncGroup,
} from '@tidelog/protocol'
import { Peer } from '../wire/peer.ts'

export type Owned = Record<string, number[]>

export interface StagedMember {
  readonly id: string
  epoch: number
  owned: Owned
}

const sorted = (numbers: Iterable<number>): number[] => [...numbers].sort((a, b) => a - b)

export class GroupStage {
  peer: Peer
  /** What the broker answered, in the order of the script. */
  readonly seen: [label: string, answer: unknown][] = []
  readonly #members = new Map<string, StagedMember>()
  readonly #topics = new Map<string, { name: string; topicId: string }>()
  readonly #namesById = new Map<string, string>()
  readonly #realIds = new Map<string, string>()
  readonly #aliases = new Map<string, string>()

  constructor(port: number) {
    this.peer = new Peer(port, new Map())
  }

  /** Goes on with another broker on the same directory. */
  moveTo(port: number): void {
    this.peer.close()
    this.peer = new Peer(port, new Map())
  }

  note(label: string, answer: unknown): void {
    this.seen.push([label, answer])
  }

  member(id: string): StagedMember {
    let member = this.#members.get(id)
    if (member === undefined) {
      member = { id, epoch: 0, owned: {} }
      this.#members.set(id, member)
    }
    return member
  }

  /**
   * Makes topics of these partition counts. Assignors go through topics in the order of their ids' hashes, so topics are made until there
   * is one in the same place on every broker.
   */
  async topics(counts: Record<string, number>): Promise<void> {
    const names = Object.keys(counts)
    const width = Math.trunc(16 / names.length)
    for (const [place, logical] of names.entries()) {
      for (let attempt = 0; !this.#topics.has(logical); attempt++) {
        const name = `${logical}-${1000 + attempt}`
        const { topics } = await this.peer.call(CreateTopics, 7, {
          topics: [{ name, numPartitions: counts[logical]!, replicationFactor: 1, assignments: [], configs: [] }],
          timeoutMs: 10_000,
        })
        const { topicId, errorCode } = topics[0]!
        if (errorCode !== 0) throw new Error(`${name}: ${errorName(errorCode)}`)
        const hash = javaUuidHash(topicId)
        const bucket = (hash ^ (hash >>> 16)) & 15
        const first = Buffer.from(topicId, 'base64url').readInt8(0) + 128
        const isThere = Math.trunc(bucket / width) === place && Math.trunc(first / (256 / names.length)) === place
        if (!isThere) continue
        this.#topics.set(logical, { name, topicId })
        this.#namesById.set(topicId, logical)
        await this.peer.ready(name, counts[logical]!)
      }
    }
  }

  /** Waits until the group has a coordinator that answers. */
  async coordinated(groupId: string): Promise<void> {
    for (;;) {
      const { coordinators } = await this.peer.call(FindCoordinator, 4, { keyType: 0, coordinatorKeys: [groupId] })
      if (coordinators[0]!.errorCode === 0) {
        const { groups } = await this.peer.call(ConsumerGroupDescribe, 1, { groupIds: [groupId], includeAuthorizedOperations: false })
        if (errorName(groups[0]!.errorCode) === 'GROUP_ID_NOT_FOUND') return
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  nameOf(logical: string): string {
    return this.#topics.get(logical)?.name ?? logical
  }

  #logical(topicId: string): string {
    return this.#namesById.get(topicId) ?? topicId
  }

  #toTopicPartitions(owned: Owned): { topicId: string; partitions: number[] }[] {
    return Object.entries(owned).map(([topic, partitions]) => ({ topicId: this.#topics.get(topic)!.topicId, partitions }))
  }

  #fromTopicPartitions(rows: readonly { topicId: string; partitions: readonly number[] }[]): Owned {
    const named = rows.map(({ topicId, partitions }) => [this.#logical(topicId), sorted(partitions)] as const)
    return Object.fromEntries(named.sort(([a], [b]) => (a < b ? -1 : 1)))
  }

  /** Names of topics as the script has them. */
  #plainText(text: string | null): string | null {
    let plain = text
    for (const [memberId, alias] of this.#aliases) plain = plain?.replaceAll(memberId, alias) ?? null
    for (const [logical, { name, topicId }] of this.#topics) plain = plain?.replaceAll(name, logical).replaceAll(topicId, logical) ?? null
    return plain
  }

  /** `owned` is what the member reports; its epoch is what it was last told, unless the script says otherwise. */
  async beat(
    label: string,
    memberId: string,
    options: Partial<Omit<ConsumerGroupHeartbeatRequest, 'topicPartitions'>> & { owned?: Owned; version?: number } = {},
  ): Promise<void> {
    const member = this.member(memberId)
    const { owned, version = 1, subscribedTopicNames, ...fields } = options
    const joins = (options.memberEpoch ?? member.epoch) === 0
    const answer = await this.peer.call(ConsumerGroupHeartbeat, version, {
      groupId: 'g',
      memberId,
      memberEpoch: member.epoch,
      rebalanceTimeoutMs: joins ? 60_000 : -1,
      topicPartitions: owned === undefined ? (joins ? [] : null) : this.#toTopicPartitions(owned),
      subscribedTopicNames: subscribedTopicNames?.map((topic) => this.nameOf(topic)) ?? null,
      ...fields,
      ...(version === 0 ? { subscribedTopicRegex: undefined } : {}),
    })
    const assignment = answer.assignment && this.#fromTopicPartitions(answer.assignment.topicPartitions)
    this.note(label, {
      ...answer,
      errorCode: errorName(answer.errorCode),
      errorMessage: this.#plainText(answer.errorMessage),
      memberId: answer.memberId === memberId || answer.memberId === null ? answer.memberId : 'made up',
      assignment,
    })
    if (answer.errorCode !== 0) return
    member.epoch = Math.max(answer.memberEpoch, 0)
    if (assignment !== null) member.owned = assignment
    if (answer.memberEpoch < 0) member.owned = {}
  }

  /** A member of the classic protocol; its id, made up by the broker, goes by `alias` from then on. */
  async join(label: string, alias: string, { groupId = 'g', topics = ['A'], instanceId = null as string | null } = {}): Promise<void> {
    const member = this.member(alias)
    const writer = new ByteWriter()
    writer.int16(3)
    const ownedPartitions = Object.entries(member.owned).map(([topic, partitions]) => ({ topic: this.nameOf(topic), partitions }))
    const subscription = {
      topics: topics.map((topic) => this.nameOf(topic)),
      userData: null,
      ownedPartitions,
      generationId: -1,
      rackId: null,
    }
    consumerProtocolSubscription.codec(3).write(writer, subscription)
    const answer = await this.peer.call(JoinGroup, 9, {
      groupId,
      sessionTimeoutMs: 30_000,
      rebalanceTimeoutMs: 60_000,
      memberId: this.#realIds.get(alias) ?? '',
      groupInstanceId: instanceId,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: writer.toBuffer() }],
      reason: null,
    })
    if (answer.memberId !== '') {
      this.#realIds.set(alias, answer.memberId)
      this.#aliases.set(answer.memberId, alias)
    }
    const members = answer.members.map(({ memberId }) => this.#plainText(memberId))
    const plain = { ...answer, memberId: this.#plainText(answer.memberId), leader: this.#plainText(answer.leader), members }
    this.note(label, { ...plain, errorCode: errorName(answer.errorCode) })
    if (errorName(answer.errorCode) === 'MEMBER_ID_REQUIRED')
      await this.join(`${label}, with its id`, alias, { groupId, topics, instanceId })
    else if (answer.errorCode === 0) member.epoch = answer.generationId
  }

  /** @param given What the leader of a classic group gives itself. */
  async sync(
    label: string,
    alias: string,
    { groupId = 'g', instanceId = null as string | null, given = undefined as Owned | undefined } = {},
  ) {
    const member = this.member(alias)
    const memberId = this.#realIds.get(alias) ?? ''
    const writer = new ByteWriter()
    writer.int16(3)
    const assignedPartitions = Object.entries(given ?? {}).map(([topic, partitions]) => ({ topic: this.nameOf(topic), partitions }))
    consumerProtocolAssignment.codec(3).write(writer, { assignedPartitions, userData: null })
    const answer = await this.peer.call(SyncGroup, 5, {
      groupId,
      generationId: member.epoch,
      memberId,
      groupInstanceId: instanceId,
      protocolType: 'consumer',
      protocolName: 'range',
      assignments: given === undefined ? [] : [{ memberId, assignment: writer.toBuffer() }],
    })
    let owned: Owned | undefined
    if (answer.assignment.length > 0) {
      const reader = new ByteReader(answer.assignment)
      const rows = consumerProtocolAssignment.codec(reader.int16()).read(reader).assignedPartitions
      owned = Object.fromEntries(rows.map(({ topic, partitions }) => [this.#plainText(topic)!, sorted(partitions)]))
      member.owned = owned
    }
    this.note(label, { ...answer, errorCode: errorName(answer.errorCode), assignment: owned })
  }

  async heartbeat(label: string, alias: string, { groupId = 'g', instanceId = null as string | null } = {}): Promise<string> {
    const { epoch } = this.member(alias)
    const memberId = this.#realIds.get(alias) ?? ''
    const { errorCode } = await this.peer.call(Heartbeat, 4, { groupId, generationId: epoch, memberId, groupInstanceId: instanceId })
    this.note(label, errorName(errorCode))
    return errorName(errorCode)
  }

  async leave(label: string, aliases: string[], groupId = 'g'): Promise<void> {
    const members = aliases.map((alias) => ({ memberId: this.#realIds.get(alias) ?? alias, groupInstanceId: null, reason: null }))
    const answer = await this.peer.call(LeaveGroup, 5, { groupId, members })
    this.note(label, [errorName(answer.errorCode), ...answer.members.map(({ errorCode }) => errorName(errorCode))])
    for (const alias of aliases) this.#realIds.delete(alias)
  }

  async describeClassic(label: string, groupId: string): Promise<void> {
    const { groups } = await this.peer.call(DescribeGroups, 6, { groups: [groupId], includeAuthorizedOperations: false })
    const { members, ...group } = groups[0]!
    const plain = members.map(({ memberId, groupInstanceId }) => ({ memberId: this.#plainText(memberId), groupInstanceId }))
    this.note(label, { ...group, members: plain.sort((a, b) => (a.memberId! < b.memberId! ? -1 : 1)) })
  }

  async describe(label: string, groupId = 'g'): Promise<void> {
    const { groups } = await this.peer.call(ConsumerGroupDescribe, 1, { groupIds: [groupId], includeAuthorizedOperations: false })
    const { members, errorCode, ...group } = groups[0]!
    const described = members.map(({ assignment, targetAssignment, subscribedTopicNames, clientHost: _, ...member }) => ({
      ...member,
      memberId: this.#plainText(member.memberId)!,
      assignment: this.#fromTopicPartitions(assignment.topicPartitions),
      targetAssignment: this.#fromTopicPartitions(targetAssignment.topicPartitions),
      subscribedTopicRegex: this.#plainText(member.subscribedTopicRegex),
      subscribedTopicNames: subscribedTopicNames.map((name) => this.#plainText(name)).sort(),
    }))
    const byId = described.sort((a, b) => (a.memberId < b.memberId ? -1 : 1))
    this.note(label, { ...group, errorCode: errorName(errorCode), members: byId })
  }

  async list(label: string): Promise<void> {
    for (const typesFilter of [[], ['consumer'], ['Classic'], ['streams']]) {
      const { groups } = await this.peer.call(ListGroups, 5, { statesFilter: [], typesFilter })
      this.note(`${label}: types ${typesFilter}`, groups)
    }
    const { groups } = await this.peer.call(DescribeGroups, 6, { groups: ['g'], includeAuthorizedOperations: false })
    this.note(`${label}: as a classic group`, groups)
  }

  async commit(
    label: string,
    memberId: string,
    epoch: number,
    topic: string,
    partition: number,
    version = 9,
    groupId = 'g',
  ): Promise<void> {
    const partitions = [{ partitionIndex: partition, committedOffset: 1, committedLeaderEpoch: -1, committedMetadata: 'm' }]
    const named = version >= 10 ? { topicId: this.#topics.get(topic)!.topicId } : { name: this.nameOf(topic) }
    const { topics } = await this.peer.call(OffsetCommit, version, {
      groupId,
      generationIdOrMemberEpoch: epoch,
      memberId,
      groupInstanceId: null,
      topics: [{ ...named, partitions }],
    })
    this.note(label, errorName(topics[0]!.partitions[0]!.errorCode))
  }

  async offsets(label: string, memberId: string | null, memberEpoch: number, topic: string, groupId = 'g'): Promise<void> {
    const { groups } = await this.peer.call(OffsetFetch, 9, {
      groups: [{ groupId, memberId, memberEpoch, topics: [{ name: this.nameOf(topic), partitionIndexes: [0] }] }],
      requireStable: false,
    })
    const { errorCode, topics } = groups[0]!
    this.note(label, { errorCode: errorName(errorCode), offsets: topics.map(({ partitions }) => partitions) })
  }

  /** What the group has left in __consumer_offsets, in order, in the words of the script. */
  async records(): Promise<unknown[]> {
    await this.peer.ready('__consumer_offsets', 1)
    const found: GroupRecord[] = []
    for (let offset = 0; ; ) {
      const request = this.peer.fetchRequest(12, [['__consumer_offsets', 0, { offset, maxBytes: 2 ** 24 }]], { maxBytes: 2 ** 24 })
      const { responses } = await this.peer.call(Fetch, 12, request)
      const { records, highWatermark } = responses[0]!.partitions[0]!
      for (const batch of iterateBatches(records!)) {
        for (const { key, value } of readRecords(batch, { maxOutputBytes: 2 ** 24 })) {
          const record = decodeGroupRecord(key!, value)
          if (record !== undefined && record.kind !== 'offset') found.push(record)
        }
        offset = batch.nextOffset
      }
      if (offset >= highWatermark) return membersInOrder(found, (text) => this.#plainText(text) ?? '').map((record) => this.#plain(record))
    }
  }

  #plain(value: GroupRecord | unknown, key = ''): unknown {
    if (value instanceof Map)
      return Object.fromEntries(Array.from(value, ([name, part]) => [this.#logical(`${name}`), this.#plain(part)]).sort())
    if (value instanceof Set) return [...value].map((each) => this.#plain(each)).sort()
    // Names are in them: each broker's topics have others.
    if (Buffer.isBuffer(value)) return `${value.length} bytes`
    if (Array.isArray(value)) {
      const plain = value.map((each) => this.#plain(each))
      return key === 'members' ? plain.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) : plain
    }
    if (typeof value === 'bigint') return value === 0n ? 'no topics' : 'a hash'
    if (typeof value === 'number' && /timestamp|version/i.test(key)) return value === 0 ? 0 : 'a time'
    // Whoever comes first in a hash map by ids that the broker made up.
    if (key === 'leader') return value === null ? null : 'a member'
    if (typeof value === 'string') return this.#plainText(value)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, name === 'clientHost' ? '' : this.#plain(part, name)]))
  }
}

/** Records of several members that belong together (a target assignment, the end of a group) come in the order of a hash map. */
function membersInOrder(records: readonly GroupRecord[], aliasOf: (memberId: string) => string): GroupRecord[] {
  const kindOf = (record: GroupRecord): string | undefined => {
    if (!('memberId' in record)) return undefined
    if (record.value !== null) return record.kind === 'consumer-target-member' ? `${record.group} ${record.kind}` : undefined
    return `${record.group} ${record.kind} tombstone`
  }
  const runs: GroupRecord[][] = []
  for (const record of records) {
    const last = runs.at(-1)?.[0]
    if (last !== undefined && kindOf(record) !== undefined && kindOf(record) === kindOf(last)) runs.at(-1)!.push(record)
    else runs.push([record])
  }
  const idOf = (record: GroupRecord) => ('memberId' in record ? aliasOf(record.memberId) : '')
  return runs.flatMap((run) => run.sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1)))
}
