import { maxOutputBytes } from '../append-validation.ts'
import { INDEX_SUFFIX, TIME_INDEX_SUFFIX } from '../file-names.ts'
import { failLog, type LogState } from '../log-state.ts'
import { rebuildTransactionIndex } from '../producer-replay.ts'
import type { Segment } from '../segment.ts'
import { abortedBetween } from './aborted-transactions.ts'
import { type Cleanable, cleanableOf } from './cleanable.ts'
import { removeCleaned } from './cleaned-segment.ts'
import type { CleanerSettings } from './cleaner-settings.ts'
import { CleaningError } from './cleaning-error.ts'
import type { KeySeed } from './key-hash.ts'
import { OffsetMap } from './offset-map.ts'
import { areUnchanged, promoteToSwap, replaceSegments } from './replace-segments.ts'
import type { CleanedGroup, Cleaning, SourceSegment } from './segment-cleaner.ts'
import { groupSegments } from './segment-groups.ts'

/** Batches of a topic whose max.message.bytes was larger once must still be read. */
const MIN_BATCH_OUTPUT_BYTES = 256 * 1024 * 1024
const MIN_CHUNK_BYTES = 4096

/** How a log is cleaned. */
export interface CleaningMeans {
  /** Who does the work; it ends with a CleaningError `gone` once the signal is given. */
  readonly begin: (signal: AbortSignal) => Cleaning
  readonly settings: CleanerSettings
  readonly seed: KeySeed
  /** What all batches may take decompressed. */
  readonly maxOutputBytes: number
}

interface Means extends CleaningMeans {
  readonly cleaning: Cleaning
  readonly signal: AbortSignal
}

export interface CleanedLog {
  /** Where the next cleaning begins. */
  readonly endOffset: number
  readonly keys: number
  readonly bytesBefore: number
  readonly bytesAfter: number
  readonly recordsRead: number
  readonly recordsKept: number
}

/** What a log lends to its cleaning. */
export interface CleaningLog {
  readonly lastStableOffset: () => number
  /** Runs one change at a time on the log. */
  readonly change: (run: () => Promise<void>) => Promise<void>
  /** Takes a segment's files out of service. */
  readonly remove: (segment: Segment) => Promise<void>
}

/** The compaction of one log: one at a time, beside appends and reads; whatever else changes the log's segments ends it. */
export class LogCleaning {
  readonly #state: LogState
  readonly #log: CleaningLog
  #current: { readonly ending: AbortController; readonly done: Promise<unknown> } | undefined
  #isStopped = false
  #isPaused = false

  constructor(state: LogState, log: CleaningLog) {
    this.#state = state
    this.#log = log
  }

  /** Segments are being read and will be replaced: nobody else should remove them, if it can wait. */
  get isActive(): boolean {
    return this.#current !== undefined
  }

  /** What there is to clean; see `cleanableOf`. */
  cleanable(checkpoint: number | undefined): Promise<Cleanable> {
    return cleanableOf(this.#state, { checkpoint, lastStableOffset: this.#log.lastStableOffset() })
  }

  /** Cleans the log up to where `cleanable` said that it may be. @throws CleaningError; a failure to write takes the log's directory offline. */
  async clean(cleanable: Cleanable, means: CleaningMeans): Promise<CleanedLog> {
    if (this.#isStopped || this.#isPaused || this.#current !== undefined)
      throw new CleaningError('gone', `${this.#state.name} is not cleaned any more`)
    const ending = new AbortController()
    const done = this.#clean(cleanable, { ...means, cleaning: means.begin(ending.signal), signal: ending.signal })
    this.#current = { ending, done }
    try {
      return await done
    } catch (error) {
      if (error instanceof CleaningError && error.failure === 'write') failLog(this.#state, error.cause ?? error)
      throw error
    } finally {
      this.#current = undefined
    }
  }

  /** Ends a cleaning that is under way; resolves when it touches nothing any more. @param options `forEver`: no other may begin. */
  async stop({ forEver = false } = {}): Promise<void> {
    if (forEver) this.#isStopped = true
    const current = this.#current
    if (current === undefined) return
    current.ending.abort()
    await current.done.catch(() => {}) // whoever began it is told
  }

  /** As `stop`, and none begins until `resume`. */
  pause(): Promise<void> {
    this.#isPaused = true
    return this.stop()
  }

  resume(): void {
    this.#isPaused = false
  }

  async #clean(cleanable: Cleanable, means: Means): Promise<CleanedLog> {
    try {
      return await this.#cleanOnce(cleanable, means)
    } catch (error) {
      if (!(error instanceof CleaningError && error.failure === 'unindexed-abort')) throw error
      await this.#rebuildTransactionIndexes(error)
      this.#goOn(means.signal)
      return this.#cleanOnce(cleanable, means)
    }
  }

  /** The batches know which transactions were aborted. */
  async #rebuildTransactionIndexes({ message: reason }: CleaningError): Promise<void> {
    const { segments, logger, name } = this.#state
    logger.warn('Rebuilding the transaction indexes of a log', { partition: name, reason })
    await this.#log.change(async () => {
      for (const segment of segments.all.slice(0, -1)) {
        segment.transactionIndex.doubt()
        await rebuildTransactionIndex(this.#state, segment)
      }
    })
  }

