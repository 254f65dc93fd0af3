import { compareUuids } from '../java-order.ts'
import { AssignmentBuilder, type GroupAssignment, type GroupSpec } from './assignor.ts'

/** Rounds over all topics after which what is balanced will do. Kafka's constant. */
const maxRounds = 16

/** Nobody has the partition. */
const unowned = -1

interface Topic {
  readonly topicId: string
  readonly partitionCount: number
  /** Positions of the members that subscribe to it, ascending. */
  readonly subscribers: number[]
  /** By partition, the position of the member that has it. */
  readonly owners: number[]
}

/**
 * `uniform` where members subscribe to different topics: everyone keeps what it may, free partitions go to whoever has least, and then
 * partitions move from those who have most to those who have least, topic by topic, until nothing moves any more.
 */
export function uniformHeterogeneous(spec: GroupSpec): GroupAssignment {
  const balance = new Balance(spec)
  if (!balance.hasTopics) return new Map()
  balance.keep()
  balance.dealOut()
  balance.even()
  return balance.assignments()
}

class Balance {
  readonly #spec: GroupSpec
  readonly #topics = new Map<string, Topic>()
  /** By the members' positions. */
  readonly #assignments: AssignmentBuilder[]
  readonly #sizes: number[]
  readonly #loads: Loads

  constructor(spec: GroupSpec) {
    this.#spec = spec
    this.#assignments = spec.members.map(({ assignment }) => new AssignmentBuilder(assignment))
    this.#sizes = spec.members.map(() => 0)
    this.#loads = new Loads(this.#sizes)
    for (const [position, { topicIds }] of spec.members.entries()) {
      for (const topicId of topicIds) this.#topicOf(topicId).subscribers.push(position)
    }
  }

