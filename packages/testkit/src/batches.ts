import { BatchBuilder, type CodecName, iterateBatches, readRecords } from '@tidelog/protocol'

export interface TestRecord {
  readonly key?: Buffer | null
  readonly value?: Buffer | string | null
  /** Ms since the Unix epoch; the same for all when absent. */
  readonly timestamp?: number
}

/** One v2 batch as a producer sends it: one record when nothing is said. */
export function batchOf(records: readonly TestRecord[] = [{}], codec: CodecName = 'none'): Buffer {
  const builder = new BatchBuilder({ codec })
  for (const { key = Buffer.from('k'), value = 'v', timestamp = 1_700_000_000_000 } of records) {
    builder.append({ key, value: value === null ? null : Buffer.from(value as Buffer), timestamp })
  }
  return builder.build()
}

/** The records of fetched bytes, of any format, with their values as text. */
export function recordsIn(bytes: Buffer | null): { offset: number; timestamp: number; key: string | null; value: string | null }[] {
  const records = []
  for (const batch of iterateBatches(bytes ?? Buffer.alloc(0))) {
    if (batch.magic === 2 && batch.isControl) continue
    for (const { offset, timestamp, key, value } of readRecords(batch, { maxOutputBytes: 2 ** 26 })) {
      records.push({ offset, timestamp, key: key?.toString() ?? null, value: value?.toString() ?? null })
    }
  }
  return records
}
