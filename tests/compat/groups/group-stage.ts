/** One broker under a script of heartbeats: the same words for members and topics, whatever ids the broker gave them. */
import { decodeGroupRecord, type GroupRecord, javaUuidHash } from '@tidelog/coordinator'
import {
  ConsumerGroupDescribe,
  ConsumerGroupHeartbeat,
  type ConsumerGroupHeartbeatRequest,
  CreateTopics,
  DescribeGroups,
  errorName,
  Fetch,
  FindCoordinator,
  iterateBatches,
  ListGroups,
  OffsetCommit,
  OffsetFetch,
  readRecords,
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
  readonly peer: Peer
  /** What the broker answered, in the order of the script. */
  readonly seen: [label: string, answer: unknown][] = []
  readonly #members = new Map<string, StagedMember>()
  readonly #topics = new Map<string, { name: string; topicId: string }>()
  readonly #namesById = new Map<string, string>()

  constructor(port: number) {
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
        const name = `${logical}-${attempt}`
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

  async describe(label: string, groupId = 'g'): Promise<void> {
    const { groups } = await this.peer.call(ConsumerGroupDescribe, 1, { groupIds: [groupId], includeAuthorizedOperations: false })
    const { members, errorCode, ...group } = groups[0]!
    const described = members.map(({ assignment, targetAssignment, subscribedTopicNames, clientHost: _, ...member }) => ({
      ...member,
      assignment: this.#fromTopicPartitions(assignment.topicPartitions),
      targetAssignment: this.#fromTopicPartitions(targetAssignment.topicPartitions),
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

  async commit(label: string, memberId: string, epoch: number, topic: string, partition: number, version = 9): Promise<void> {
    const partitions = [{ partitionIndex: partition, committedOffset: 1, committedLeaderEpoch: -1, committedMetadata: 'm' }]
    const named = version >= 10 ? { topicId: this.#topics.get(topic)!.topicId } : { name: this.nameOf(topic) }
    const { topics } = await this.peer.call(OffsetCommit, version, {
      groupId: 'g',
      generationIdOrMemberEpoch: epoch,
      memberId,
      groupInstanceId: null,
      topics: [{ ...named, partitions }],
    })
    this.note(label, errorName(topics[0]!.partitions[0]!.errorCode))
  }

  async offsets(label: string, memberId: string | null, memberEpoch: number, topic: string): Promise<void> {
    const { groups } = await this.peer.call(OffsetFetch, 9, {
      groups: [{ groupId: 'g', memberId, memberEpoch, topics: [{ name: this.nameOf(topic), partitionIndexes: [0] }] }],
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
      if (offset >= highWatermark) return membersInOrder(found).map((record) => this.#plain(record))
    }
  }

  #plain(value: GroupRecord | unknown, key = ''): unknown {
    if (value instanceof Map)
      return Object.fromEntries(Array.from(value, ([name, part]) => [this.#logical(`${name}`), this.#plain(part)]).sort())
    if (value instanceof Set) return [...value].map((each) => this.#plain(each)).sort()
    if (Buffer.isBuffer(value)) return value.toString('hex')
    if (Array.isArray(value)) return value.map((each) => this.#plain(each))
    if (typeof value === 'bigint') return value === 0n ? 'no topics' : 'a hash'
    if (typeof value === 'number' && /timestamp|version/i.test(key)) return value === 0 ? 0 : 'a time'
    if (typeof value === 'string') return this.#plainText(value)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, name === 'clientHost' ? '' : this.#plain(part, name)]))
  }
}

/** The members' parts of one target assignment come in the order of a hash map. */
function membersInOrder(records: readonly GroupRecord[]): GroupRecord[] {
  const runs: GroupRecord[][] = []
  for (const record of records) {
    const isPart = record.kind === 'consumer-target-member' && record.value !== null
    const last = runs.at(-1)?.[0]
    if (isPart && last?.kind === 'consumer-target-member' && last.value !== null && last.group === record.group) runs.at(-1)!.push(record)
    else runs.push([record])
  }
  const idOf = (record: GroupRecord) => ('memberId' in record ? record.memberId : '')
  return runs.flatMap((run) => run.sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1)))
}
