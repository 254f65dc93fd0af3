import { join } from 'node:path'
import { CLEANED_SUFFIX, INDEX_SUFFIX, LOG_SUFFIX, segmentFile, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX } from '../file-names.ts'
import { type FileSystem, ignoringMissing, writeFully } from '../file-system.ts'
import { SegmentIndexes } from '../segment-indexes.ts'
import { lastOffsetOf, maxTimestampOf } from '../stored-batch.ts'
import { type AbortedTransaction, TransactionIndex } from '../transaction-index.ts'
import { writing } from './cleaning-error.ts'

/** The files of a segment that compaction makes. The transaction index is there only when it has entries. */
export const segmentSuffixes = [LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX] as const

export function cleanedPath(dir: string, baseOffset: number, suffix: string): string {
  return join(dir, segmentFile(baseOffset, suffix) + CLEANED_SUFFIX)
}

/** Removes what a cleaning that did not end has left behind. */
export async function removeCleaned(fs: FileSystem, dir: string, baseOffset: number): Promise<void> {
  for (const suffix of segmentSuffixes) await ignoringMissing(fs.unlink(cleanedPath(dir, baseOffset, suffix)))
}

/** Writes one compacted segment: NNN.log.cleaned and its indexes, batch by batch, in large writes. Rejects with CleaningErrors. */
export class CleanedSegment {
  readonly #fs: FileSystem
  readonly #path: string
  readonly #indexes: SegmentIndexes
  readonly #transactions: TransactionIndex
  readonly #aborted: AbortedTransaction[] = []
  readonly #indexIntervalBytes: number
  readonly #buffer: Buffer
  readonly #fd: number
  #filled = 0
  /** Bytes that are in the file. */
  #written = 0
  #isClosed = false

  static async create(
    fs: FileSystem,
    options: { dir: string; baseOffset: number; indexIntervalBytes: number; chunkBytes: number },
  ): Promise<CleanedSegment> {
    const path = cleanedPath(options.dir, options.baseOffset, LOG_SUFFIX)
    const fd = await writing(path, () => fs.open(path, 'replace'))
    return new CleanedSegment(fs, path, fd, options)
  }

  /** Use `create`. */
  constructor(
    fs: FileSystem,
    path: string,
    fd: number,
    {
      dir,
      baseOffset,
      indexIntervalBytes,
      chunkBytes,
    }: { dir: string; baseOffset: number; indexIntervalBytes: number; chunkBytes: number },
  ) {
    this.#fs = fs
    this.#path = path
    this.#fd = fd
    this.#indexIntervalBytes = indexIntervalBytes
    this.#buffer = Buffer.allocUnsafeSlow(chunkBytes)
    const pathOf = (suffix: string): string => cleanedPath(dir, baseOffset, suffix)
    this.#indexes = new SegmentIndexes(fs, { offsets: pathOf(INDEX_SUFFIX), times: pathOf(TIME_INDEX_SUFFIX) }, baseOffset)
    this.#indexes.clear()
    this.#transactions = new TransactionIndex(fs, pathOf(TRANSACTION_INDEX_SUFFIX))
  }

  get sizeBytes(): number {
    return this.#written + this.#filled
  }

  /** Takes a copy of a batch. Returns a promise when it has to be waited for before the next. */
  append(batch: Buffer): Promise<void> | undefined {
    const noted = {
      position: this.sizeBytes,
      sizeBytes: batch.length,
      lastOffset: lastOffsetOf(batch, 0),
      maxTimestamp: maxTimestampOf(batch, 0),
    }
    this.#indexes.note(noted, this.#indexIntervalBytes)
    if (this.#filled + batch.length <= this.#buffer.length) {
      this.#filled += batch.copy(this.#buffer, this.#filled)
      return undefined
    }
    return this.#appendBeyond(batch)
  }

  /** Adds to the transaction index; transactions come in the order of their markers. */
  addAborted(transaction: AbortedTransaction): void {
    this.#aborted.push(transaction)
  }

  /** Writes everything and forces it to disk. @param modifiedMs What the log file says of its last change from then on. */
  async finish(modifiedMs: number): Promise<{ hasTransactionIndex: boolean }> {
    await this.#flush()
    this.#indexes.noteMaxTimestamp()
    await writing(this.#path, async () => {
      await this.#indexes.write({ sync: true })
      if (this.#aborted.length > 0) {
        await this.#transactions.replace(this.#aborted)
        await this.#transactions.sync()
      }
      await this.#fs.sync(this.#fd)
      await this.#close()
      await this.#fs.setModified(this.#path, modifiedMs)
    })
    return { hasTransactionIndex: this.#aborted.length > 0 }
  }

  /** Gives up what was written. */
  async abandon(): Promise<void> {
    await this.#close().catch(() => {}) // its file is removed
  }

  async #appendBeyond(batch: Buffer): Promise<void> {
    await this.#flush()
    if (batch.length <= this.#buffer.length) {
      this.#filled = batch.copy(this.#buffer, 0)
      return
    }
    await this.#write(batch)
  }

  async #flush(): Promise<void> {
    if (this.#filled === 0) return
    const bytes = this.#buffer.subarray(0, this.#filled)
    this.#filled = 0
    await this.#write(bytes)
  }

  async #write(bytes: Buffer): Promise<void> {
    await writing(this.#path, () => writeFully(this.#fs, this.#fd, bytes, this.#written))
    this.#written += bytes.length
  }

  async #close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#fs.close(this.#fd)
  }
}
