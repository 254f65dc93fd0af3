import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type Logger, libuvOffload, seededRandom, silentLogger, type ThreadOffload, ZERO_UUID } from '@tidelog/core'
import { buildBatch, iterateBatches, type NewRecord, type RecordBatch, readRecords } from '@tidelog/protocol'
import { ManualClock, unsyncedFileSystem } from '@tidelog/testkit'
import { type CleanerSettings, type FileSystem, type Log, LogManager, resolveLogConfig } from '../index.ts'

export const startMs = 1_700_000_000_000

/** Nothing is overdue, every dirty byte is due, and segments roll when a test says so. */
const compacted = {
  'cleanup.policy': 'compact',
  'min.cleanable.dirty.ratio': '0',
  'segment.bytes': '1048576',
  'index.interval.bytes': '100',
}

const defaultSettings: CleanerSettings = {
  threads: 1,
  dedupeBufferBytes: 1 << 20,
  loadFactor: 0.9,
  ioBufferBytes: 16_384,
  maxBytesPerSecond: Number.POSITIVE_INFINITY,
  // A test cleans when it wants to.
  backoffMs: 1e15,
}

export interface CompactionOptions {
  readonly config?: Record<string, string>
  /** Smaller than a topic may have it. */
  readonly segmentBytes?: number
  readonly settings?: Partial<CleanerSettings>
  readonly fs?: FileSystem
  readonly logger?: Logger
  readonly offload?: ThreadOffload
  readonly dir?: string
  readonly clock?: ManualClock
}

/** A log manager with a cleaner in a directory that goes when the test is over, and one compacted log `t-0`. */
export interface CompactionBench {
  readonly dir: string
  readonly partitionDir: string
  readonly clock: ManualClock
  readonly manager: LogManager
  readonly log: Log
}

/** Managers by the directory that goes once they have been abandoned. */
const managers = new Map<string, LogManager[]>()

async function temporaryDir(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'tidelog-compaction-'))
  managers.set(dir, [])
  t.after(async () => {
    // Nobody writes to it any more.
    for (const manager of managers.get(dir) ?? []) await manager.abandon()
    managers.delete(dir)
    await rm(dir, { recursive: true, force: true })
  })
  return dir
}

export async function compactionBench(t: TestContext, options: CompactionOptions = {}): Promise<CompactionBench> {
  const dir = options.dir ?? (await temporaryDir(t))
  const clock = options.clock ?? new ManualClock(startMs)
  const { config = {}, fs = unsyncedFileSystem, logger = silentLogger, offload = libuvOffload() } = options
  const settings = { ...defaultSettings, ...options.settings }
  const given = resolveLogConfig(new Map(Object.entries({ ...compacted, ...config })))
  const resolved = { ...given, 'segment.bytes': options.segmentBytes ?? given['segment.bytes'] }
  const manager = await LogManager.open({
    dirs: [dir],
    clock,
    random: seededRandom(11),
    logger,
    offload,
    fs,
    configOf: () => resolved,
    cleaner: () => settings,
  })
  managers.get(dir)?.push(manager)
  const log = await manager.createLog('t', 0, ZERO_UUID)
  log.updateHighWatermark(log.logEndOffset)
  return { dir, partitionDir: join(dir, 't-0'), clock, manager, log }
}

/** A record from `key=value`; `key=` is a tombstone. */
export function recordOf(text: string, timestamp = startMs): NewRecord {
  const [key = '', value = ''] = text.split('=')
  return { key: Buffer.from(key), value: value === '' ? null : Buffer.from(value), timestamp }
}

/** Appends one batch of `key=value` records, and commits it. */
export async function append(log: Log, texts: readonly string[], options: Parameters<typeof buildBatch>[1] = {}): Promise<number> {
  return appendBatch(
    log,
    buildBatch(
      texts.map((text) => recordOf(text)),
      options,
    ),
  )
}

export async function appendBatch(log: Log, batch: Buffer, origin: 'client' | 'coordinator' = 'client'): Promise<number> {
  const { firstOffset } = await log.append(batch, { leaderEpoch: 0, origin })
  log.updateHighWatermark(log.logEndOffset)
  return firstOffset
}

/** Every batch that a reader gets from the log's start to its end, with bytes of its own. */
export async function batchesIn(log: Log): Promise<RecordBatch[]> {
  const batches: RecordBatch[] = []
  for (let startOffset = log.logStartOffset; startOffset < log.logEndOffset; ) {
    const { records } = await log.read({ startOffset, maxBytes: 1000, endOffset: log.logEndOffset, atLeastOneBatch: true })
    if (records.length === 0) break
    for (const batch of iterateBatches(Buffer.from(records))) {
      batches.push(batch)
      startOffset = (batch.magic === 2 ? batch.lastOffset : batch.baseOffset) + 1
    }
  }
  return batches
}

/** What a reader gets, as `offset key=value`; control records are left out. */
export async function recordsIn(log: Log): Promise<string[]> {
  return (await batchesIn(log)).flatMap(textOf)
}

export function textOf(batch: RecordBatch): string[] {
  if (batch.magic === 2 && batch.isControl) return []
  return [...readRecords(batch, { maxOutputBytes: 1 << 24 })].map(({ offset, key, value }) => `${offset} ${key}=${value ?? ''}`)
}

export async function filesIn(dir: string): Promise<string[]> {
  return (await readdir(dir)).filter((name) => /\.(log|index|timeindex|txnindex)/.test(name)).sort()
}

export function cleanerCheckpoint(dir: string): Promise<string> {
  return readFile(join(dir, 'cleaner-offset-checkpoint'), 'utf8')
}
