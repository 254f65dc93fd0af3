import { ByteReader, ByteWriter } from '@tidelog/core'
import { groupByTopic, type TopicPartition } from '../../topic-partition.ts'
import { compareMembers, emptyAssignment, type GroupMember, type ImmediateAssignor, subscribersByTopic } from './assignor.ts'

/** A partition while it is being assigned: who may have it, who had it, who has it now. */
interface Slot {
  readonly topic: string
  readonly partition: number
  readonly subscribers: readonly GroupMember[]
  owner: GroupMember | undefined
}

/**
 * Balanced first, then as few moves as possible: members keep what they own up to their share, what is left goes to those with least,
 * and then partitions move only from a member to one that has at least two fewer. KIP-54.
 */
function assignSticky(
  members: readonly GroupMember[],
  partitionCounts: ReadonlyMap<string, number>,
  ownedBy: (member: GroupMember) => { readonly partitions: readonly TopicPartition[]; readonly generationId: number },
): Map<string, TopicPartition[]> {
  const byTopic = subscribersByTopic(members, partitionCounts)
  const slots = new Map<string, Slot[]>()
  for (const [topic, subscribers] of byTopic) {
    slots.set(
      topic,
      Array.from({ length: partitionCounts.get(topic)! }, (_, partition) => ({ topic, partition, subscribers, owner: undefined })),
    )
  }
  const held = new Map<GroupMember, Slot[]>([...members].sort(compareMembers).map((member) => [member, []]))
  restoreOwners(slots, held, ownedBy)

  const everyone = [...held.keys()]
  const all = [...slots.values()].flat()
  const sameTopics = [...byTopic.values()].every((subscribers) => subscribers.length === 0 || subscribers.length === everyone.length)
  if (sameTopics) trimToQuota(held, all.filter(({ subscribers }) => subscribers.length > 0).length)
  // Partitions with few possible owners first: the others can make up for them.
  const unowned = all.filter(({ owner, subscribers }) => owner === undefined && subscribers.length > 0)
  unowned.sort((a, b) => a.subscribers.length - b.subscribers.length)
  for (const slot of unowned) give(held, slot, leastLoaded(held, slot.subscribers))
  balance(held)

  const assignment = emptyAssignment(members)
  for (const slot of all)
    if (slot.owner !== undefined) assignment.get(slot.owner.memberId)!.push({ topic: slot.topic, partition: slot.partition })
  return assignment
}

/** Of two members that claim a partition the one of the later generation keeps it; of one generation, neither can be trusted. */
function restoreOwners(
  slots: ReadonlyMap<string, readonly Slot[]>,
  held: ReadonlyMap<GroupMember, Slot[]>,
  ownedBy: (member: GroupMember) => { readonly partitions: readonly TopicPartition[]; readonly generationId: number },
): void {
  const claims = new Map<Slot, { member: GroupMember | undefined; generationId: number }>()
  for (const member of held.keys()) {
    const { partitions, generationId } = ownedBy(member)
    for (const { topic, partition } of partitions) {
      const slot = slots.get(topic)?.[partition]
      if (slot === undefined || !slot.subscribers.includes(member)) continue
      const claim = claims.get(slot)
      if (claim === undefined || claim.generationId < generationId) claims.set(slot, { member, generationId })
      else if (claim.generationId === generationId && claim.member !== member) claim.member = undefined
    }
  }
  for (const [slot, { member }] of claims) {
    if (member === undefined) continue
    slot.owner = member
    held.get(member)!.push(slot)
  }
}

/** With equal subscriptions the shares are known: everyone has ⌊n/m⌋ or ⌈n/m⌉, and only as many as the remainder have the latter. */
function trimToQuota(held: ReadonlyMap<GroupMember, Slot[]>, partitionCount: number): void {
  const share = Math.floor(partitionCount / held.size)
  let withOneMore = partitionCount % held.size
  for (const owned of held.values()) {
    owned.sort((a, b) => (a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : a.partition - b.partition))
    let keep = share
    if (owned.length > share && withOneMore > 0) {
      keep++
      withOneMore--
    }
    for (const slot of owned.splice(keep)) slot.owner = undefined
  }
}

