import type { CommittedOffset, OffsetRecord } from '../group-record.ts'

interface Slot {
  /** Below the high watermark. */
  committed: CommittedOffset | null
  /** Of the change that brought `committed`: its place among all changes. */
  order: number
  /** The newest change that is not yet there. */
  pending: PendingOffset | undefined
}

/** A change that has been applied ahead of its append. */
export interface PendingOffset {
  readonly record: OffsetRecord
  readonly slot: Slot
  readonly order: number
  older: PendingOffset | undefined
}

const newest = (slot: Slot): CommittedOffset | null => (slot.pending === undefined ? slot.committed : slot.pending.record.value)

type OffsetsByTopic = Map<string, Map<number, Slot>>

/**
 * The offsets of every group of one coordinator partition. A change is applied ahead of its append, and then committed or taken back;
 * until then readers see what was committed before.
 */
export class OffsetStore {
  readonly #groups = new Map<string, OffsetsByTopic>()
  #lastOrder = 0

  /** The place of the next change among all of them, as the log has them. */
  nextOrder(): number {
    return ++this.#lastOrder
  }

  /** Applies a record that lies in the log. */
  replay(record: OffsetRecord): void {
    if (record.value === null && this.#find(record) === undefined) return
    this.#commit(this.#slotOf(record), record, this.nextOrder())
  }

  /** Applies a change of a transaction that has been committed, unless a later one outside of it has come meanwhile. */
  commitTransactional({ record, order }: { record: OffsetRecord; order: number }): void {
    const slot = this.#slotOf(record)
    if (slot.committed === null || slot.order < order) this.#commit(slot, record, order)
  }

  #commit(slot: Slot, record: OffsetRecord, order: number): void {
    slot.committed = record.value
    slot.order = order
    this.#forgetIfVoid(record, slot)
  }

  applyAhead(record: OffsetRecord): PendingOffset {
    const slot = this.#slotOf(record)
    slot.pending = { record, slot, order: this.nextOrder(), older: slot.pending }
    return slot.pending
  }

  commit(pending: PendingOffset): void {
    pending.slot.committed = pending.record.value
    pending.slot.order = pending.order
    this.rollBack(pending)
  }

  rollBack(pending: PendingOffset): void {
    const { slot } = pending
    if (slot.pending === pending) slot.pending = pending.older
    else {
      let newer = slot.pending
      while (newer !== undefined && newer.older !== pending) newer = newer.older
      if (newer !== undefined) newer.older = pending.older
    }
    this.#forgetIfVoid(pending.record, slot)
  }

  committed(group: string, topic: string, partition: number): CommittedOffset | null {
    return this.#groups.get(group)?.get(topic)?.get(partition)?.committed ?? null
  }

  *committedOf(group: string): Generator<{ topic: string; partitions: { partition: number; offset: CommittedOffset }[] }> {
    for (const [topic, slots] of this.#groups.get(group) ?? []) {
      const partitions = []
      for (const [partition, { committed }] of slots) if (committed !== null) partitions.push({ partition, offset: committed })
      if (partitions.length > 0) yield { topic, partitions }
    }
  }

  /** With changes that are not committed yet. */
  newest(group: string, topic: string, partition: number): CommittedOffset | null {
    const slot = this.#groups.get(group)?.get(topic)?.get(partition)
    return slot === undefined ? null : newest(slot)
  }

  *newestOf(group: string): Generator<{ topic: string; partition: number; offset: CommittedOffset }> {
    for (const [topic, slots] of this.#groups.get(group) ?? []) {
      for (const [partition, slot] of slots) {
        const offset = newest(slot)
        if (offset !== null) yield { topic, partition, offset }
      }
    }
  }

  /** Has the group any offset, or any change of one under way? */
  has(group: string): boolean {
    return this.#groups.has(group)
  }

  groupIds(): IterableIterator<string> {
    return this.#groups.keys()
  }

  partitionsOf(group: string, topic: string): IterableIterator<number> {
    return (this.#groups.get(group)?.get(topic) ?? new Map<number, Slot>()).keys()
  }

  #find({ group, topic, partition }: OffsetRecord): Slot | undefined {
    return this.#groups.get(group)?.get(topic)?.get(partition)
  }

  #slotOf({ group, topic, partition }: OffsetRecord): Slot {
    let topics = this.#groups.get(group)
    if (topics === undefined) {
      topics = new Map()
      this.#groups.set(group, topics)
    }
    let slots = topics.get(topic)
    if (slots === undefined) {
      slots = new Map()
      topics.set(topic, slots)
    }
    let slot = slots.get(partition)
    if (slot === undefined) {
      slot = { committed: null, order: 0, pending: undefined }
      slots.set(partition, slot)
    }
    return slot
  }

  #forgetIfVoid({ group, topic, partition }: OffsetRecord, slot: Slot): void {
    if (slot.committed !== null || slot.pending !== undefined) return
    const topics = this.#groups.get(group)
    const slots = topics?.get(topic)
    if (topics === undefined || slots?.get(partition) !== slot) return
    slots.delete(partition)
    if (slots.size === 0) topics.delete(topic)
    if (topics.size === 0) this.#groups.delete(group)
  }
}
