/** What tests of the log have in common: records, batches, and appends of clients. */
import { type BatchOptions, buildBatch, KafkaError, type NewRecord } from '@tidelog/protocol'
import type { AppendResult, Log } from './index.ts'

export const nowMs = 1_700_000_000_000

export const record = (value: string, more: Partial<NewRecord> = {}): NewRecord => ({
  value: Buffer.from(value),
  timestamp: nowMs,
  ...more,
})

export const batchOf = (values: readonly string[], options: BatchOptions = {}): Buffer =>
  buildBatch(
    values.map((value) => record(value)),
    options,
  )

export const append = (log: Log, batch: Buffer, leaderEpoch = 0): Promise<AppendResult> =>
  log.append(batch, { leaderEpoch, origin: 'client' })

export const refusedWith = (code: number) => (error: unknown) => error instanceof KafkaError && error.code === code
