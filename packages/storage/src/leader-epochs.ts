import { pathIn } from './file-names.ts'
import { type FileSystem, readTextIfPresent, writeFileAtomically } from './file-system.ts'

/*
 * leader-epoch-checkpoint in a partition's folder, in lines of text:
 *   0                        version
 *   N                        number of entries
 *   EPOCH START_OFFSET       N times; both grow strictly
 */
const FILE_NAME = 'leader-epoch-checkpoint'
const VERSION = '0'

export interface EpochEntry {
  readonly epoch: number
  /** First offset that was written in this epoch, or would have been. */
  readonly startOffset: number
}

export interface EpochEndOffset {
  readonly epoch: number
  /** Exclusive. -1 with epoch -1: nothing is known of the epoch. */
  readonly endOffset: number
}

/** Which leader epoch begins at which offset of one partition. Changes stay in memory until `save`. KIP-101, KIP-279. */
export class LeaderEpochs {
  readonly #fs: FileSystem
  readonly #path: string
  #entries: EpochEntry[] = []
  /** What differs from the file. */
  #changed: 'nothing' | 'a new latest' | 'more' = 'nothing'

  constructor(fs: FileSystem, dir: string) {
    this.#fs = fs
    this.#path = pathIn(dir, FILE_NAME)
  }

  get entries(): readonly EpochEntry[] {
    return this.#entries
  }

  get latest(): EpochEntry | undefined {
    return this.#entries.at(-1)
  }

  /** Reads the file. Returns what is wrong with it, if something is; the caller then assigns the epochs that the batches show. */
  async load(): Promise<string | undefined> {
    const text = await readTextIfPresent(this.#fs, this.#path)
    if (text === undefined) return 'it is missing'
    const entries = parseLeaderEpochs(text)
    if (typeof entries === 'string') return entries
    this.#entries = entries
    this.#changed = 'nothing'
    return undefined
  }

  /**
   * Writes the file if anything changed since it was read or written.
   * @param options `butLatest`: not for a latest epoch that is all there is to write. `durable`: no power cut brings the file before back, as must be
   * when epochs were taken out of it.
   */
  async save({ butLatest = false, durable = false } = {}): Promise<void> {
    const changed = this.#changed
    if (changed === 'nothing' || (butLatest && changed === 'a new latest')) return
    this.#changed = 'nothing'
    try {
      const lines = this.#entries.map(({ epoch, startOffset }) => `${epoch} ${startOffset}\n`)
      // An older file is as good: what it lacks is read from the batches. So is an empty one in place of a single epoch: they say it all.
      const options = { durable, synced: durable || lines.length > 1 }
      await writeFileAtomically(this.#fs, this.#path, `${VERSION}\n${lines.length}\n${lines.join('')}`, options)
    } catch (error) {
      this.#changed = changed
      throw error
    }
  }

  /** Notes that `epoch` begins at `startOffset`. Entries that contradict it, from a log that was cut since, go. */
  assign(epoch: number, startOffset: number): void {
    const last = this.latest
    if (last !== undefined && epoch === last.epoch && startOffset >= last.startOffset) return
    while (this.#entries.length > 0) {
      const entry = this.#entries.at(-1)!
      if (entry.epoch < epoch && entry.startOffset < startOffset) break
      this.#entries.pop()
    }
    const isNext = this.#entries.at(-1) === last
    this.#changed = isNext && this.#changed === 'nothing' ? 'a new latest' : 'more'
    this.#entries.push({ epoch, startOffset })
  }

  /** Whether it is one of the files of a folder. */
  static isAmong(names: readonly string[]): boolean {
    return names.includes(FILE_NAME)
  }

  clear(): void {
    this.#entries = []
    this.#changed = 'more'
  }

  /** Drops epochs that begin at `endOffset` or beyond. */
  truncateFromEnd(endOffset: number): void {
    while (this.#entries.length > 0 && this.#entries.at(-1)!.startOffset >= endOffset) {
      this.#entries.pop()
      this.#changed = 'more'
    }
  }

  /** Drops epochs that end at or before `startOffset`; the one that holds it begins there from now on. */
  truncateFromStart(startOffset: number): void {
    let holder = -1
    while (holder + 1 < this.#entries.length && this.#entries[holder + 1]!.startOffset <= startOffset) holder++
    if (holder < 0 || (holder === 0 && this.#entries[0]!.startOffset === startOffset)) return
    this.#entries.splice(0, holder + 1, { epoch: this.#entries[holder]!.epoch, startOffset })
    this.#changed = 'more'
  }

  /** The epoch that `offset` was written in, or undefined when it lies before all that is known. */
  epochForOffset(offset: number): number | undefined {
    for (let index = this.#entries.length - 1; index >= 0; index--) {
      const entry = this.#entries[index]!
      if (entry.startOffset <= offset) return entry.epoch
    }
    return undefined
  }

  /**
   * The last epoch that is not beyond `epoch`, and where it ends.
   * @param logEndOffset Where the latest epoch ends.
   */
  endOffsetFor(epoch: number, logEndOffset: number): EpochEndOffset {
    const unknown = { epoch: -1, endOffset: -1 }
    if (epoch === -1) return unknown
    if (this.latest?.epoch === epoch) return { epoch, endOffset: logEndOffset }
    const higher = this.#entries.findIndex((entry) => entry.epoch > epoch)
    if (higher < 0) return unknown
    const floor = this.#entries[higher - 1]
    return { epoch: floor?.epoch ?? epoch, endOffset: this.#entries[higher]!.startOffset }
  }
}

/** The entries, or what is wrong with the text. */
export function parseLeaderEpochs(text: string): EpochEntry[] | string {
  if (text === '') return 'it is empty'
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  if (lines[0] !== VERSION) return `it begins with ${JSON.stringify(lines[0]?.slice(0, 40) ?? '')}, not with version ${VERSION}`
  if (lines[1] !== String(lines.length - 2))
    return `it counts ${JSON.stringify(lines[1]?.slice(0, 40) ?? '')} entries and has ${lines.length - 2}`
  const entries: EpochEntry[] = []
  for (const line of lines.slice(2)) {
    const match = /^(\d{1,10}) (\d{1,16})$/.exec(line)
    const entry = { epoch: Number(match?.[1]), startOffset: Number(match?.[2]) }
    if (match === null || entry.epoch > 0x7fffffff || !Number.isSafeInteger(entry.startOffset)) {
      return `it has the line ${JSON.stringify(line.slice(0, 80))}`
    }
    const last = entries.at(-1)
    if (last !== undefined && (entry.epoch <= last.epoch || entry.startOffset < last.startOffset)) return `epoch ${entry.epoch} goes back`
    entries.push(entry)
  }
  return entries
}
