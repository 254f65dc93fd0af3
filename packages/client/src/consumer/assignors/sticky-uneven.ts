import { javaHashOrderOf, javaTopicPartitionHash } from '@tidelog/core'
import { PartitionMap, type TopicPartition } from '../../topic-partition.ts'
import { byText } from './assignor.ts'
import { isSame, type StickyInput, without } from './sticky-input.ts'

/**
 * Members have different topics. What they had and may keep stays, the rest goes to whoever has least, and then partitions move as long as
 * that brings two members closer, back to who had them once where possible. KIP-54, KIP-341.
 */
class UnevenShares {
  readonly #input: StickyInput
  readonly #current: Map<string, TopicPartition[]>
  readonly #owner = new PartitionMap<string>()
  /** Members that subscribe to a topic, and existing topics of a member. */
  readonly #subscribers = new Map<string, string[]>()
  readonly #topics = new Map<string, ReadonlySet<string>>()
  /** Owners of an earlier generation. */
  readonly #former: PartitionMap<string>
  readonly #moves = new Moves()
  /** Members among whom partitions may move. */
  #movable: Set<string>
  #hadToGiveUp = false

  constructor(input: StickyInput) {
    this.#input = input
    for (const topic of input.partitionCounts.keys()) this.#subscribers.set(topic, [])
    for (const memberId of input.memberIds) {
      const topics = new Set(input.members.get(memberId)!.topics.filter((topic) => input.partitionCounts.has(topic)))
      this.#topics.set(memberId, topics)
      for (const topic of topics) this.#subscribers.get(topic)!.push(memberId)
    }
    this.#current = new Map([...input.kept].map(([memberId, partitions]) => [memberId, [...partitions]]))
    for (const [memberId, partitions] of this.#current) for (const partition of partitions) this.#owner.set(partition, memberId)
    this.#former = this.#formerOwners()
    this.#movable = new Set(input.memberIds)
  }

  run(): Map<string, TopicPartition[]> {
    this.#dropWhatMayNotStay()
    // Topics with few subscribers first: the others can make up for them.
    const topics = [...this.#subscribers.keys()].sort(
      (a, b) => this.#subscribers.get(a)!.length - this.#subscribers.get(b)!.length || byText(a, b),
    )
    const all = this.#input.partitionsOf(topics)
    const assigned = new PartitionMap<true>([...this.#current.values()].flat().map((partition) => [partition, true]))
    const free = all.filter((partition) => !assigned.has(partition))
    const isFirst = [...this.#current.values()].every((partitions) => partitions.length === 0)
    this.#assignFree(free)
    const fixed = this.#setFixedAside()
    const before = new Map([...this.#current].map(([memberId, partitions]) => [memberId, [...partitions]]))
    const canMove = ({ topic }: TopicPartition) => this.#subscribers.get(topic)!.length >= 2
    if (!this.#hadToGiveUp) this.#move(free.filter(canMove))
    const hasMoved = this.#move(all.filter(canMove))
    const result = !isFirst && hasMoved && imbalance(this.#current) >= imbalance(before) ? before : this.#current
    return new Map([...result, ...fixed])
  }

  /** Of partitions whose owner speaks for an older generation, who had them last; who comes first, of one generation. */
  #formerOwners(): PartitionMap<string> {
    const { ownedBefore, newestGeneration } = this.#input
    const former = new PartitionMap<{ memberId: string; generationId: number }>()
    for (const [memberId, { partitions, generationId = NO_GENERATION }] of ownedBefore) {
      if (generationId >= newestGeneration) continue
      for (const partition of partitions) {
        const known = former.get(partition)
        if (known === undefined || generationId > known.generationId) former.set(partition, { memberId, generationId })
      }
    }
    return new PartitionMap([...former].map(([partition, { memberId }]) => [partition, memberId]))
  }

  #dropWhatMayNotStay(): void {
    for (const [memberId, partitions] of this.#current) {
      const staying = partitions.filter(
        (partition) => this.#topics.get(memberId)!.has(partition.topic) && !this.#input.racks.areFar(memberId, partition),
      )
      if (staying.length < partitions.length) this.#hadToGiveUp = true
      this.#current.set(memberId, staying)
    }
  }

  #assignFree(free: readonly TopicPartition[]): void {
    const { racks } = this.#input
    const left = racks.matter
      ? free.filter((partition) => !this.#giveToLeast(partition, (memberId) => !racks.areFar(memberId, partition)))
      : free
    for (const partition of left) this.#giveToLeast(partition, () => true)
  }

  /** False: nobody suits. */
  #giveToLeast(partition: TopicPartition, suits: (memberId: string) => boolean): boolean {
    const memberId = this.#least(this.#subscribers.get(partition.topic)!.filter(suits))
    if (memberId === undefined) return false
    this.#current.get(memberId)!.push(partition)
    this.#owner.set(partition, memberId)
    return true
  }

  /** Who has least; of those, the first by name. */
  #least(memberIds: readonly string[]): string | undefined {
    let least: string | undefined
    for (const memberId of memberIds) {
      if (!this.#movable.has(memberId)) continue
      const order = least === undefined ? -1 : this.#count(memberId) - this.#count(least) || byText(memberId, least)
      if (order < 0) least = memberId
    }
    return least
  }

  #count(memberId: string): number {
    return this.#current.get(memberId)!.length
  }

  /** Members that have all that they can have, and nothing that anybody else could take. */
  #setFixedAside(): Map<string, TopicPartition[]> {
    const fixed = new Map<string, TopicPartition[]>()
    for (const memberId of this.#input.memberIds) {
      const partitions = this.#current.get(memberId)!
      const isFull = partitions.length >= this.#most(memberId)
      if (!isFull || partitions.some(({ topic }) => this.#subscribers.get(topic)!.length >= 2)) continue
      fixed.set(memberId, partitions)
      this.#current.delete(memberId)
      this.#movable.delete(memberId)
    }
    return fixed
  }

  /** All partitions of the topics that it subscribes to. */
  #most(memberId: string): number {
    let sum = 0
    for (const topic of this.#topics.get(memberId)!) sum += this.#input.partitionCounts.get(topic)!
    return sum
  }

  /** Goes through the partitions, again and again, until no move helps any more. @returns whether any has moved */
  #move(partitions: readonly TopicPartition[]): boolean {
    let hasMoved = false
    let best = imbalance(this.#current)
    let passesSinceBest = 0
    for (let isModified = true; isModified && passesSinceBest < MAX_PASSES_IN_VAIN; passesSinceBest++) {
      isModified = false
      for (const partition of partitions) {
        if (this.#isBalanced()) break
        const to = this.#betterOwner(partition)
        if (to === undefined) continue
        this.#moveTo(partition, to)
        isModified = true
        hasMoved = true
      }
      const now = imbalance(this.#current)
      if (now < best) passesSinceBest = 0
      best = Math.min(best, now)
    }
    return hasMoved
  }

  #betterOwner(partition: TopicPartition): string | undefined {
    const owner = this.#owner.get(partition)
    if (owner === undefined || !this.#current.has(owner)) return undefined
    const count = this.#count(owner)
    const subscribers = this.#subscribers.get(partition.topic)!
    const former = this.#former.get(partition)
    // One that has left the topic since may not have it back.
    if (former !== undefined && this.#movable.has(former) && subscribers.includes(former) && count > this.#count(former) + 1) return former
    if (!subscribers.some((memberId) => this.#current.has(memberId) && count > this.#count(memberId) + 1)) return undefined
    return this.#least(subscribers)
  }

  #moveTo(partition: TopicPartition, to: string): void {
    const actual = this.#moves.instead(partition, this.#owner.get(partition)!, to)
    const from = this.#owner.get(actual)!
    this.#moves.add(actual, from, to)
    this.#current.set(from, without(this.#current.get(from)!, actual))
    this.#current.get(to)!.push(actual)
    this.#owner.set(actual, to)
  }

  /** No member could take a partition of one that has at least two more. */
  #isBalanced(): boolean {
    const counts = [...this.#movable].map((memberId) => this.#count(memberId))
    if (counts.length === 0 || Math.min(...counts) >= Math.max(...counts) - 1) return true
    for (const memberId of this.#movable) {
      const count = this.#count(memberId)
      if (count === this.#most(memberId)) continue
      for (const topic of this.#topics.get(memberId)!) {
        for (let partition = 0; partition < this.#input.partitionCounts.get(topic)!; partition++) {
          const owner = this.#owner.get({ topic, partition })
          if (owner !== undefined && owner !== memberId && this.#current.has(owner) && count + 1 < this.#count(owner)) return false
        }
      }
    }
    return true
  }
}

const NO_GENERATION = -1
/** Moving another partition than the one looked at can go round in circles. */
const MAX_PASSES_IN_VAIN = 10

/** Differences between every two members, added up. */
function imbalance(assignment: ReadonlyMap<string, readonly TopicPartition[]>): number {
  const counts = [...assignment.values()].map(({ length }) => length).sort((a, b) => a - b)
  let sum = 0
  for (const [index, count] of counts.entries()) sum += count * (2 * index - counts.length + 1)
  return sum
}

/** A set of partitions that hands out the one that Java's HashSet would: its table grows and never shrinks. */
class JavaPartitionSet {
  #partitions: TopicPartition[] = []
  #peak = 0

  add(partition: TopicPartition): void {
    this.#partitions.push(partition)
    this.#peak = Math.max(this.#peak, this.#partitions.length)
  }

  remove(partition: TopicPartition): void {
    this.#partitions = this.#partitions.filter((one) => !isSame(one, partition))
  }

  first(): TopicPartition | undefined {
    let capacity = 16
    while (this.#peak > capacity * 0.75) capacity *= 2
    return javaHashOrderOf(this.#partitions, javaTopicPartitionHash, capacity)[0]
  }

  get isEmpty(): boolean {
    return this.#partitions.length === 0
  }
}

interface Move {
  readonly from: string
  readonly to: string
}

/** Which partitions have moved so far, so that one which goes back undoes a move of its topic instead of making another. */
class Moves {
  readonly #moves = new PartitionMap<Move>()
  readonly #between = new Map<string, JavaPartitionSet>()

  /** The partition to move in place of this one: of the same topic, one that came the other way. */
  instead(partition: TopicPartition, owner: string, to: string): TopicPartition {
    const from = this.#moves.get(partition)?.from ?? owner
    return this.#between.get(keyOf(partition.topic, { from: to, to: from }))?.first() ?? partition
  }

  add(partition: TopicPartition, from: string, to: string): void {
    const earlier = this.#moves.get(partition)
    if (earlier === undefined) {
      this.#set(partition, { from, to })
      return
    }
    this.#moves.delete(partition)
    const key = keyOf(partition.topic, earlier)
    const set = this.#between.get(key)!
    set.remove(partition)
    if (set.isEmpty) this.#between.delete(key)
    // Back where it came from is no move at all.
    if (earlier.from !== to) this.#set(partition, { from: earlier.from, to })
  }

  #set(partition: TopicPartition, move: Move): void {
    this.#moves.set(partition, move)
    const key = keyOf(partition.topic, move)
    const set = this.#between.get(key) ?? new JavaPartitionSet()
    set.add(partition)
    this.#between.set(key, set)
  }
}

const keyOf = (topic: string, { from, to }: Move): string => JSON.stringify([topic, from, to])

export const assignUnevenly = (input: StickyInput): Map<string, TopicPartition[]> => new UnevenShares(input).run()
