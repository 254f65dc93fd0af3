import type { AnomalyList } from './anomalies.ts'
import type { Outcome, TransactionEnd } from './history.ts'

interface Transaction {
  /** undefined: its producer has not asked to commit it, so nobody may. */
  asked: 'commit' | 'abort' | undefined
  outcome: Outcome | 'pending'
  /** Values that were acked or read, and those among them that readers of committed records got. */
  acked: number
  read: number
  /** One of those that were acked and that nobody read. */
  readonly unread: { value: string; place: string; offset: number }[]
}

/** What is known of a transaction's end. unknown: its commit was asked for, and nobody knows. */
export type TransactionFate = 'committed' | 'aborted' | 'unknown'

/** All or nothing of a transaction is read, and only once its producer has asked to commit it. */
export class Transactions {
  readonly #anomalies: AnomalyList
  readonly #transactions = new Map<string, Transaction>()

  constructor(anomalies: AnomalyList) {
    this.#anomalies = anomalies
  }

  noteEnd({ type, transaction: id, end }: TransactionEnd): void {
    const transaction = this.#transaction(id)
    transaction.asked = end
    transaction.outcome = type === 'invoke' ? 'pending' : type
  }

  /** Of one whose producer vanished before it asked for anything: aborted, sooner or later. */
  fateOf(id: string): TransactionFate {
    const { asked, outcome } = this.#transaction(id)
    if (asked !== 'commit' || outcome === 'fail') return 'aborted'
    return outcome === 'ok' ? 'committed' : 'unknown'
  }

  /** One of its records is read as a committed one. */
  noteRead(id: string, place: string, offset: number, value: string): void {
    if (this.#transaction(id).asked !== undefined) return
    const detail = `${value} at ${offset} was read before the commit of transaction ${id} was asked for`
    this.#anomalies.add({ kind: 'dirty read', place, detail, values: [value], offsets: [offset], transaction: id })
  }

  /** The whole history is known: one of its records, which was acked. */
  countAcked(id: string, record: { place: string; value: string; offset: number; isRead: boolean }): void {
    const transaction = this.#transaction(id)
    transaction.acked++
    if (record.isRead) transaction.read++
    else transaction.unread.push(record)
  }

  /** After `countAcked` for each record. */
  finish(): void {
    for (const [id, { acked, read, unread }] of this.#transactions) {
      const [first] = unread
      if (first === undefined) continue
      const fate = this.fateOf(id)
      const about = {
        place: first.place,
        values: unread.map(({ value }) => value),
        offsets: unread.map(({ offset }) => offset),
        transaction: id,
      }
      if (fate === 'committed' && read === 0) {
        this.#anomalies.add({
          kind: 'lost commit',
          detail: `transaction ${id} was committed, and none of its ${acked} records was read`,
          ...about,
        })
      } else if (fate !== 'aborted' && read > 0) {
        this.#anomalies.add({ kind: 'torn transaction', detail: `of transaction ${id} ${read} of ${acked} records were read`, ...about })
      }
    }
  }

  #transaction(id: string): Transaction {
    let transaction = this.#transactions.get(id)
    if (transaction === undefined) {
      transaction = { asked: undefined, outcome: 'pending', acked: 0, read: 0, unread: [] }
      this.#transactions.set(id, transaction)
    }
    return transaction
  }
}
