import { join } from 'node:path'
import { batchAt, batchHeader, type RecordBatch } from '@tidelog/protocol'
import { markerOf } from './append-validation.ts'
import { scanBatches } from './batch-scan.ts'
import {
  INDEX_SUFFIX,
  LOG_SUFFIX,
  parseSegmentFile,
  SNAPSHOT_SUFFIX,
  segmentFile,
  TIME_INDEX_SUFFIX,
  TRANSACTION_INDEX_SUFFIX,
} from './file-names.ts'
import { type FileSystem, nodeFileSystem, readTextIfPresent } from './file-system.ts'
import { parseLeaderEpochs } from './leader-epochs.ts'
import { OffsetIndex } from './offset-index.ts'
import { decodeProducerSnapshot } from './producer-snapshot.ts'
import { lastOffsetOf, leaderEpochOf, maxTimestampOf } from './stored-batch.ts'
import { TimeIndex } from './time-index.ts'
import { TransactionIndex } from './transaction-index.ts'

export interface VerifiedPartition {
  /** What is wrong, one line each; empty when nothing is. */
  readonly problems: readonly string[]
  readonly segments: number
  readonly batches: number
  readonly records: number
  readonly firstOffset: number
  /** Behind the last batch. */
  readonly nextOffset: number
}

interface SeenBatch {
  readonly position: number
  readonly baseOffset: number
  readonly lastOffset: number
  readonly maxTimestamp: number
}

/** Ends a transaction that was aborted. */
interface AbortMarker {
  readonly producerId: number
  readonly lastOffset: number
}

/**
 * Reads the folder of a partition that nobody writes to, as kafka-dump-log does with --index-sanity-check, and compares everything with everything: checksums,
 * order of offsets and epochs, every index entry with the batch that it speaks of, every lookup with a full scan, aborted transactions with their index, snapshots and leader epochs with
 * the batches. Changes nothing.
 * @param options `closedOnly`: leaves out the last segment, which a broker may be writing to.
 */
export async function verifyPartition(
  dir: string,
  fs: FileSystem = nodeFileSystem,
  { closedOnly = false } = {},
): Promise<VerifiedPartition> {
  const problems: string[] = []
  const names = (await fs.list(dir)).map(({ name }) => name)
  const bases = names
    .map((name) => parseSegmentFile(name, LOG_SUFFIX))
    .filter((base) => base !== undefined)
    .sort((first, second) => first - second)
  if (closedOnly) bases.pop()
  let batches = 0
  let records = 0
  let nextOffset = bases[0] ?? 0
  let lastEpoch = -1
  /** Producers with a transaction that is open. */
  const writing = new Set<number>()
  for (const [number, base] of bases.entries()) {
    const path = join(dir, segmentFile(base, LOG_SUFFIX))
    if (base < nextOffset) problems.push(`${path}: begins at ${base}, before ${nextOffset}`)
    const sizeBytes = (await fs.stat(path))?.sizeBytes ?? 0
    const seen: SeenBatch[] = []
    const aborts: AbortMarker[] = []
    const fd = await fs.open(path, 'read')
    try {
      const { end, problem } = await scanBatches(
        fs,
        fd,
        { from: 0, to: sizeBytes, chunkBytes: 1 << 20, need: 'checked' },
        (buffer, at, position) => {
          const baseOffset = batchHeader.baseOffset(buffer, at)
          const lastOffset = lastOffsetOf(buffer, at)
          const epoch = leaderEpochOf(buffer, at)
          if (lastOffset < nextOffset) problems.push(`${path}: offset ${lastOffset} at ${position} goes back behind ${nextOffset}`)
          if (epoch < lastEpoch) problems.push(`${path}: leader epoch ${epoch} at ${position} goes back behind ${lastEpoch}`)
          if (epoch >= 0) lastEpoch = epoch
          if (batchHeader.magic(buffer, at) === 2) {
            records += batchHeader.recordsCount(buffer, at)
            const abort = endOfAborted(batchAt(buffer, at, buffer.length)!, writing)
            if (abort !== undefined) aborts.push(abort)
          }
          nextOffset = lastOffset + 1
          seen.push({ position, baseOffset, lastOffset, maxTimestamp: maxTimestampOf(buffer, at) })
          return true
        },
      )
      if (problem !== undefined) problems.push(`${path}: at ${end}: ${problem}`)
    } finally {
      await fs.close(fd)
    }
    batches += seen.length
    const isActive = !closedOnly && number === bases.length - 1
    problems.push(...(await indexProblems(fs, dir, base, sizeBytes, seen, isActive)))
    problems.push(...(await transactionIndexProblems(fs, dir, base, nextOffset, aborts)))
  }
  for (const name of names) {
    if (parseSegmentFile(name, SNAPSHOT_SUFFIX) === undefined) continue
    const snapshot = decodeProducerSnapshot(await fs.readFile(join(dir, name)))
    if (typeof snapshot === 'string') problems.push(`${join(dir, name)}: ${snapshot}`)
  }
  const epochText = await readTextIfPresent(fs, join(dir, 'leader-epoch-checkpoint'))
  const epochs = epochText === undefined ? [] : parseLeaderEpochs(epochText)
  if (typeof epochs === 'string') problems.push(`${join(dir, 'leader-epoch-checkpoint')}: ${epochs}`)
  else if (lastEpoch > (epochs.at(-1)?.epoch ?? -1)) problems.push(`${join(dir, 'leader-epoch-checkpoint')}: epoch ${lastEpoch} is missing`)
  return { problems, segments: bases.length, batches, records, firstOffset: bases[0] ?? 0, nextOffset }
}

