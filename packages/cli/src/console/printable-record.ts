/** A consumed record, as far as formatters go. */
export interface PrintableRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** In ms since the Unix epoch; -1: the record has none. */
  readonly timestamp: number
  readonly timestampType: 'CreateTime' | 'LogAppendTime'
  readonly leaderEpoch?: number | undefined
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly { readonly key: string; readonly value: Uint8Array | null }[]
}

/** Turns a record into the bytes to print; empty for nothing. */
export type RecordFormatter = (record: PrintableRecord) => Buffer
