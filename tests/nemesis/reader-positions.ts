import type { AnomalyList } from './anomalies.ts'
import { type HistoryEvent, type Ownership, type Poll, type Positions, placeName } from './history.ts'
import type { VersionOrder } from './version-order.ts'

interface Gap {
  readonly place: string
  readonly process: number
  readonly after: number
  readonly before: number
}

/** Follows every reader: forward, over every record; a member of a group only as long as it owns the partition. */
export class ReaderPositions {
  readonly #anomalies: AnomalyList
  /** Process and place → the last offset it got, or the one before where it begins. */
  readonly #last = new Map<string, number>()
  readonly #gaps: Gap[] = []
  /** Place → group → the offsets that its members got. */
  readonly #seen = new Map<string, Map<string, { bits: Uint8Array; highest: number }>>()

  constructor(anomalies: AnomalyList) {
    this.#anomalies = anomalies
  }

  notePositions({ process, offsets }: HistoryEvent & Positions): void {
    for (const [topic, partition, offset] of offsets) this.#last.set(keyOf(process, placeName(topic, partition)), offset - 1)
  }

  noteOwnership({ process, offsets }: HistoryEvent & Ownership): void {
    for (const [topic, partition] of offsets) this.#last.delete(keyOf(process, placeName(topic, partition)))
  }

  notePoll({ process, group, records = [] }: HistoryEvent & Poll): void {
    for (const [topic, partition, reads] of records) {
      const place = placeName(topic, partition)
      const key = keyOf(process, place)
      let last = this.#last.get(key)
      for (const [offset, value] of reads) {
        if (last !== undefined && offset <= last) {
          const detail = `process ${process} got ${offset} behind ${last}`
          this.#anomalies.add({ kind: 'nonmonotonic poll', place, process, detail, values: [value], offsets: [last, offset] })
        }
        if (last !== undefined && offset > last + 1) this.#gaps.push({ place, process, after: last, before: offset })
        last = offset
        if (group !== undefined) this.#noteSeen(group, place, offset)
      }
      if (last !== undefined) this.#last.set(key, last)
    }
  }

  /** What only the whole history shows: that there was a record in a gap, or that a group never got one. */
  finish(order: VersionOrder): void {
    for (const { place, process, after, before } of this.#gaps) {
      if (!order.hasBetween(place, after, before)) continue
      const detail = `process ${process} went from ${after} to ${before}`
      this.#anomalies.add({ kind: 'poll skip', place, process, detail, values: [], offsets: [after, before] })
    }
    for (const { place, value, offset } of order.acked()) {
      for (const [group, { bits, highest }] of this.#seen.get(place) ?? []) {
        if (offset < 0 || bits[offset] === 1) continue
        const detail = `${value} was acked at ${offset}; no member of ${group} got it, though they got as far as ${highest}`
        this.#anomalies.add({ kind: 'unseen by group', place, detail, values: [value], offsets: [offset], group })
      }
    }
  }

  #noteSeen(group: string, place: string, offset: number): void {
    const groups = this.#seen.get(place) ?? new Map<string, { bits: Uint8Array; highest: number }>()
    this.#seen.set(place, groups)
    let seen = groups.get(group)
    if (seen === undefined) {
      seen = { bits: new Uint8Array(1024), highest: -1 }
      groups.set(group, seen)
    }
    if (offset >= seen.bits.length) {
      const larger = new Uint8Array(Math.max(offset + 1, seen.bits.length * 2))
      larger.set(seen.bits)
      seen.bits = larger
    }
    seen.bits[offset] = 1
    if (offset > seen.highest) seen.highest = offset
  }
}

const keyOf = (process: number, place: string): string => `${process}/${place}`
