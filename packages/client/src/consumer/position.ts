/** How far somebody has got in a partition. */
export interface Position {
  /** Of the next record. */
  readonly offset: number
  /** Epoch of the record before it; -1: unknown. */
  readonly leaderEpoch: number
}