  #topicOf(topicId: string): Topic {
    let topic = this.#topics.get(topicId)
    if (topic === undefined) {
      const partitionCount = this.#spec.partitionCount(topicId)
      topic = { topicId, partitionCount, subscribers: [], owners: new Array<number>(partitionCount).fill(unowned) }
      this.#topics.set(topicId, topic)
    }
    return topic
  }

  get hasTopics(): boolean {
    return this.#topics.size > 0
  }

  assignments(): GroupAssignment {
    return new Map(this.#spec.members.map(({ memberId }, position) => [memberId, this.#assignments[position]!.build()]))
  }

  keep(): void {
    for (const [position, { topicIds, assignment }] of this.#spec.members.entries()) {
      for (const [topicId, partitions] of assignment) {
        if (!topicIds.has(topicId)) {
          this.#assignments[position]!.removeTopic(topicId)
          continue
        }
        this.#sizes[position]! += partitions.size
        const { owners } = this.#topics.get(topicId)!
        for (const partition of partitions) owners[partition] = position
      }
    }
  }

  dealOut(): void {
    for (const topic of [...this.#topics.values()].filter(({ owners }) => owners.includes(unowned)).sort(byShare)) {
      this.#loads.start(topic.subscribers)
      for (const [partition, owner] of topic.owners.entries()) if (owner === unowned) this.#move(topic, partition, this.#loads.nextLeast())
    }
  }

  even(): void {
    const topics = [...this.#topics.values()].filter(({ subscribers }) => subscribers.length >= 2).sort(byShare)
    let lastChanged = -1
    for (let round = 0; round < maxRounds; round++) {
      for (const [i, topic] of topics.entries()) {
        // All the others have been looked at since and nothing moved.
        if (i === lastChanged) return
        if (this.#evenTopic(topic) > 0 || lastChanged === -1) lastChanged = i
      }
    }
  }

  /** @returns How many partitions have moved. */
  #evenTopic(topic: Topic): number {
    const { owners, partitionCount } = topic
    if (this.#loads.start(topic.subscribers) <= 1) return 0
    // Each member's partitions in a run; they go from its end.
    const partitions = Array.from({ length: partitionCount }, (_, i) => i).sort((a, b) => owners[a]! - owners[b]! || a - b)
    const left = new Map<number, number[]>()
    for (const partition of partitions) {
      const run = left.get(owners[partition]!)
      if (run === undefined) left.set(owners[partition]!, [partition])
      else run.push(partition)
    }
    let movedCount = 0
    while (!this.#loads.areEven) {
      let most = this.#loads.nextMost()
      while (most !== undefined && (left.get(most)?.length ?? 0) === 0) {
        this.#loads.excludeMost()
        most = this.#loads.nextMost()
      }
      if (most === undefined) break
      const partition = left.get(most)!.pop()!
      const least = this.#loads.nextLeast()
      if (this.#loads.areEven) break
      this.#move(topic, partition, least)
      movedCount++
    }
    return movedCount
  }

  #move({ topicId, owners }: Topic, partition: number, position: number): void {
    const owner = owners[partition]!
    if (owner !== unowned) {
      this.#assignments[owner]!.remove(topicId, partition)
      this.#sizes[owner]!--
    }
    this.#assignments[position]!.add(topicId, partition)
    this.#sizes[position]!++
    owners[partition] = position
  }
}

/** Topics with most partitions a subscriber come first, then those with fewer subscribers. */
const byShare = (a: Topic, b: Topic): number =>
  b.partitionCount / b.subscribers.length - a.partitionCount / a.subscribers.length ||
  a.subscribers.length - b.subscribers.length ||
  compareUuids(a.topicId, b.topicId)

/**
 * Hands out the members that have least and those that have most, each in turn: after every member of the least (or most) loaded has been
 * handed out once, it takes in those that are now level with them.
 */
class Loads {
  /** By position, how many partitions a member has; changed by the caller as members are handed out. */
  readonly #sizes: readonly number[]
  #sorted: number[] = []
  #leastEnd = 0
  #leastSize = 0
  #nextLeast = 0
  #mostStart = 0
  #mostEnd = 0
  #mostSize = 0
  #nextMost = 0

  constructor(sizes: readonly number[]) {
    this.#sizes = sizes
  }

  /** @returns By how much the most loaded of these members is ahead of the least loaded. */
  start(positions: readonly number[]): number {
    this.#sorted = [...positions].sort((a, b) => this.#sizes[a]! - this.#sizes[b]! || a - b)
    const least = this.#sizes[this.#sorted[0]!]!
    const most = this.#sizes[this.#sorted.at(-1)!]!
    this.#leastEnd = 0
    this.#leastSize = least - 1
    this.#nextLeast = 0
    this.#mostStart = this.#sorted.length
    this.#mostEnd = this.#sorted.length
    this.#mostSize = most + 1
    this.#nextMost = this.#sorted.length - 1
    return most - least
  }

  nextLeast(): number {
    if (this.#nextLeast >= this.#leastEnd) {
      this.#leastSize++
      while (this.#leastEnd < this.#sorted.length && this.#sizes[this.#sorted[this.#leastEnd]!] === this.#leastSize) this.#leastEnd++
      this.#nextLeast = 0
    }
    return this.#sorted[this.#nextLeast++]!
  }

  /** @returns undefined when nobody is left who may give. */
  nextMost(): number | undefined {
    if (this.#nextMost < this.#mostStart) {
      if (this.#mostEnd <= this.#mostStart && this.#mostStart > 0) this.#mostSize = this.#sizes[this.#sorted[this.#mostStart - 1]!]!
      else this.#mostSize--
      while (this.#mostStart > 0 && this.#sizes[this.#sorted[this.#mostStart - 1]!] === this.#mostSize) this.#mostStart--
      this.#nextMost = this.#mostEnd - 1
    }
    return this.#nextMost < 0 ? undefined : this.#sorted[this.#nextMost--]!
  }

  /** Whom `nextMost` gave last has nothing to give of this topic. */
  excludeMost(): void {
    const at = this.#nextMost + 1
    const last = this.#mostEnd - 1
    const excluded = this.#sorted[at]!
    this.#sorted[at] = this.#sorted[last]!
    this.#sorted[last] = excluded
    this.#mostEnd--
  }

  get areEven(): boolean {
    return this.#mostSize - this.#leastSize <= 1
  }
}
