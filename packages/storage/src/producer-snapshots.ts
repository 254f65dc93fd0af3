import type { Logger } from '@tidelog/core'
import { parseSegmentFile, pathIn, SNAPSHOT_SUFFIX, segmentFile } from './file-names.ts'
import { type FileSystem, ignoringMissing, isMissing, writeFully } from './file-system.ts'
import { decodeProducerSnapshot, encodeProducerSnapshot, type ProducerSnapshotEntry } from './producer-snapshot.ts'

/**
 * The producer snapshots of one partition. A torn or lost one costs a longer replay, nothing else, so nobody waits for one to be forced to disk: that
 * happens with the segments before it.
 */
export class ProducerSnapshots {
  readonly #fs: FileSystem
  readonly #dir: string
  readonly #logger: Logger
  /** Offsets that have a snapshot, growing. */
  #offsets: number[]
  /** Those of them that were not forced to disk. */
  #unsynced: number[] = []

  /** @param names Files of the partition's folder. */
  constructor(fs: FileSystem, dir: string, logger: Logger, names: readonly string[]) {
    this.#fs = fs
    this.#dir = dir
    this.#logger = logger
    this.#offsets = names
      .map((name) => parseSegmentFile(name, SNAPSHOT_SUFFIX))
      .filter((offset) => offset !== undefined)
      .sort((first, second) => first - second)
  }

  get offsets(): readonly number[] {
    return this.#offsets
  }

  has(offset: number): boolean {
    return this.#offsets.includes(offset)
  }

  /** The newest sound snapshot at or before `offset`; damaged ones are removed with a warning, as in Kafka. */
  async newest(offset: number): Promise<{ offset: number; entries: ProducerSnapshotEntry[] } | undefined> {
    for (const candidate of this.#offsets.filter((known) => known <= offset).reverse()) {
      const path = this.#path(candidate)
      try {
        const entries = decodeProducerSnapshot(await this.#fs.readFile(path))
        if (typeof entries !== 'string') return { offset: candidate, entries }
        this.#logger.warn('Removing a damaged producer snapshot', { path, reason: entries })
      } catch (error) {
        if (!isMissing(error)) throw error
      }
      await this.#remove((known) => known === candidate)
    }
    return undefined
  }

  /**
   * Writes the state of producers at `offset`. Snapshots that are neither at a segment's start nor this one go; Kafka keeps the same ones.
   * @param segmentOffsets Base offsets of the log's segments.
   */
  async write(offset: number, entries: readonly ProducerSnapshotEntry[], segmentOffsets: readonly number[]): Promise<void> {
    if (!this.has(offset)) {
      const fd = await this.#fs.open(this.#path(offset), 'replace')
      try {
        await writeFully(this.#fs, fd, encodeProducerSnapshot(entries), 0)
      } finally {
        await this.#fs.close(fd)
      }
      if (!this.#unsynced.includes(offset)) this.#unsynced.push(offset)
      this.#offsets.push(offset)
      this.#offsets.sort((first, second) => first - second)
    }
    const kept = new Set([offset, ...segmentOffsets])
    await this.#remove((known) => !kept.has(known))
  }

  /** Forces those at or before `offset` to disk. */
  async sync(offset: number): Promise<void> {
    for (const unsynced of [...this.#unsynced]) {
      if (unsynced > offset) continue
      this.#unsynced = this.#unsynced.filter((other) => other !== unsynced)
      const fd = await this.#fs.open(this.#path(unsynced), 'update').catch((error: unknown) => {
        if (isMissing(error)) return undefined // it went meanwhile
        throw error
      })
      if (fd === undefined) continue
      try {
        await this.#fs.sync(fd)
      } finally {
        await this.#fs.close(fd)
      }
    }
  }

  /** Removes those at or behind `offset` that a power cut has torn. */
  async removeDamaged(offset: number): Promise<void> {
    const damaged = new Set<number>()
    for (const candidate of this.#offsets.filter((known) => known >= offset)) {
      const reason = decodeProducerSnapshot(await this.#fs.readFile(this.#path(candidate)))
      if (typeof reason !== 'string') continue
      this.#logger.warn('Removing a damaged producer snapshot', { path: this.#path(candidate), reason })
      damaged.add(candidate)
    }
    await this.#remove((known) => damaged.has(known))
  }

  removeAt(offsets: ReadonlySet<number>): Promise<void> {
    return this.#remove((known) => offsets.has(known))
  }

  removeBefore(offset: number): Promise<void> {
    return this.#remove((known) => known < offset)
  }

  removeAfter(offset: number): Promise<void> {
    return this.#remove((known) => known > offset)
  }

  async #remove(isGone: (offset: number) => boolean): Promise<void> {
    const gone = this.#offsets.filter(isGone)
    if (gone.length === 0) return
    this.#offsets = this.#offsets.filter((offset) => !isGone(offset))
    this.#unsynced = this.#unsynced.filter((offset) => !isGone(offset))
    for (const offset of gone) await ignoringMissing(this.#fs.unlink(this.#path(offset)))
  }

  #path(offset: number): string {
    return pathIn(this.#dir, segmentFile(offset, SNAPSHOT_SUFFIX))
  }
}
