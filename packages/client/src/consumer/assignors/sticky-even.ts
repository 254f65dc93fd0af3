import { invariant } from '@tidelog/core'
import { PartitionMap, type TopicPartition } from '../../topic-partition.ts'
import { byText } from './assignor.ts'
import type { StickyInput } from './sticky-input.ts'

/**
 * All members have the same topics, so everyone gets ⌊n/m⌋ or ⌈n/m⌉ partitions, and only as many as the remainder have the latter. Members
 * keep what they had up to that; the rest is dealt out, to near members first.
 */
class EvenShares {
  readonly assignment: Map<string, TopicPartition[]>
  /** Partitions that another member had, or two claimed: under cooperative rebalancing they wait for a round. */
  readonly moved = new PartitionMap<true>()
  readonly #input: StickyInput
  readonly #least: number
  readonly #most: number
  /** How many members may still get `most`. */
  #spare: number
  /** Members with fewer than `least`, and those with exactly `least` that may get one more. */
  #needy: string[] = []
  #content: string[] = []
  readonly #takenFrom = new PartitionMap<string>()

  constructor(input: StickyInput) {
    this.#input = input
    const { memberIds, partitionCount } = input
    this.assignment = new Map(memberIds.map((memberId) => [memberId, []]))
    this.#least = Math.floor(partitionCount / memberIds.length)
    this.#most = Math.ceil(partitionCount / memberIds.length)
    this.#spare = partitionCount % memberIds.length
  }

  run(): void {
    for (const memberId of this.#input.memberIds) this.#keep(memberId)
    const kept = new PartitionMap<true>([...this.assignment.values()].flat().map((partition) => [partition, true]))
    const free = this.#input.partitionsOf(this.#input.sortedTopics()).filter((partition) => !kept.has(partition))
    this.#needy.sort(byText)
    this.#content.sort(byText)
    const sorted = this.#input.racks.sort(free)
    this.#deal(this.#input.racks.matter ? this.#dealToNear(sorted) : sorted)
  }

  #keep(memberId: string): void {
    const { racks, kept, disputed } = this.#input
    const owned: TopicPartition[] = []
    for (const partition of kept.get(memberId)!) {
      if (racks.areFar(memberId, partition)) this.#takenFrom.set(partition, memberId)
      else if (!disputed.has(partition)) owned.push(partition)
    }
    owned.sort((a, b) => a.partition - b.partition || byText(a.topic, b.topic))
    let share = this.#least
    if (owned.length < this.#least) {
      share = owned.length
      this.#needy.push(memberId)
    } else if (owned.length >= this.#most && this.#spare > 0) {
      share = this.#most
      this.#useSpare()
    } else if (this.#spare > 0) this.#content.push(memberId)
    this.assignment.get(memberId)!.push(...owned.slice(0, share))
    for (const partition of owned.slice(share)) this.#takenFrom.set(partition, memberId)
  }

  #useSpare(): void {
    this.#spare--
    if (this.#spare === 0) this.#content = []
  }

  /** @returns what nobody with room is near to */
  #dealToNear(partitions: readonly TopicPartition[]): TopicPartition[] {
    const { racks } = this.#input
    const left: TopicPartition[] = []
    let next = 0
    for (const partition of partitions) {
      const needy = racks.firstNear(partition, this.#needy, next)
      const content = needy >= 0 ? -1 : racks.firstNear(partition, this.#content, 0)
      if (needy >= 0) {
        const memberId = this.#needy[needy]!
        const count = this.#give(memberId, partition)
        next = needy + 1
        if (count >= this.#least) {
          this.#needy.splice(needy, 1)
          next = needy
          if (count < this.#most && this.#spare > 0) this.#content.push(memberId)
        }
        next = this.#needy.length === 0 ? 0 : next % this.#needy.length
      } else if (content >= 0) {
        const memberId = this.#content[content]!
        if (this.#give(memberId, partition) === this.#most) {
          this.#content.splice(content, 1)
          this.#useSpare()
        }
      } else left.push(partition)
    }
    return left
  }

  /** To members in turn that have too few; when all have enough, one more each to some. */
  #deal(partitions: readonly TopicPartition[]): void {
    let turn = 0
    for (const partition of partitions) {
      if (this.#needy.length > 0) {
        if (turn >= this.#needy.length) turn = 0
        const memberId = this.#needy[turn]!
        if (this.#give(memberId, partition) === this.#least) {
          this.#needy.splice(turn, 1)
          this.#content.push(memberId)
        } else turn++
      } else {
        const memberId = this.#content.shift()
        invariant(memberId !== undefined, 'shares add up to the number of partitions')
        this.#give(memberId, partition)
      }
    }
  }

  #give(memberId: string, partition: TopicPartition): number {
    const mine = this.assignment.get(memberId)!
    mine.push(partition)
    const before = this.#takenFrom.get(partition)
    if ((before !== undefined && before !== memberId) || this.#input.disputed.has(partition)) this.moved.set(partition, true)
    return mine.length
  }
}

export function assignEvenly(input: StickyInput): { assignment: Map<string, TopicPartition[]>; moved: PartitionMap<true> } {
  const shares = new EvenShares(input)
  shares.run()
  return shares
}
