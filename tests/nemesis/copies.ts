import type { AnomalyList } from './anomalies.ts'
import { type PlaceAndOffset, placeName } from './history.ts'

/** A record that was read at its place as a copy of another. */
export interface Copy {
  readonly value: string
  readonly place: string
  readonly offset: number
  readonly from: PlaceAndOffset
}

/** Who consumes, transforms and produces in transactions makes one copy of every record, in order: exactly once. */
export class Copies {
  readonly #anomalies: AnomalyList
  /** Place copied from → offset → the copies that were read. */
  readonly #bySource = new Map<string, Map<number, Copy[]>>()

  constructor(anomalies: AnomalyList) {
    this.#anomalies = anomalies
  }

  /** The whole history is known: a copy that was read. Those of one place come in the order of their offsets. */
  add(copy: Copy): void {
    const [topic, partition, offset] = copy.from
    const source = placeName(topic, partition)
    const copies = this.#bySource.get(source) ?? new Map<number, Copy[]>()
    this.#bySource.set(source, copies)
    copies.set(offset, [...(copies.get(offset) ?? []), copy])
  }

  /** @param visible The records that readers of committed records got, in any order. */
  finish(visible: Iterable<{ place: string; value: string; offset: number }>): void {
    const ends = new Map<string, number>()
    for (const [source, copies] of this.#bySource) {
      ends.set(
        source,
        [...copies.keys()].reduce((end, offset) => Math.max(end, offset + 1), 0),
      )
      for (const [offset, [first, ...more]] of copies) {
        if (more.length === 0) continue
        const detail = `${source} at ${offset} was copied ${more.length + 1} times`
        this.#anomalies.add({ kind: 'copied twice', ...aboutOf([first!, ...more]), detail })
      }
      this.#findReorder(source, copies)
    }
    for (const { place, value, offset } of visible) {
      const copies = this.#bySource.get(place)
      if (copies === undefined || offset >= ends.get(place)! || copies.has(offset)) continue
      const detail = `${value} at ${offset} was not copied, and the record at ${ends.get(place)! - 1} was`
      this.#anomalies.add({ kind: 'not copied', place, detail, values: [value], offsets: [offset] })
    }
  }

  #findReorder(source: string, copies: ReadonlyMap<number, readonly Copy[]>): void {
    const last = new Map<string, Copy>()
    for (const [, [copy]] of [...copies].sort(([a], [b]) => a - b)) {
      const before = last.get(copy!.place)
      if (before !== undefined && before.offset > copy!.offset) {
        const detail = `${before.value} at ${before.offset} lies behind ${copy!.value} at ${copy!.offset}, and is the copy of an earlier record of ${source}`
        this.#anomalies.add({ kind: 'reorder', ...aboutOf([before, copy!]), detail })
      }
      last.set(copy!.place, copy!)
    }
  }
}

function aboutOf(copies: readonly Copy[]): { place: string; values: string[]; offsets: number[] } {
  return { place: copies[0]!.place, values: copies.map(({ value }) => value), offsets: copies.map(({ offset }) => offset) }
}
