import { join } from 'node:path'
import { messageOf } from '@tidelog/core'
import { batchAt, batchHeader, readRecords } from '@tidelog/protocol'
import { scanBatches } from './batch-scan.ts'
import { wasCleanShutdown } from './clean-shutdown.ts'
import { LOG_SUFFIX, parseSegmentFile, segmentFile } from './file-names.ts'
import { type FileSystem, readFully } from './file-system.ts'
import { headerProblem, isChecksumValid, SCAN_HEADER_BYTES } from './stored-batch.ts'

/*
 * What KRaft keeps in a log dir of its own: read when the directory is taken over, never written, so that Kafka can start on it again.
 *
 *   __cluster_metadata-0/OFFSET.log               segments as any partition's; their records are metadata records
 *   __cluster_metadata-0/OFFSET-EPOCH.checkpoint  a snapshot (20 and 10 digits): the same batches, counted from 0, between a header and a footer;
 *                                                 it stands for all records before OFFSET
 *   bootstrap.checkpoint                          what formatting wrote, in the form of a snapshot; the first controller copies it into the log
 *
 * Control records are a controller's election, a snapshot's header and footer, and the quorum's version and voters: nothing of them is needed here.
 * Source: KIP-595, KIP-630, KIP-853.
 */
export const CLUSTER_METADATA_FOLDER = '__cluster_metadata-0'
const BOOTSTRAP_FILE = 'bootstrap.checkpoint'
const SNAPSHOT_FILE = /^(\d{20})-(\d{10})\.checkpoint$/
const SNAPSHOT_HEADER_TYPE = 3
const SNAPSHOT_FOOTER_TYPE = 4

const CHUNK_BYTES = 1024 * 1024
/** Eight times what KRaft writes at most. */
const MAX_BATCH_BYTES = 64 * 1024 * 1024

/** Takes one record's value; the buffer is only good until it returns. What it throws says what is wrong with the record. */
export type MetadataValueVisitor = (value: Buffer) => void

/** What has been read, for the operator. */
export interface ClusterMetadataRead {
  /** The snapshot stands for everything before this offset; 0 without one. */
  readonly snapshotEndOffset: number
  /** Behind the last whole batch of the log. */
  readonly nextOffset: number
  readonly records: number
  /** Bytes of a write that a crash cut off, at the log's end; left where they are. */
  readonly tornBytes: number
}

/** The metadata log cannot be trusted: one line for the operator. Nothing has been touched. */
export class ClusterMetadataError extends Error {
  override readonly name = 'ClusterMetadataError'
}

/**
 * Reads all that a KRaft controller or broker left in `dir`: the newest snapshot, then the log behind it; of a directory that was formatted and never
 * started, bootstrap.checkpoint. A write that a crash cut off ends the log, as in Kafka; a bad batch with a whole one behind it is damage.
 * @returns undefined when there is no metadata log
 * @throws ClusterMetadataError when snapshot or log are damaged, have a gap, or `onValue` refuses a record
 */
export async function readClusterMetadata(
  fs: FileSystem,
  dir: string,
  onValue: MetadataValueVisitor,
): Promise<ClusterMetadataRead | undefined> {
  const folder = join(dir, CLUSTER_METADATA_FOLDER)
  if ((await fs.stat(folder))?.isDirectory !== true) return undefined
  const names = (await fs.list(folder)).map(({ name }) => name)
  const snapshot = newestSnapshot(names)
  let records = 0
  const count: MetadataValueVisitor = (value) => {
    onValue(value)
    records++
  }
  if (snapshot !== undefined) await readSnapshot(fs, join(folder, snapshot.name), count)
  const snapshotEndOffset = snapshot?.endOffset ?? 0
  const log = await readLog(fs, folder, names, { snapshotEndOffset, isClean: await wasCleanShutdown(fs, dir), onValue: count })
  const bootstrap = join(dir, BOOTSTRAP_FILE)
  if (records === 0 && (await fs.stat(bootstrap)) !== undefined) await readSnapshot(fs, bootstrap, count)
  return { snapshotEndOffset, ...log, records }
}

function newestSnapshot(names: readonly string[]): { name: string; endOffset: number } | undefined {
  // Digits of one length: the order of texts is that of numbers.
  const name = names
    .filter((candidate) => SNAPSHOT_FILE.test(candidate))
    .sort()
    .at(-1)
  return name === undefined ? undefined : { name, endOffset: Number(name.slice(0, 20)) }
}

async function readSnapshot(fs: FileSystem, path: string, onValue: MetadataValueVisitor): Promise<void> {
  const sizeBytes = (await fs.stat(path))?.sizeBytes ?? 0
  let isFirst = true
  let isEnded = false
  let nextOffset = 0
  const fd = await fs.open(path, 'read')
  try {
    const { problem } = await scanBatches(fs, fd, scan(0, sizeBytes), (buffer, at) => {
      const wrong = (reason: string) => new ClusterMetadataError(`${path} is damaged: offset ${nextOffset}: ${reason}`)
      if (batchHeader.baseOffset(buffer, at) !== nextOffset) throw wrong(`a batch of offset ${batchHeader.baseOffset(buffer, at)}`)
      if (isEnded) throw wrong('there is more behind its footer')
      const controlTypes = visitRecords(buffer, at, path, onValue)
      if (isFirst && controlTypes[0] !== SNAPSHOT_HEADER_TYPE) throw wrong('it does not begin with a header')
      isFirst = false
      isEnded = controlTypes.at(-1) === SNAPSHOT_FOOTER_TYPE
      nextOffset = batchHeader.lastOffset(buffer, at) + 1
      return true
    })
    if (problem !== undefined) throw new ClusterMetadataError(`${path} is damaged: offset ${nextOffset}: ${problem}`)
    if (!isEnded) throw new ClusterMetadataError(`${path} is damaged: it ends without its footer`)
  } finally {
    await fs.close(fd)
  }
}