function leastLoaded(held: ReadonlyMap<GroupMember, readonly Slot[]>, candidates: readonly GroupMember[]): GroupMember {
  let least = candidates[0]!
  for (const candidate of candidates) if (held.get(candidate)!.length < held.get(least)!.length) least = candidate
  return least
}

function give(held: ReadonlyMap<GroupMember, Slot[]>, slot: Slot, to: GroupMember): void {
  if (slot.owner !== undefined) {
    const before = held.get(slot.owner)!
    before.splice(before.indexOf(slot), 1)
  }
  slot.owner = to
  held.get(to)!.push(slot)
}

/** Each move lowers the sum of squared loads, so this ends. */
function balance(held: ReadonlyMap<GroupMember, Slot[]>): void {
  for (let moved = true; moved; ) {
    moved = false
    const byLoad = [...held].sort(([, a], [, b]) => b.length - a.length)
    for (const [, owned] of byLoad) {
      for (const slot of [...owned]) {
        const least = leastLoaded(held, slot.subscribers)
        if (held.get(least)!.length + 1 >= owned.length) continue
        give(held, slot, least)
        moved = true
      }
    }
  }
}

/** Sticky with eager rebalancing. What members had travels in their user data, in the layout of Java's StickyAssignor. */
export const stickyAssignor: ImmediateAssignor = {
  name: 'sticky',
  supportedProtocols: ['eager'],
  assign: (members, partitionCounts) =>
    assignSticky(members, partitionCounts, ({ userData, ownedPartitions, generationId }) =>
      userData === null ? { partitions: ownedPartitions, generationId } : readStickyUserData(userData),
    ),
  subscriptionUserData(owned, generationId) {
    const writer = new ByteWriter()
    const byTopic = groupByTopic(owned)
    writer.int32(byTopic.size)
    for (const [topic, partitions] of byTopic) {
      writer.int16(Buffer.byteLength(topic))
      writer.string(topic)
      writer.int32(partitions.length)
      for (const { partition } of partitions) writer.int32(partition)
    }
    writer.int32(generationId)
    return writer.toBuffer()
  },
}

/** Another member's bytes: whatever does not decode counts as owning nothing. */
function readStickyUserData(userData: Buffer): { partitions: readonly TopicPartition[]; generationId: number } {
  try {
    const reader = new ByteReader(userData)
    const partitions: TopicPartition[] = []
    for (let topics = reader.int32(); topics > 0; topics--) {
      const topic = reader.string(reader.int16())
      for (let count = reader.int32(); count > 0; count--) partitions.push({ topic, partition: reader.int32() })
    }
    return { partitions, generationId: reader.remaining >= 4 ? reader.int32() : -1 }
  } catch {
    return { partitions: [], generationId: -1 }
  }
}

/**
 * Sticky with cooperative rebalancing: a partition that moves is assigned to nobody in this round, so that its owner gives it up first;
 * the next round, which that owner asks for, hands it to the new one. KIP-429.
 */
export const cooperativeStickyAssignor: ImmediateAssignor = {
  name: 'cooperative-sticky',
  supportedProtocols: ['cooperative', 'eager'],
  assign(members, partitionCounts) {
    const generationOf = ({ generationId, userData }: GroupMember): number =>
      generationId >= 0 || userData === null || userData.length < 4 ? generationId : userData.readInt32BE(0)
    const assignment = assignSticky(members, partitionCounts, (member) => ({
      partitions: member.ownedPartitions,
      generationId: generationOf(member),
    }))
    const ownerOf = new Map<string, string>()
    for (const { memberId, ownedPartitions } of members) {
      for (const { topic, partition } of ownedPartitions) ownerOf.set(`${topic}/${partition}`, memberId)
    }
    for (const [memberId, partitions] of assignment) {
      const now = partitions.filter(({ topic, partition }) => {
        const owner = ownerOf.get(`${topic}/${partition}`)
        return owner === undefined || owner === memberId
      })
      assignment.set(memberId, now)
    }
    return assignment
  },
  subscriptionUserData(_owned, generationId) {
    const userData = Buffer.allocUnsafe(4)
    userData.writeInt32BE(generationId)
    return userData
  },
}
