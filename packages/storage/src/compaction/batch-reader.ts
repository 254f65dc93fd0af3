import { batchAt, batchHeader, type RecordBatch } from '@tidelog/protocol'
import { type FileSystem, readFully } from '../file-system.ts'
import { headerProblem, SCAN_HEADER_BYTES } from '../stored-batch.ts'
import { CleaningError, reading } from './cleaning-error.ts'

export interface ReadRange {
  readonly path: string
  /** Position of a batch to begin with. */
  readonly from: number
  /** Exclusive. */
  readonly to: number
}

/** Reads the batches of segments one after the other into memory that is used again and again. */
export class BatchReader {
  readonly #fs: FileSystem
  #buffer: Buffer

  constructor(fs: FileSystem, chunkBytes: number) {
    this.#fs = fs
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(SCAN_HEADER_BYTES, chunkBytes))
  }

  /**
   * Calls `visit` for every batch of a range, its checksum checked, and waits for it. The batch is a view that holds until then. false ends the reading.
   * @param afterRead Called with the bytes of each read, and waited for.
   * @throws CleaningError `gone` or `damaged`
   */
  async read(
    { path, from, to }: ReadRange,
    afterRead: (bytes: number) => Promise<void>,
    visit: (batch: RecordBatch, position: number) => boolean | Promise<boolean>,
  ): Promise<void> {
    const fd = await reading(path, () => this.#fs.open(path, 'read'))
    try {
      for (let position = from; position < to; ) {
        const wanted = Math.min(this.#buffer.length, to - position)
        const filled = await reading(path, () => readFully(this.#fs, fd, this.#buffer.subarray(0, wanted), position))
        if (filled < wanted) throw damaged(path, position, `it has ${position + filled} bytes, not ${to}`)
        await afterRead(filled)
        let at = 0
        while (at < filled) {
          const batch = this.#batchAt(at, filled, { path, position: position + at, to })
          if (batch === undefined) break
          const goesOn = visit(batch, position + at)
          if (!(typeof goesOn === 'boolean' ? goesOn : await goesOn)) return
          at += batch.sizeBytes
        }
        position += at
        if (at === 0) this.#grow(batchHeader.sizeBytes(this.#buffer, 0))
      }
    } finally {
      await this.#fs.close(fd).catch(() => {}) // nothing was written to it
    }
  }

  /** The whole batch at `at`, or undefined when the buffer ends inside of it. */
  #batchAt(at: number, filled: number, { path, position, to }: { path: string; position: number; to: number }): RecordBatch | undefined {
    const available = filled - at
    if (available < SCAN_HEADER_BYTES && position + available < to) return undefined
    const problem = headerProblem(this.#buffer, at, available)
    if (problem !== undefined) throw damaged(path, position, problem)
    const sizeBytes = batchHeader.sizeBytes(this.#buffer, at)
    if (position + sizeBytes > to) throw damaged(path, position, `a batch of ${sizeBytes} bytes goes beyond the end`)
    if (sizeBytes > available) return undefined
    const batch = batchAt(this.#buffer, at, filled)
    if (batch === undefined || !batch.isCrcValid) throw damaged(path, position, 'a checksum is wrong')
    return batch
  }

  #grow(batchBytes: number): void {
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(batchBytes, SCAN_HEADER_BYTES))
  }
}

function damaged(path: string, position: number, problem: string): CleaningError {
  return new CleaningError('damaged', `${path} cannot be read at ${position}: ${problem}`)
}