async function readLog(
  fs: FileSystem,
  folder: string,
  names: readonly string[],
  options: { snapshotEndOffset: number; isClean: boolean; onValue: MetadataValueVisitor },
): Promise<{ nextOffset: number; tornBytes: number }> {
  const { snapshotEndOffset, isClean, onValue } = options
  const bases = names
    .map((name) => parseSegmentFile(name, LOG_SUFFIX))
    .filter((base) => base !== undefined)
    .sort((first, second) => first - second)
  // Segments that end before the snapshot's offset say nothing that it does not.
  const first = Math.max(
    0,
    bases.findLastIndex((base) => base <= snapshotEndOffset),
  )
  const needed = bases.slice(first)
  let nextOffset = needed[0] ?? snapshotEndOffset
  if (nextOffset > snapshotEndOffset) {
    const known = snapshotEndOffset === 0 ? 'there is no snapshot' : `the snapshot ends at ${snapshotEndOffset}`
    throw new ClusterMetadataError(`${folder} is damaged: the log begins at offset ${nextOffset}, but ${known}`)
  }
  let tornBytes = 0
  for (const [index, base] of needed.entries()) {
    const path = join(folder, segmentFile(base, LOG_SUFFIX))
    const damaged = (reason: string) => new ClusterMetadataError(`${path} is damaged: offset ${nextOffset}: ${reason}`)
    if (base !== nextOffset) throw damaged(`the segment begins at ${base}`)
    const sizeBytes = (await fs.stat(path))?.sizeBytes ?? 0
    const fd = await fs.open(path, 'read')
    try {
      const { end, problem } = await scanBatches(fs, fd, scan(0, sizeBytes), (buffer, at) => {
        const baseOffset = batchHeader.baseOffset(buffer, at)
        if (baseOffset !== nextOffset) throw damaged(`a batch of offset ${baseOffset}`)
        const lastOffset = batchHeader.lastOffset(buffer, at)
        if (lastOffset >= snapshotEndOffset) visitRecords(buffer, at, path, onValue, snapshotEndOffset)
        nextOffset = lastOffset + 1
        return true
      })
      if (problem === undefined) continue
      const isTail = index === needed.length - 1
      if (isClean || !isTail || (await isBatchBehind(fs, fd, { from: end + 1, to: sizeBytes, nextOffset }))) throw damaged(problem)
      tornBytes = sizeBytes - end
    } finally {
      await fs.close(fd)
    }
  }
  return { nextOffset: Math.max(nextOffset, snapshotEndOffset), tornBytes }
}

const scan = (from: number, to: number) => ({ from, to, chunkBytes: CHUNK_BYTES, need: 'checked', maxBatchBytes: MAX_BATCH_BYTES }) as const

/** Hands out the records from `startOffset` on; of a control batch, returns the types of its records instead. */
function visitRecords(buffer: Buffer, at: number, path: string, onValue: MetadataValueVisitor, startOffset = 0): number[] {
  const batch = batchAt(buffer, at, buffer.length)
  if (batch === undefined || batch.magic !== 2) throw new ClusterMetadataError(`${path} is damaged: it has batches of an old format`)
  const controlTypes: number[] = []
  let { baseOffset: offset } = batch
  try {
    for (const record of readRecords(batch, { maxOutputBytes: MAX_BATCH_BYTES })) {
      offset = record.offset
      if (batch.isControl) controlTypes.push(controlTypeOf(record.key))
      else if (offset >= startOffset) {
        if (record.value === null) throw new Error('a record without a value')
        onValue(record.value)
      }
    }
  } catch (error) {
    const reason = messageOf(error)
    throw new ClusterMetadataError(`${path} cannot be read: offset ${offset}: ${reason}`, { cause: error })
  }
  return controlTypes
}

function controlTypeOf(key: Buffer | null): number {
  if (key === null || key.length < 4) throw new Error('a control record with a key that is too short')
  return key.readInt16BE(2)
}

/** Whether anywhere in these bytes a whole batch of a later offset begins: what lies before it was then not cut off, but damaged. */
async function isBatchBehind(
  fs: FileSystem,
  fd: number,
  { from, to, nextOffset }: { from: number; to: number; nextOffset: number },
): Promise<boolean> {
  for (let position = from; position < to; position += CHUNK_BYTES) {
    const chunk = Buffer.alloc(Math.min(CHUNK_BYTES + SCAN_HEADER_BYTES, to - position))
    const filled = await readFully(fs, fd, chunk, position)
    for (let at = 0; at < Math.min(CHUNK_BYTES, filled - SCAN_HEADER_BYTES + 1); at++) {
      if (headerProblem(chunk, at, filled - at) !== undefined || batchHeader.magic(chunk, at) !== 2) continue
      const sizeBytes = batchHeader.sizeBytes(chunk, at)
      if (batchHeader.baseOffset(chunk, at) < nextOffset || sizeBytes > Math.min(MAX_BATCH_BYTES, to - position - at)) continue
      const whole = Buffer.alloc(sizeBytes)
      if ((await readFully(fs, fd, whole, position + at)) === sizeBytes && isChecksumValid(whole, 0)) return true
    }
  }
  return false
}
