import { type FileSystem, isMissing, writeFully } from './file-system.ts'

/*
 * NNN.txnindex: one entry of 34 bytes for every aborted transaction that ended in the segment, big-endian:
 *    0  int16  version, 0
 *    2  int64  producer id
 *   10  int64  first offset of the transaction
 *   18  int64  last offset: that of the abort marker
 *   26  int64  last stable offset once the transaction was over
 * The file exists only where there is an entry (or was one).
 */
const ENTRY_BYTES = 34

export interface AbortedTransaction {
  readonly producerId: number
  readonly firstOffset: number
  readonly lastOffset: number
  readonly lastStableOffset: number
}

/** Aborted transactions of one segment, for readers of committed records. Written through: there are few. KIP-98. */
export class TransactionIndex {
  path: string
  readonly #fs: FileSystem
  #entries: AbortedTransaction[] = []
  #exists = false
  #isDoubtful = false
  #isUnsynced = false

  constructor(fs: FileSystem, path: string) {
    this.#fs = fs
    this.path = path
  }

  get entries(): readonly AbortedTransaction[] {
    return this.#entries
  }

  get exists(): boolean {
    return this.#exists
  }

  /** It may lack transactions, or name some that are none, until `replace` has put it right. */
  get isDoubtful(): boolean {
    return this.#isDoubtful
  }

  /** To be called of a segment whose batches may not be those that the file was written for. */
  doubt(): void {
    this.#isDoubtful = true
  }

  /**
   * Reads the file, if there is one.
   * @param offsets Where the segment begins, and what it ends before: its transactions ended there.
   * @returns What is wrong with the file, which is doubtful then and counts as empty; or nothing.
   */
  async load(offsets: { base: number; end: number }): Promise<string | undefined> {
    const problem = await this.#load(offsets)
    this.#isDoubtful = problem !== undefined
    if (this.#isDoubtful) this.#entries = []
    return problem
  }

  async #load({ base, end }: { base: number; end: number }): Promise<string | undefined> {
    this.#entries = []
    let content: Buffer
    try {
      content = await this.#fs.readFile(this.path)
    } catch (error) {
      if (!isMissing(error)) throw error
      this.#exists = false
      return undefined
    }
    this.#exists = true
    this.#isUnsynced = true // who wrote it may not have come to that
    if (content.length % ENTRY_BYTES !== 0) return `its size ${content.length} is no multiple of ${ENTRY_BYTES}`
    for (let at = 0; at < content.length; at += ENTRY_BYTES) {
      const entry = {
        producerId: Number(content.readBigInt64BE(at + 2)),
        firstOffset: Number(content.readBigInt64BE(at + 10)),
        lastOffset: Number(content.readBigInt64BE(at + 18)),
        lastStableOffset: Number(content.readBigInt64BE(at + 26)),
      }
      const last = this.#entries.at(-1)
      if (content.readInt16BE(at) !== 0) return `entry ${at / ENTRY_BYTES} has an unknown version`
      if (entry.firstOffset < 0 || entry.lastOffset < entry.firstOffset) return `entry ${at / ENTRY_BYTES} ends before it begins`
      if (entry.lastOffset < base || entry.lastOffset >= end) return `entry ${at / ENTRY_BYTES} ends outside of the segment`
      if (last !== undefined && entry.lastOffset <= last.lastOffset) return `entry ${at / ENTRY_BYTES} goes back`
      this.#entries.push(entry)
    }
    return undefined
  }

  async append(entry: AbortedTransaction): Promise<void> {
    this.#entries.push(entry)
    await this.#rewriteFrom(this.#entries.length - 1)
  }

  /** Makes the file hold just `entries`; leaves it alone when it does already. */
  async replace(entries: readonly AbortedTransaction[]): Promise<void> {
    const same =
      entries.length === this.#entries.length &&
      entries.every((entry, at) => {
        const other = this.#entries[at]!
        return (
          entry.producerId === other.producerId &&
          entry.firstOffset === other.firstOffset &&
          entry.lastOffset === other.lastOffset &&
          entry.lastStableOffset === other.lastStableOffset
        )
      })
    if (same && !this.#isDoubtful) return
    this.#isDoubtful = false
    if (entries.length === 0 && !this.#exists) return
    this.#entries = [...entries]
    await this.#rewriteFrom(0)
  }

  /** Drops transactions that end at `offset` or beyond. */
  async truncateTo(offset: number): Promise<void> {
    if (this.#entries.some((entry) => entry.lastOffset >= offset)) {
      this.#entries = this.#entries.filter((entry) => entry.lastOffset < offset)
      await this.#rewriteFrom(this.#entries.length)
    }
  }

  /** Makes what was written outlive a power cut. */
  async sync(): Promise<void> {
    if (!this.#isUnsynced) return
    this.#isUnsynced = false
    const fd = await this.#fs.open(this.path, 'update')
    try {
      await this.#fs.sync(fd)
    } finally {
      await this.#fs.close(fd)
    }
  }

  async #rewriteFrom(first: number): Promise<void> {
    const bytes = Buffer.alloc((this.#entries.length - first) * ENTRY_BYTES)
    for (const [index, entry] of this.#entries.slice(first).entries()) {
      const at = index * ENTRY_BYTES
      bytes.writeBigInt64BE(BigInt(entry.producerId), at + 2)
      bytes.writeBigInt64BE(BigInt(entry.firstOffset), at + 10)
      bytes.writeBigInt64BE(BigInt(entry.lastOffset), at + 18)
      bytes.writeBigInt64BE(BigInt(entry.lastStableOffset), at + 26)
    }
    const fd = await this.#fs.open(this.path, 'create')
    this.#exists = true
    this.#isUnsynced = true
    try {
      await writeFully(this.#fs, fd, bytes, first * ENTRY_BYTES)
      await this.#fs.truncate(fd, this.#entries.length * ENTRY_BYTES)
    } finally {
      await this.#fs.close(fd)
    }
  }
}
