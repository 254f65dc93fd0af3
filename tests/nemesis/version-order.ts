import type { Anomaly, AnomalyKind, AnomalyList } from './anomalies.ts'
import { type Outcome, placeName, type ReadRecord, type Send } from './history.ts'

interface Sent {
  readonly place: string
  outcome: Outcome | 'pending'
  /** Where an ack or a reader says that it lies; -1 while nobody has. */
  offset: number
  isRead: boolean
}

interface PartitionOrder {
  readonly place: string
  /** Offset → value, from acks and readers. */
  readonly values: (string | undefined)[]
  highestRead: number
}

/** Which value lies at which offset, put together from every ack and every read. A few dozen bytes of memory a record. */
export class VersionOrder {
  readonly #anomalies: AnomalyList
  readonly #sent = new Map<string, Sent>()
  readonly #partitions = new Map<string, PartitionOrder>()

  constructor(anomalies: AnomalyList) {
    this.#anomalies = anomalies
  }

  noteSend({ type, topic, partition, value, offset, error }: Send): void {
    const place = placeName(topic, partition)
    if (type === 'invoke') {
      this.#sent.set(value, { place, outcome: 'pending', offset: -1, isRead: false })
      return
    }
    const sent = this.#sent.get(value)
    if (sent === undefined) throw new Error(`the history answers a send of ${value} that it does not have`)
    sent.outcome = type
    if (type === 'ok' && offset !== undefined && offset >= 0) this.#noteAt(this.#partition(place), offset, value, sent, 'was acked')
    // An idempotent producer that never gives up is only told so when the broker has forgotten what it acked.
    if (error !== undefined && /OUT_OF_ORDER_SEQUENCE|UNKNOWN_PRODUCER_ID|INVALID_PRODUCER_EPOCH|data loss/i.test(error)) {
      this.#report('loss reported', place, error, { values: [value] })
    }
  }

  noteRead(topic: string, partition: number, [offset, value]: ReadRecord): void {
    const place = placeName(topic, partition)
    const order = this.#partition(place)
    if (offset > order.highestRead) order.highestRead = offset
    const sent = this.#sent.get(value)
    if (sent === undefined || sent.place !== place) {
      const kind = /^\d+-\d+$/.test(value) ? 'phantom' : 'damaged record'
      const detail = sent === undefined ? `${value}: nobody sent it` : `${value}: it was sent to ${sent.place}`
      this.#report(kind, place, detail, { values: [value], offsets: [offset] })
      return
    }
    sent.isRead = true
    this.#noteAt(order, offset, value, sent, 'was read')
  }

  /** Is there a record between these offsets, both exclusive? */
  hasBetween(place: string, after: number, before: number): boolean {
    const values = this.#partitions.get(place)?.values ?? []
    for (let offset = after + 1; offset < before; offset++) if (values[offset] !== undefined) return true
    return false
  }

  /** Acked values of a partition with their offsets. */
  *acked(): IterableIterator<{ place: string; value: string; offset: number }> {
    for (const [value, { place, outcome, offset }] of this.#sent) if (outcome === 'ok') yield { place, value, offset }
  }

  /** What only the whole history shows. */
  finish(): void {
    for (const [value, { place, outcome, offset, isRead }] of this.#sent) {
      const at = { values: [value], offsets: offset >= 0 ? [offset] : [] }
      if (outcome === 'fail' && isRead) this.#report('failed write read', place, `${value} was refused, and lies at ${offset}`, at)
      if (outcome !== 'ok' || isRead) continue
      const highest = this.#partitions.get(place)?.highestRead ?? -1
      const detail = `${value} was acked at ${offset}; readers got as far as ${highest}`
      this.#report(offset < highest ? 'lost write' : 'unseen', place, detail, at)
    }
    for (const order of this.#partitions.values()) this.#findReorder(order)
  }

  #findReorder({ place, values }: PartitionOrder): void {
    const last = new Map<string, { counter: number; value: string; offset: number }>()
    for (const [offset, value] of values.entries()) {
      if (value === undefined) continue
      const [process = '', counter = ''] = value.split('-')
      const before = last.get(process)
      if (before !== undefined && before.counter > Number(counter)) {
        this.#report('reorder', place, `${before.value} at ${before.offset} lies before ${value} at ${offset}, which was sent earlier`, {
          values: [before.value, value],
          offsets: [before.offset, offset],
        })
      }
      last.set(process, { counter: Number(counter), value, offset })
    }
  }

  #noteAt(order: PartitionOrder, offset: number, value: string, sent: Sent, how: string): void {
    const other = order.values[offset]
    if (other !== undefined && other !== value) {
      this.#report('inconsistent offset', order.place, `${value} ${how} at ${offset}, where ${other} lies`, {
        values: [value, other],
        offsets: [offset],
      })
    } else {
      order.values[offset] = value
    }
    if (sent.offset < 0) sent.offset = offset
    else if (sent.offset !== offset) {
      this.#report('duplicate', order.place, `${value} ${how} at ${offset}, and lies at ${sent.offset} too`, {
        values: [value],
        offsets: [sent.offset, offset],
      })
    }
  }

  #partition(place: string): PartitionOrder {
    let order = this.#partitions.get(place)
    if (order === undefined) {
      order = { place, values: [], highestRead: -1 }
      this.#partitions.set(place, order)
    }
    return order
  }

  #report(kind: AnomalyKind, place: string, detail: string, about: Partial<Pick<Anomaly, 'values' | 'offsets'>>): void {
    this.#anomalies.add({ kind, place, detail, values: [], offsets: [], ...about })
  }
}
