/** What must not be found in a history. Transactions will add dirty, aborted and torn reads; groups, a partition with two owners. */
export type AnomalyKind =
  /** Acked, others behind it were read, it never was. */
  | 'lost write'
  /** Acked, and read by nobody by the end. */
  | 'unseen'
  /** Acked, and read by no member of a group that has read on. */
  | 'unseen by group'
  /** One value at two offsets. */
  | 'duplicate'
  /** Two values at one offset. */
  | 'inconsistent offset'
  /** What one process sent to a partition lies there in another order. */
  | 'reorder'
  /** A reader got an offset at or before its position. */
  | 'nonmonotonic poll'
  /** A reader passed over a record. */
  | 'poll skip'
  /** A record that was refused was read. */
  | 'failed write read'
  /** A record that nobody sent, or sent elsewhere. */
  | 'phantom'
  /** A record whose checksum or key does not fit. */
  | 'damaged record'
  /** A client was told that data was lost, or that its sequence numbers do not fit. */
  | 'loss reported'
  /** A group's committed offset is not one that it can have: it went back, was forgotten or made up. */
  | 'committed offset'
  /** The end of a partition lies before what was acked, or before where it was. */
  | 'end offset'

export interface Anomaly {
  readonly kind: AnomalyKind
  /** TOPIC-PARTITION */
  readonly place: string
  readonly detail: string
  readonly values: readonly string[]
  /** Those it is about. */
  readonly offsets: readonly number[]
  readonly group?: string
  /** The reader it is about. */
  readonly process?: number
}

/** The first ones of every kind, and how many there are. */
export class AnomalyList {
  readonly found: Anomaly[] = []
  readonly counts = new Map<AnomalyKind, number>()

  add(anomaly: Anomaly): void {
    const count = (this.counts.get(anomaly.kind) ?? 0) + 1
    this.counts.set(anomaly.kind, count)
    if (count <= MAX_OF_A_KIND) this.found.push(anomaly)
  }
}

const MAX_OF_A_KIND = 20
