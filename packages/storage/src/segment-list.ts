import { invariant } from '@tidelog/core'
import type { Segment } from './segment.ts'

/** The segments of a log, by base offset. There is always one; the last is the active one. */
export class SegmentList {
  #segments: Segment[] = []

  get all(): readonly Segment[] {
    return this.#segments
  }

  get first(): Segment {
    return this.#segments[0]!
  }

  get active(): Segment {
    return this.#segments[this.#segments.length - 1]!
  }

  get sizeBytes(): number {
    let bytes = 0
    for (const segment of this.#segments) bytes += segment.sizeBytes
    return bytes
  }

  add(segment: Segment): void {
    const { length } = this.#segments
    invariant(length === 0 || segment.baseOffset > this.active.baseOffset, `segment ${segment.baseOffset} does not follow the active one`)
    // Most logs have one: pushing would make room for 17.
    if (length === 0) this.#segments = [segment]
    else this.#segments.push(segment)
  }

  /** Number in `all` of the segment that holds `offset` if any does: the last that begins at or before it; -1 when all begin behind it. */
  indexOf(offset: number): number {
    let low = 0
    let high = this.#segments.length - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      if (this.#segments[middle]!.baseOffset <= offset) low = middle + 1
      else high = middle - 1
    }
    return high
  }

  /** Takes the first `count` segments out. */
  removeFirst(count: number): Segment[] {
    return this.#segments.splice(0, count)
  }

  /** Puts one segment in the place of `count`, from number `index` on. */
  replace(index: number, count: number, segment: Segment): void {
    this.#segments.splice(index, count, segment)
  }

  /** Takes out all segments from number `index` on. */
  removeFrom(index: number): Segment[] {
    return this.#segments.splice(index)
  }
}
