import { PartitionMap, type TopicPartition } from '../../topic-partition.ts'
import { byText, emptyAssignment, type GroupMember, type ImmediateAssignor, racksMatter, subscribersByTopic } from './assignor.ts'

/** One topic while its partitions are being given out. */
class TopicShares {
  readonly topic: string
  readonly partitionCount: number
  /** Members that subscribe, in order. */
  readonly subscribers: readonly GroupMember[]
  readonly usesRacks: boolean
  readonly #replicaRacks: PartitionMap<ReadonlySet<string>>
  readonly #free: Set<number>
  readonly #share: number
  #sharesWithOneMore: number
  readonly #given = new Map<GroupMember, number>()

  constructor(topic: string, partitionCount: number, subscribers: readonly GroupMember[], replicaRacks: PartitionMap<ReadonlySet<string>>) {
    this.topic = topic
    this.partitionCount = partitionCount
    this.subscribers = subscribers
    this.#replicaRacks = replicaRacks
    const partitions = Array.from({ length: partitionCount }, (_, partition) => partition)
    this.#free = new Set(partitions)
    this.#share = subscribers.length === 0 ? 0 : Math.floor(partitionCount / subscribers.length)
    this.#sharesWithOneMore = subscribers.length === 0 ? 0 : partitionCount % subscribers.length
    const memberRacks = new Set(subscribers.flatMap(({ rackId }) => rackId || []))
    this.usesRacks = racksMatter(
      memberRacks,
      partitions.map((partition) => replicaRacks.get({ topic, partition }) ?? new Set<string>()),
    )
  }

  /** How many more partitions a member may get. */
  room(member: GroupMember): number {
    return Math.max(0, this.#share + (this.#sharesWithOneMore > 0 ? 1 : 0) - (this.#given.get(member) ?? 0))
  }

  /** A member without rack is near to every partition. */
  isNear({ rackId }: GroupMember, partition: number): boolean {
    return !rackId || (this.#replicaRacks.get({ topic: this.topic, partition })?.has(rackId) ?? false)
  }

  /** The first free partitions that `suits` takes, as many as there is room for. */
  pick(member: GroupMember, suits: (partition: number) => boolean): number[] {
    const room = this.room(member)
    const picked: number[] = []
    for (const partition of this.#free) {
      if (picked.length >= room) break
      if (suits(partition)) picked.push(partition)
    }
    return picked
  }

  give(member: GroupMember, partitions: readonly number[]): void {
    if (partitions.length === 0) return
    const given = (this.#given.get(member) ?? 0) + partitions.length
    this.#given.set(member, given)
    if (given > this.#share) this.#sharesWithOneMore--
    for (const partition of partitions) this.#free.delete(partition)
  }
}

/**
 * Topics with the same subscribers and equal partition counts are joined by number: a member gets the same partitions of all of them, those
 * that have replicas in its rack in every one of these topics.
 */
function giveNearTogether(group: readonly TopicShares[], give: (topic: TopicShares, member: GroupMember, partition: number) => void): void {
  const { subscribers, partitionCount } = group[0]!
  const open = new Set(subscribers)
  for (let partition = 0; partition < partitionCount && open.size > 0; partition++) {
    for (const member of open) {
      if (!group.every((topic) => topic.isNear(member, partition) && topic.room(member) > 0)) continue
      for (const topic of group) give(topic, member, partition)
      if (group.every((topic) => topic.room(member) === 0)) open.delete(member)
      break
    }
  }
}

/**
 * Per topic, consecutive partitions to members in order; the first members get one more when it does not divide evenly.
 * Members meet the same partition numbers of topics with equal partition counts, which joins rely on. Members with a rack first get, within
 * their shares, partitions that have a replica there (KIP-881). Equal to Java's RangeAssignor.
 */
export const rangeAssignor: ImmediateAssignor = {
  name: 'range',
  supportedProtocols: ['eager'],
  assign(members, partitionCounts, replicaRacks = new PartitionMap()) {
    const assignment = emptyAssignment(members)
    const topics = [...subscribersByTopic(members, partitionCounts)].map(
      ([topic, subscribers]) => new TopicShares(topic, partitionCounts.get(topic)!, subscribers, replicaRacks),
    )
    const give = (shares: TopicShares, member: GroupMember, partitions: readonly number[]) => {
      shares.give(member, partitions)
      const mine: TopicPartition[] = assignment.get(member.memberId)!
      for (const partition of partitions) mine.push({ topic: shares.topic, partition })
    }
    if (topics.some(({ usesRacks }) => usesRacks)) {
      for (const group of joinable(topics)) {
        const [only] = group
        if (group.length > 1) giveNearTogether(group, (topic, member, partition) => give(topic, member, [partition]))
        else if (only!.usesRacks) {
          for (const member of only!.subscribers)
            give(
              only!,
              member,
              only!.pick(member, (partition) => only!.isNear(member, partition)),
            )
        }
      }
    }
    for (const topic of topics)
      for (const member of topic.subscribers)
        give(
          topic,
          member,
          topic.pick(member, () => true),
        )
    for (const mine of assignment.values()) mine.sort((a, b) => byText(a.topic, b.topic) || a.partition - b.partition)
    return assignment
  },
}

/** Topics by who subscribes to them and how many partitions they have. */
function joinable(topics: readonly TopicShares[]): TopicShares[][] {
  const groups = new Map<string, TopicShares[]>()
  for (const topic of topics) {
    const key = JSON.stringify([topic.partitionCount, ...topic.subscribers.map(({ memberId }) => memberId)])
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [topic])
    else group.push(topic)
  }
  return [...groups.values()]
}