  async #cleanOnce({ firstDirtyOffset, firstUncleanableOffset }: Cleanable, means: Means): Promise<CleanedLog> {
    const { segments } = this.#state
    const built = await this.#buildMap(firstDirtyOffset, firstUncleanableOffset, means)
    const endOffset = built.latestOffset + 1
    const sources = segments.all.slice(0, -1).filter(({ baseOffset }) => baseOffset < endOffset)
    const totals = { bytesBefore: 0, bytesAfter: 0, recordsRead: 0, recordsKept: 0 }
    const cleanedBefore = sources.filter(({ baseOffset }) => baseOffset < firstDirtyOffset).at(-1)?.modifiedMs ?? 0
    const { config } = this.#state
    const limits = { maxBytes: config['segment.bytes'], maxIndexBytes: config['segment.index.bytes'], endOffset: firstUncleanableOffset }
    for (const group of groupSegments(await this.#measured(sources), limits)) {
      const cleaned = await this.#cleanGroup(
        group.map(({ segment }) => segment),
        { ...means, firstUncleanableOffset, oldTombstonesUpTo: cleanedBefore - config['delete.retention.ms'] },
      )
      totals.bytesBefore += cleaned.bytesRead
      totals.bytesAfter += cleaned.sizeBytes
      totals.recordsRead += cleaned.recordsRead
      totals.recordsKept += cleaned.recordsKept
    }
    return { endOffset, keys: built.keys, ...totals }
  }

  async #buildMap(startOffset: number, endOffset: number, { cleaning, settings, seed, maxOutputBytes: outputBytes }: Means) {
    const { segments, config } = this.#state
    const all = segments.all
    const dirty = all.slice(Math.max(0, segments.indexOf(startOffset)), -1).filter(({ baseOffset }) => baseOffset < endOffset)
    const sources = []
    for (const [index, segment] of dirty.entries()) {
      const end = dirty[index + 1]?.baseOffset ?? endOffset
      const from = segment.baseOffset < startOffset ? ((await segment.findBatch(startOffset))?.position ?? segment.sizeBytes) : 0
      sources.push({ ...this.#sourceOf(segment, Math.max(segment.baseOffset, startOffset), end), from, endOffset: end })
    }
    const slotsInMemory = OffsetMap.slotsIn(Math.min(settings.dedupeBufferBytes / Math.max(1, settings.threads), 0x7fffffff))
    // No more keys than offsets: a small log needs a small map.
    const slots = Math.max(1, Math.min(slotsInMemory, Math.ceil((endOffset - startOffset) / Math.min(settings.loadFactor, 1)) + 1))
    return cleaning.buildMap({
      segments: sources,
      startOffset,
      slots,
      maxKeys: Math.min(slots, Math.floor(slots * settings.loadFactor)),
      seed,
      maxBatchOutputBytes: Math.max(maxOutputBytes(config), MIN_BATCH_OUTPUT_BYTES),
      maxOutputBytes: outputBytes,
      ...paceOf(settings),
    })
  }

  async #cleanGroup(
    group: readonly Segment[],
    {
      cleaning,
      signal,
      settings,
      firstUncleanableOffset,
      oldTombstonesUpTo,
    }: Means & { firstUncleanableOffset: number; oldTombstonesUpTo: number },
  ): Promise<CleanedGroup> {
    this.#goOn(signal)
    const state = this.#state
    const { segments, config, context, producers, clock } = state
    const { fs, dir } = context
    const { baseOffset } = group[0]!
    const modifiedMs = group.at(-1)!.modifiedMs
    const old = group.map((segment) => ({ segment, sizeBytes: segment.sizeBytes }))
    const nextOffset = segments.all[segments.all.indexOf(group.at(-1)!) + 1]?.baseOffset ?? firstUncleanableOffset
    const sources = group.map((segment, index) => ({
      ...this.#sourceOf(segment, segment.baseOffset, group[index + 1]?.baseOffset ?? nextOffset),
      keepsOldTombstones: segment.modifiedMs > oldTombstonesUpTo,
    }))
    let isTakenOver = false
    try {
      const cleaned = await cleaning.cleanGroup({
        dir,
        baseOffset,
        segments: sources,
        producers: producers.snapshot().map(({ producerId, lastOffset, producerEpoch }) => [producerId, lastOffset, producerEpoch]),
        nowMs: clock.now(),
        deleteRetentionMs: config['delete.retention.ms'],
        endOffset: firstUncleanableOffset,
        indexIntervalBytes: config['index.interval.bytes'],
        modifiedMs,
        ...paceOf(settings),
      })
      if (group.length === 1 && cleaned.isUnchanged) return cleaned
      this.#goOn(signal)
      if (!areUnchanged(state, old)) throw new CleaningError('gone', `${state.name}: segments were changed while they were cleaned`)
      isTakenOver = true
      const segment = { baseOffset, modifiedMs, ...cleaned }
      await onDisk(dir, () => promoteToSwap(state, segment))
      // Beside nothing but reads; what waits for this change is held up by one sync.
      await this.#log.change(() => replaceSegments(state, group, segment, this.#log.remove))
      await onDisk(dir, () => fs.syncDirectory(dir))
      return cleaned
    } finally {
      // What is on its way into the log is finished by the next start, if not here.
      if (!isTakenOver) await removeCleaned(fs, dir, baseOffset).catch(() => {})
    }
  }

  #goOn(signal: AbortSignal): void {
    if (signal.aborted) throw new CleaningError('gone', `the cleaning of ${this.#state.name} was ended`)
  }

  #sourceOf(segment: Segment, startOffset: number, endOffset: number): SourceSegment {
    const { segments } = this.#state
    const behind = segments.all.slice(segments.all.indexOf(segment))
    return { path: segment.file.path, sizeBytes: segment.sizeBytes, aborted: abortedBetween(behind, startOffset, endOffset) }
  }

  async #measured(sources: readonly Segment[]) {
    const { fs } = this.#state.context
    const sizeOf = async (path: string): Promise<number> => (await fs.stat(path))?.sizeBytes ?? 0
    const measured = []
    for (const segment of sources) {
      measured.push({
        segment,
        baseOffset: segment.baseOffset,
        sizeBytes: segment.sizeBytes,
        offsetIndexBytes: await sizeOf(segment.pathOf(INDEX_SUFFIX)),
        timeIndexBytes: await sizeOf(segment.pathOf(TIME_INDEX_SUFFIX)),
      })
    }
    return measured
  }
}

/** Changes names. A failure in the middle of it is the disk's, whatever it is called. */
async function onDisk(dir: string, change: () => Promise<void>): Promise<void> {
  try {
    await change()
  } catch (error) {
    throw new CleaningError('write', `${dir}: ${error instanceof Error ? error.message : error}`, { cause: error })
  }
}

/** Each of the logs that are cleaned at a time gets its share of memory and rate. Half of the memory is read into, half is written from. */
function paceOf({ threads, ioBufferBytes, maxBytesPerSecond }: CleanerSettings): { chunkBytes: number; bytesPerSecond: number } {
  const atATime = Math.max(1, threads)
  return {
    chunkBytes: Math.max(MIN_CHUNK_BYTES, Math.floor(ioBufferBytes / atATime / 2)),
    bytesPerSecond: maxBytesPerSecond / atATime,
  }
}