/** Follows the transactions of a log. @returns The marker that `batch` is, when it aborts records that were seen. */
function endOfAborted(batch: RecordBatch, writing: Set<number>): AbortMarker | undefined {
  if (batch.magic !== 2 || !batch.isTransactional) return undefined
  const { producerId, lastOffset } = batch
  if (!batch.isControl) {
    writing.add(producerId)
    return undefined
  }
  const hasRecords = writing.delete(producerId)
  return hasRecords && markerOf(batch)?.isAbort === true ? { producerId, lastOffset } : undefined
}

async function transactionIndexProblems(
  fs: FileSystem,
  dir: string,
  base: number,
  end: number,
  aborts: readonly AbortMarker[],
): Promise<string[]> {
  const index = new TransactionIndex(fs, join(dir, segmentFile(base, TRANSACTION_INDEX_SUFFIX)))
  const problem = await index.load({ base, end })
  if (problem !== undefined) return [`${index.path}: ${problem}`]
  return aborts
    .filter((abort) => !index.entries.some((entry) => entry.producerId === abort.producerId && entry.lastOffset === abort.lastOffset))
    .map(
      ({ producerId, lastOffset }) =>
        `${index.path}: the transaction of producer ${producerId} that was aborted at ${lastOffset} is missing`,
    )
}

async function indexProblems(
  fs: FileSystem,
  dir: string,
  base: number,
  logBytes: number,
  seen: readonly SeenBatch[],
  isActive: boolean,
): Promise<string[]> {
  const offsets = new OffsetIndex(fs, join(dir, segmentFile(base, INDEX_SUFFIX)), base)
  const times = new TimeIndex(fs, join(dir, segmentFile(base, TIME_INDEX_SUFFIX)), base)
  const offsetProblem = await offsets.load(logBytes)
  if (offsetProblem !== undefined) return [`${offsets.file.path}: ${offsetProblem}`]
  const timeProblem = await times.load(logBytes)
  if (timeProblem !== undefined) return [`${times.file.path}: ${timeProblem}`]

  const problems: string[] = []
  const byPosition = new Map(seen.map((batch) => [batch.position, batch]))
  for (let entry = 0; entry < offsets.count; entry++) {
    const batch = byPosition.get(offsets.positionAt(entry))
    if (batch === undefined || batch.lastOffset !== offsets.offsetAt(entry)) {
      problems.push(
        `${offsets.file.path}: entry ${entry} is offset ${offsets.offsetAt(entry)} at ${offsets.positionAt(entry)}, where no such batch is`,
      )
    }
  }
  let runningMax = -1
  let entry = 0
  for (const batch of seen) {
    runningMax = Math.max(runningMax, batch.maxTimestamp)
    for (; entry < times.count && times.offsetAt(entry) <= batch.lastOffset; entry++) {
      if (times.timestampAt(entry) !== runningMax || batch.maxTimestamp !== runningMax) {
        problems.push(
          `${times.file.path}: entry ${entry} is ${times.timestampAt(entry)} at offset ${times.offsetAt(entry)}, the log has ${runningMax}`,
        )
      }
    }
    // Every entry stands for a batch, see above, so a lookup that does not begin behind the batch finds it.
    if (offsets.lookup(batch.baseOffset).position > batch.position) {
      problems.push(`${offsets.file.path}: a lookup of ${batch.baseOffset} leads past its batch at ${batch.position}`)
    }
  }
  if (entry < times.count) problems.push(`${times.file.path}: entry ${entry} lies behind the log's end`)
  if (!isActive && times.lastEntry.timestamp !== runningMax) {
    problems.push(`${times.file.path}: ends with ${times.lastEntry.timestamp}, the largest timestamp is ${runningMax}`)
  }
  return problems
}
