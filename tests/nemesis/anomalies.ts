/** What must not be found in a history. Reads of records that were sent in transactions are those of readers of committed records. */
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
  /** The end of a partition lies before what was acked, or before where it was; that of committed records before where it was, or beyond the other. */
  | 'end offset'
  /** A record of an aborted transaction was read. */
  | 'aborted read'
  /** A record was read before the commit of its transaction was asked for. */
  | 'dirty read'
  /** Of a transaction that was committed, as an ack or a reader shows, some records were never read. */
  | 'torn transaction'
  /** Of a transaction whose commit was acked, no record was ever read. */
  | 'lost commit'
  /** Two copies of a record that was to be copied exactly once were read. */
  | 'copied twice'
  /** None was, and copies of later records were. */
  | 'not copied'
  /** Two live members of a group own a partition in one generation. */
  | 'owned twice'
  /** A commit was taken from a member of an earlier generation after another one had got the partition. */
  | 'stale commit'

export interface Anomaly {
  readonly kind: AnomalyKind
  /** TOPIC-PARTITION */
  readonly place: string
  readonly detail: string
  readonly values: readonly string[]
  /** Those it is about. */
  readonly offsets: readonly number[]
  readonly group?: string
  readonly transaction?: string
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
