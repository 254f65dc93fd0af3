import type { Anomaly, AnomalyKind, AnomalyList } from './anomalies.ts'
import { Copies } from './copies.ts'
import { type Outcome, type PlaceAndOffset, placeName, type ReadRecord, type Send } from './history.ts'
import { Transactions } from './transactions.ts'

interface Sent {
  readonly place: string
  outcome: Outcome | 'pending'
  /** Where an ack or a reader says that it lies; -1 while nobody has. */
  offset: number
  isRead: boolean
  readonly transaction: string | undefined
  readonly from: PlaceAndOffset | undefined
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
  readonly transactions: Transactions
  readonly #sent = new Map<string, Sent>()
  readonly #partitions = new Map<string, PartitionOrder>()

  constructor(anomalies: AnomalyList) {
    this.#anomalies = anomalies
    this.transactions = new Transactions(anomalies)
  }

  noteSend({ type, topic, partition, value, transaction, from, offset, error }: Send): void {
    const place = placeName(topic, partition)
    if (type === 'invoke') {
      this.#sent.set(value, { place, outcome: 'pending', offset: -1, isRead: false, transaction, from })
      return
    }
    const sent = this.#sent.get(value)
    if (sent === undefined) throw new Error(`the history answers a send of ${value} that it does not have`)
    sent.outcome = type
    if (type === 'ok' && offset !== undefined && offset >= 0) this.#noteAt(this.#partition(place), offset, value, sent, 'was acked')
    // An idempotent producer that never gives up is only told so when the broker has forgotten what it acked; a transaction that took too long is fenced.
    const isFenced = sent.transaction !== undefined && error?.startsWith('INVALID_PRODUCER_EPOCH') === true
    if (error !== undefined && !isFenced && /OUT_OF_ORDER_SEQUENCE|UNKNOWN_PRODUCER_ID|INVALID_PRODUCER_EPOCH|data loss/i.test(error)) {
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
    if (sent.transaction !== undefined) this.transactions.noteRead(sent.transaction, place, offset, value)
    this.#noteAt(order, offset, value, sent, 'was read')
  }

  /** Is there a record between these offsets, both exclusive, that a reader must get? */
  hasBetween(place: string, after: number, before: number): boolean {
    const values = this.#partitions.get(place)?.values ?? []
    for (let offset = after + 1; offset < before; offset++) {
      const value = values[offset]
      // What nobody reads of a transaction is found there, or was aborted.
      if (value !== undefined && (this.#sent.get(value)?.transaction === undefined || this.#sent.get(value)!.isRead)) return true
    }
    return false
  }

  /** Acked values of a partition with their offsets; those of transactions, where their commit was acked. */
  *acked(): IterableIterator<{ place: string; value: string; offset: number }> {
    for (const [value, { place, outcome, offset, transaction }] of this.#sent) {
      if (outcome === 'ok' && (transaction === undefined || this.transactions.fateOf(transaction) === 'committed'))
        yield { place, value, offset }
    }
  }

  /** What only the whole history shows. */
  finish(): void {
    for (const [value, sent] of this.#sent) {
      const { place, outcome, offset, isRead, transaction } = sent
      const at = { values: [value], offsets: offset >= 0 ? [offset] : [] }
      if (outcome === 'fail' && isRead) this.#report('failed write read', place, `${value} was refused, and lies at ${offset}`, at)
      if (transaction !== undefined) {
        this.#finishInTransaction(transaction, value, sent)
      } else if (outcome === 'ok' && !isRead) {
        const highest = this.#partitions.get(place)?.highestRead ?? -1
        const detail = `${value} was acked at ${offset}; readers got as far as ${highest}`
        this.#report(offset < highest ? 'lost write' : 'unseen', place, detail, at)
      }
    }
    this.transactions.finish()
    for (const order of this.#partitions.values()) this.#findReorder(order)
    const copies = new Copies(this.#anomalies)
    for (const { place, value, offset } of this.#read()) {
      const { from } = this.#sent.get(value)!
      if (from !== undefined) copies.add({ value, place, offset, from })
    }
    copies.finish(this.#read())
  }

  #finishInTransaction(transaction: string, value: string, { place, outcome, offset, isRead }: Sent): void {
    if (isRead && this.transactions.fateOf(transaction) === 'aborted') {
      const detail = `${value} at ${offset} was read, and transaction ${transaction} was aborted`
      this.#report('aborted read', place, detail, { values: [value], offsets: [offset], transaction })
    }
    if (isRead || outcome === 'ok') this.transactions.countAcked(transaction, { place, value, offset, isRead })
  }

  *#read(): IterableIterator<{ place: string; value: string; offset: number }> {
    for (const [value, { place, offset, isRead }] of this.#sent) if (isRead) yield { place, value, offset }
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

  #report(kind: AnomalyKind, place: string, detail: string, about: Partial<Pick<Anomaly, 'values' | 'offsets' | 'transaction'>>): void {
    this.#anomalies.add({ kind, place, detail, values: [], offsets: [], ...about })
  }
}
