import { invariant } from '@tidelog/core'
import { type FileSystem, type OpenMode, writeFully } from './file-system.ts'

const FIRST_CAPACITY_ENTRIES = 32
const noEntries = Buffer.alloc(0)

/**
 * A file of fixed-size entries and its copy in memory, which is the truth while a segment is active: entries reach the file when the segment is
 * rolled, flushed or closed. An unclean stop therefore leaves a stale file, and recovery makes it anew, as Kafka does.
 */
export class IndexFile {
  path: string
  readonly entrySize: number
  /** Entries, one after the other, as in the file; only the first `count` count. Undefined while the entries are not in memory. */
  #entries: Buffer | undefined
  #count = 0
  /** Entries from here on are not in the file yet. */
  #unwritten = 0
  /** Bytes that the file holds, including what is preallocated; -1 when nothing is known of it. */
  #fileBytes = -1
  readonly #fs: FileSystem

  constructor(fs: FileSystem, path: string, entrySize: number) {
    this.#fs = fs
    this.path = path
    this.entrySize = entrySize
  }

  get isLoaded(): boolean {
    return this.#entries !== undefined
  }

  get count(): number {
    return this.#count
  }

  /** The file is there and has every entry. */
  get isInFile(): boolean {
    return this.#fileBytes >= 0 && this.#unwritten === this.#count
  }

  get memoryBytes(): number {
    return this.#entries?.length ?? 0
  }

  /** The bytes of all entries; `count * entrySize` of them are meaningful. */
  get entries(): Buffer {
    invariant(this.#entries !== undefined, `${this.path} is not loaded`)
    return this.#entries
  }

  /** Reads the file. Returns its size in bytes, or undefined when it is missing; the caller judges what it holds. */
  async load(maxBytes: number): Promise<number | undefined> {
    const stat = await this.#fs.stat(this.path)
    if (stat === undefined) {
      this.clear()
      this.#fileBytes = -1
      return undefined
    }
    this.#fileBytes = stat.sizeBytes
    if (stat.sizeBytes > maxBytes) {
      this.clear()
      return stat.sizeBytes
    }
    const entries = stat.sizeBytes === 0 ? noEntries : await this.#fs.readFile(this.path)
    this.#entries = entries
    this.#count = Math.floor(entries.length / this.entrySize)
    this.#unwritten = this.#count
    return entries.length
  }

  /** Begins anew with no entries in memory; the file is rewritten by the next `write`. */
  clear(): void {
    this.#entries = noEntries
    this.#count = 0
    this.#unwritten = 0
  }

  /** Drops the copy in memory; only for an index whose entries are all in the file. */
  unload(): void {
    invariant(this.isInFile, `${this.path} has entries that are nowhere else`)
    this.#entries = undefined
  }

  /** Makes room for one more entry and returns where in `entries` it goes. */
  push(): number {
    const at = this.#count * this.entrySize
    let entries = this.entries
    if (at + this.entrySize > entries.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(entries.length * 2, FIRST_CAPACITY_ENTRIES * this.entrySize))
      entries.copy(grown, 0, 0, at)
      this.#entries = grown
      entries = grown
    }
    this.#count++
    return at
  }

  keep(count: number): void {
    invariant(count <= this.#count, `${this.path} has ${this.#count} entries, not ${count}`)
    this.#count = count
    this.#unwritten = Math.min(this.#unwritten, count)
  }

  /** Grows the file to `maxBytes` rounded down to whole entries, as Kafka does for an active segment: a hole, which takes no space. */
  async preallocate(maxBytes: number, mode: OpenMode = 'create'): Promise<void> {
    const sizeBytes = maxBytes - (maxBytes % this.entrySize)
    if (this.#fileBytes >= sizeBytes) return
    await this.#withFile(async (fd) => {
      await this.#fs.truncate(fd, sizeBytes)
      this.#fileBytes = sizeBytes
    }, mode)
  }

  /** Brings the file up to date and, if asked, trims what is preallocated and forces it to disk. Returns false when nothing differed and was touched. */
  async write({ trim, sync }: { trim: boolean; sync: boolean }): Promise<boolean> {
    const usedBytes = this.#count * this.entrySize
    const trims = trim && this.#fileBytes !== usedBytes
    const hasUnwritten = this.#unwritten < this.#count
    if (!hasUnwritten && !trims && !sync) return false
    await this.#withFile(async (fd) => {
      if (hasUnwritten) {
        const from = this.#unwritten * this.entrySize
        await writeFully(this.#fs, fd, this.entries.subarray(from, usedBytes), from)
        this.#unwritten = this.#count
        this.#fileBytes = Math.max(this.#fileBytes, usedBytes)
      }
      if (trims) {
        await this.#fs.truncate(fd, usedBytes)
        this.#fileBytes = usedBytes
      }
      if (sync) await this.#fs.sync(fd)
    })
    return true
  }

  /** Begins anew with an empty file of full size. */
  async create(maxBytes: number): Promise<void> {
    this.clear()
    this.#fileBytes = -1
    await this.preallocate(maxBytes, 'replace')
  }

  async #withFile(use: (fd: number) => Promise<void>, mode: OpenMode = 'create'): Promise<void> {
    const fd = await this.#fs.open(this.path, mode)
    try {
      await use(fd)
    } finally {
      await this.#fs.close(fd)
    }
  }
}
