import type { BufferPool } from '@tidelog/core'
import { batchHeader } from '@tidelog/protocol'
import { type FileSystem, readFully } from './file-system.ts'
import { headerProblem, isChecksumValid, SCAN_HEADER_BYTES } from './stored-batch.ts'

export interface ScanOptions {
  /** Position of a batch to begin with. */
  readonly from: number
  /** Position to end at, exclusive. */
  readonly to: number
  /** Bytes to read at a time. */
  readonly chunkBytes: number
  /**
   * header: only the first 61 bytes of a batch can be read by the visitor. whole: all of it. checked: all of it, and its checksum must hold.
   */
  readonly need: 'header' | 'whole' | 'checked'
  /** The largest batch that is believed when all of it is needed. */
  readonly maxBatchBytes?: number
  /** Where memory for the chunks comes from, and goes back to: the visitor must not keep any. Fresh memory when absent. */
  readonly memory?: BufferPool
}

/** Called for each batch, which starts at `at` of `buffer` and at `position` of the file. false ends the scan before this batch. */
export type BatchVisitor = (buffer: Buffer, at: number, position: number, sizeBytes: number) => boolean | undefined

export interface ScanResult {
  /** Behind the last batch that was visited. */
  readonly end: number
  /** Why the scan ended before `to`, when it was not the visitor's wish. */
  readonly problem?: string
}

/** Walks over the batches of a log file, off the page cache, a chunk at a time. */
export async function scanBatches(fs: FileSystem, fd: number, options: ScanOptions, visit: BatchVisitor): Promise<ScanResult> {
  const { memory } = options
  let chunk: Buffer | undefined
  const allocate = (bytes: number): Buffer => {
    if (chunk !== undefined) memory?.release(chunk)
    chunk = memory?.allocate(bytes) ?? Buffer.allocUnsafeSlow(bytes)
    return chunk
  }
  try {
    return await scan(fs, fd, options, visit, allocate)
  } finally {
    if (chunk !== undefined) memory?.release(chunk)
  }
}

/** @param allocate Memory for the next chunk; that of the one before is given back. */
async function scan(
  fs: FileSystem,
  fd: number,
  options: ScanOptions,
  visit: BatchVisitor,
  allocate: (bytes: number) => Buffer,
): Promise<ScanResult> {
  const { to, chunkBytes, need, maxBatchBytes = Number.POSITIVE_INFINITY } = options
  let position = options.from
  let buffer: Buffer = Buffer.alloc(0)
  let bufferAt = position // position of the buffer's first byte
  while (position < to) {
    const available = (wanted: number): boolean => position + wanted <= bufferAt + buffer.length
    const fill = async (wanted: number): Promise<boolean> => {
      if (available(wanted)) return true
      const length = Math.min(Math.max(wanted, chunkBytes), to - position)
      const fresh = allocate(length)
      const filled = await readFully(fs, fd, fresh, position)
      buffer = fresh.subarray(0, filled)
      bufferAt = position
      return filled >= wanted
    }
    await fill(Math.min(SCAN_HEADER_BYTES, to - position))
    const at = position - bufferAt
    const problem = headerProblem(buffer, at, buffer.length - at)
    if (problem !== undefined) return { end: position, problem }
    const sizeBytes = batchHeader.sizeBytes(buffer, at)
    if (position + sizeBytes > to) return { end: position, problem: `a batch of ${sizeBytes} bytes goes beyond the end` }
    if (need !== 'header') {
      if (sizeBytes > maxBatchBytes) return { end: position, problem: `a batch of ${sizeBytes} bytes is larger than can be` }
      if (!(await fill(sizeBytes))) return { end: position, problem: `a batch of ${sizeBytes} bytes goes beyond the end` }
      if (need === 'checked' && !isChecksumValid(buffer, position - bufferAt)) return { end: position, problem: 'a checksum is wrong' }
    }
    if (visit(buffer, position - bufferAt, position, sizeBytes) === false) return { end: position }
    position += sizeBytes
  }
  return { end: position }
}
