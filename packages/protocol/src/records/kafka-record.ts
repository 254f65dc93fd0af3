export interface RecordHeader {
  readonly key: string
  readonly value: Buffer | null
}

/** A record of any format. Key, value and header values are views on the buffer that it was read from. */
export interface KafkaRecord {
  readonly offset: number
  /** Ms since the Unix epoch, −1 when the record has none. */
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** In their order, duplicates kept. */
  readonly headers: readonly RecordHeader[]
}
