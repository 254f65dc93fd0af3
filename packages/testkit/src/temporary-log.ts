import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { seededRandom, silentLogger } from '@tidelog/core'
import { iterateBatches, readRecords } from '@tidelog/protocol'
import { Log, type LogOptions, resolveLogConfig } from '@tidelog/storage'
import { unsyncedFileSystem } from './faulty-file-system.ts'
import { ManualClock } from './manual-clock.ts'

/** A log in a temporary directory, which goes when the test is over. */
export interface TemporaryLog {
  readonly log: Log
  readonly clock: ManualClock
  readonly dir: string
  /** Opens the folder again; the log before should be closed or abandoned. */
  reopen(options?: Partial<LogOptions>): Promise<Log>
}

/** @param config The topic's own configuration. */
export async function temporaryLog(
  t: TestContext,
  config: Record<string, string> = {},
  options: Partial<LogOptions> = {},
): Promise<TemporaryLog> {
  const parent = await mkdtemp(join(tmpdir(), 'tidelog-log-'))
  const dir = join(parent, 't-0')
  const clock = new ManualClock()
  const opened: Log[] = []
  const open = async (more: Partial<LogOptions> = {}): Promise<Log> => {
    const resolved = resolveLogConfig(new Map(Object.entries(config)))
    const log = await Log.open({
      dir,
      topic: 't',
      partition: 0,
      config: resolved,
      clock,
      random: seededRandom(3),
      logger: silentLogger,
      fs: unsyncedFileSystem,
      ...options,
      ...more,
    })
    opened.push(log)
    return log
  }
  t.after(async () => {
    for (const log of opened) await log.abandon()
    await rm(parent, { recursive: true, force: true })
  })
  return { log: await open(), clock, dir, reopen: open }
}

/** The values of all records in a part of a log, as text. */
export async function valuesIn(log: Log, startOffset = log.logStartOffset, endOffset = log.logEndOffset): Promise<string[]> {
  const values: string[] = []
  for (let next = startOffset; next < endOffset; ) {
    const { records } = await log.read({ startOffset: next, maxBytes: 500, endOffset, atLeastOneBatch: true })
    if (records.length === 0) break
    for (const batch of iterateBatches(records)) {
      next = batch.lastOffset + 1
      for (const { offset, value } of readRecords(batch, { maxOutputBytes: 1 << 20 })) if (offset >= startOffset) values.push(String(value))
    }
  }
  return values
}
