import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { batchAt, batchHeader, type RecordBatch } from '@tidelog/protocol'

const CHUNK_BYTES = 4 * 1024 * 1024

/** A batch and where it begins in its file. */
export interface PlacedBatch {
  readonly batch: RecordBatch
  readonly position: number
}

/** A `.log` file that is only looked at, a batch at a time. */
export class SegmentFile {
  readonly sizeBytes: number
  readonly #fd: number

  /** @throws Node's error when it cannot be opened */
  constructor(path: string) {
    this.#fd = openSync(path, 'r')
    this.sizeBytes = fstatSync(this.#fd).size
  }

  /**
   * The whole batches that begin at `start`, up to `end`. Checksums are not checked. What is no batch any more ends them.
   * @throws KafkaError CORRUPT_MESSAGE when a size or magic cannot be
   */
  *batches(start = 0, end = this.sizeBytes): Generator<PlacedBatch, void, undefined> {
    const limit = Math.min(end, this.sizeBytes)
    let chunk: Buffer = Buffer.alloc(0)
    let chunkAt = start
    let position = start
    for (;;) {
      let batch = batchAt(chunk, position - chunkAt, chunk.length)
      if (batch === undefined) {
        const header = this.#read(position, Math.min(batchHeader.HEADER_BYTES_UP_TO_MAGIC, limit - position))
        if (header.length < batchHeader.HEADER_BYTES_UP_TO_MAGIC) return
        const wanted = Math.max(CHUNK_BYTES, batchHeader.sizeBytes(header, 0))
        chunk = this.#read(position, Math.min(wanted, limit - position))
        chunkAt = position
        batch = batchAt(chunk, 0, chunk.length)
        if (batch === undefined) return
      }
      yield { batch, position }
      position += batch.sizeBytes
    }
  }

  close(): void {
    closeSync(this.#fd)
  }

  #read(position: number, length: number): Buffer {
    const bytes = Buffer.alloc(Math.max(0, length))
    return bytes.subarray(0, readSync(this.#fd, bytes, 0, bytes.length, position))
  }
}
