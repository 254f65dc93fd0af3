import type { OffsetRecord } from '../group-record.ts'

/** An offset in a transaction that is not over. */
export interface TransactionalOffset {
  readonly record: OffsetRecord
  /** Its place among all changes of offsets of this coordinator. */
  readonly order: number
}

const keyOf = (topic: string, partition: number) => `${partition} ${topic}`

/** Offsets of transactions that have not ended, by producer and by what they are of; the newest of a transaction counts when it is committed. */
export class OpenTransactions {
  readonly #producers = new Map<number, Set<TransactionalOffset>>()
  /** Group, then topic and partition: how many there are. */
  readonly #groups = new Map<string, Map<string, number>>()

  add(producerId: number, record: OffsetRecord, order: number): TransactionalOffset {
    const offset = { record, order }
    const offsets = this.#producers.get(producerId)
    if (offsets === undefined) this.#producers.set(producerId, new Set([offset]))
    else offsets.add(offset)
    this.#count(record, 1)
    return offset
  }

  /** Takes back what was not appended after all. */
  remove(producerId: number, offset: TransactionalOffset): void {
    const offsets = this.#producers.get(producerId)
    if (offsets?.delete(offset) !== true) return
    this.#count(offset.record, -1)
    if (offsets.size === 0) this.#producers.delete(producerId)
  }

  /** The producer's transaction is over. @returns What it had, in order. */
  end(producerId: number): readonly TransactionalOffset[] {
    const offsets = this.#producers.get(producerId)
    if (offsets === undefined) return []
    this.#producers.delete(producerId)
    for (const { record } of offsets) this.#count(record, -1)
    return [...offsets].sort((a, b) => a.order - b.order)
  }

  /** The offset was deleted: a transaction that had set it before must not bring it back. */
  forget({ group, topic, partition }: OffsetRecord): void {
    if (!this.has(group, topic, partition)) return
    for (const [producerId, offsets] of [...this.#producers]) {
      for (const offset of offsets) {
        const { record } = offset
        if (record.group === group && record.topic === topic && record.partition === partition) this.remove(producerId, offset)
      }
    }
  }

  has(group: string, topic: string, partition: number): boolean {
    return this.#groups.get(group)?.has(keyOf(topic, partition)) === true
  }

  hasGroup(group: string): boolean {
    return this.#groups.has(group)
  }

  /** Topics and partitions of a group that some transaction has set. */
  *of(group: string): Generator<{ topic: string; partition: number }> {
    for (const key of this.#groups.get(group)?.keys() ?? []) {
      const space = key.indexOf(' ')
      yield { topic: key.slice(space + 1), partition: Number(key.slice(0, space)) }
    }
  }

  #count({ group, topic, partition }: OffsetRecord, by: number): void {
    const counts = this.#groups.get(group) ?? new Map<string, number>()
    const key = keyOf(topic, partition)
    const count = (counts.get(key) ?? 0) + by
    if (count > 0) counts.set(key, count)
    else counts.delete(key)
    if (counts.size > 0) this.#groups.set(group, counts)
    else this.#groups.delete(group)
  }
}
