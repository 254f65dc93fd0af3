import type { AnomalyList } from './anomalies.ts'
import { type Commit, type Committed, type HistoryEvent, type PlaceAndOffset, placeName } from './history.ts'

interface Write {
  readonly offset: number
  readonly invokedAt: number
  /** Undefined while nobody knows its outcome: it may take effect at any time. */
  endedAt?: number
}

/**
 * A group's committed offset in a partition is a register: a read must give what was written last, where writes that overlap, or whose outcome nobody
 * knows, may lie in any order. So it goes back only where somebody committed less.
 */
export class CommittedOffsets {
  readonly #anomalies: AnomalyList
  /** Group and place → the commits that a read may still give. */
  readonly #writes = new Map<string, Write[]>()
  readonly #committing = new Map<number, { key: string; write: Write }[]>()
  readonly #reading = new Map<number, number>()

  constructor(anomalies: AnomalyList) {
    this.#anomalies = anomalies
  }

  /**
   * A commit, or the end of a transaction that commits offsets: they are in effect once it is.
   * @param at The place of the event in the history, which is its time.
   */
  noteCommit(event: Pick<HistoryEvent & Commit, 'process' | 'type' | 'group' | 'offsets'>, at: number): void {
    const { process, type, group, offsets } = event
    if (type === 'invoke') {
      const begun = offsets.map(([topic, partition, offset]) => {
        const key = keyOf(group, placeName(topic, partition))
        const write: Write = { offset, invokedAt: at }
        const writes = this.#writes.get(key) ?? []
        this.#writes.set(key, writes)
        writes.push(write)
        return { key, write }
      })
      this.#committing.set(process, begun)
      return
    }
    for (const { key, write } of this.#committing.get(process) ?? []) {
      if (type === 'ok') write.endedAt = at
      if (type === 'fail') {
        this.#writes.set(
          key,
          this.#writes.get(key)!.filter((other) => other !== write),
        )
      }
    }
    this.#committing.delete(process)
  }

  noteCommitted(event: HistoryEvent & Committed, at: number): void {
    const { process, type, group, offsets = [] } = event
    if (type === 'invoke') {
      if (this.#reading.size === 0) this.#forgetOverwritten()
      this.#reading.set(process, at)
      return
    }
    const invokedAt = this.#reading.get(process) ?? at
    this.#reading.delete(process)
    if (type === 'ok') for (const place of offsets) this.#check(group, place, invokedAt)
  }

  #check(group: string, [topic, partition, offset]: PlaceAndOffset, invokedAt: number): void {
    const place = placeName(topic, partition)
    const writes = this.#writes.get(keyOf(group, place)) ?? []
    // Nothing that had ended before this one began can be read any more.
    const lastBegun = lastBegunOf(writes, invokedAt)
    const isPossible =
      offset < 0
        ? lastBegun < 0
        : writes.some((write) => write.offset === offset && (write.endedAt === undefined || write.endedAt > lastBegun))
    if (isPossible) return
    const known = writes.map((write) => write.offset)
    const detail = `${group} has committed ${offset}, which nobody did, or somebody committed another one after it: ${known.slice(-5).join(', ')}`
    this.#anomalies.add({ kind: 'committed offset', place, detail, values: [], offsets: [offset], group })
  }

  #forgetOverwritten(): void {
    for (const [key, writes] of this.#writes) {
      const lastBegun = lastBegunOf(writes, Number.POSITIVE_INFINITY)
      this.#writes.set(
        key,
        writes.filter(({ endedAt }) => endedAt === undefined || endedAt > lastBegun),
      )
    }
  }
}

/** When the last of the commits began that had succeeded by `at`; -1 when none had. */
function lastBegunOf(writes: readonly Write[], at: number): number {
  let last = -1
  for (const { invokedAt, endedAt } of writes) if (endedAt !== undefined && endedAt < at && invokedAt > last) last = invokedAt
  return last
}

const keyOf = (group: string, place: string): string => `${group}/${place}`
