import { dirname } from 'node:path'
import { failLog, type LogState, newRollJitter } from './log-state.ts'
import { syncPartitionMetadata } from './partition-metadata.ts'
import { Segment } from './segment.ts'

/** Ends segments and forces them to disk. The owner calls one thing at a time; only closed segments are flushed beside what goes on. */
export class LogRoller {
  readonly #state: LogState
  #flushing: Promise<void> = Promise.resolve()
  /** Base offsets of closed segments whose indexes may not be on disk yet, though their records may be. */
  readonly #closing: number[] = []
  #isStopped = false
  /** Resolves when the names of all segments, and of the folder itself, outlive a power cut; undefined when nobody sees to it. */
  #namesSynced: Promise<void> | undefined

  constructor(state: LogState) {
    this.#state = state
  }

  /** What the checkpoint of recovery points says: behind it, the next start after a crash checks records and indexes. */
  get recoveryStart(): number {
    const { recoveryPoint, logEndOffset, segments } = this.#state
    const { active } = segments
    // The indexes of the active segment reach the disk when it has been closed, which may happen right here: one record less has it checked.
    const isInActive = active.hasUnsyncedIndexes && recoveryPoint === logEndOffset && recoveryPoint > active.baseOffset
    return Math.min(isInActive ? recoveryPoint - 1 : recoveryPoint, ...this.#closing.slice(0, 1))
  }

  /** Ends the active segment and begins the next one at `baseOffset`, the log's end. */
  async roll(baseOffset: number): Promise<void> {
    const state = this.#state
    const { segments, config, context, clock } = state
    const old = segments.active
    // Were the name of a log's only segment lost, its next ones would look as if all before them had been deleted.
    if (segments.all.length === 1) await this.#syncNames()
    await old.load()
    await old.seal()
    await state.epochs.save()
    await this.writeSnapshot(baseOffset)
    const segment = await Segment.create(context, baseOffset, config['segment.index.bytes'], clock.now())
    if (segment.baseOffset === old.baseOffset) segments.removeFrom(segments.all.length - 1)
    segments.add(segment)
    this.#namesSynced = undefined
    state.activeSinceMs = clock.now()
    state.rollJitterMs = newRollJitter(state.random, config)
    context.indexMemory.touch(old)
    // The closed segment goes to disk while appends go on.
    this.#closing.push(old.baseOffset)
    this.#flushing = this.#flushing.then(() => this.#flushClosed(old.baseOffset, baseOffset))
  }

  /** Forces everything that is written to disk. */
  async flush(): Promise<void> {
    const state = this.#state
    const { segments, snapshots, logEndOffset, clock } = state
    // An error of theirs is told once, to whoever asks first: asking again beside them could be told that all is well.
    await this.#flushing
    if (state.failure !== undefined) throw state.failure
    if (state.recoveryPoint < logEndOffset) {
      for (const segment of segments.all.slice(Math.max(0, segments.indexOf(state.recoveryPoint)))) {
        await segment.flush({ indexes: segment !== segments.active })
      }
      await snapshots.sync(logEndOffset)
      await state.epochs.save()
      await this.#syncNames()
      state.recoveryPoint = logEndOffset
    }
    state.lastFlushMs = clock.now()
  }

  /** Writes down the producers as they are at `offset`, the log's end, unless that has been done. */
  async writeSnapshot(offset: number): Promise<void> {
    const { snapshots, producers, segments } = this.#state
    if (offset === 0 || snapshots.has(offset)) return
    const segmentOffsets = segments.all.map(({ baseOffset }) => baseOffset)
    await snapshots.write(offset, producers.snapshot(), segmentOffsets)
  }

  /** Resolves when the closed segments are on disk. What is cut off and written anew must not count as flushed by them. */
  async settled(): Promise<void> {
    await this.#flushing
  }

  /** Begins no further flush of a closed segment; resolves when the one that is under way is done. */
  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#flushing
  }

  /** Forces the segment at `baseOffset`, and all before it that are not on disk, to disk; it ended at `endOffset`. Its indexes were not yet when its records were. */
  async #flushClosed(baseOffset: number, endOffset: number): Promise<void> {
    const state = this.#state
    const { segments, snapshots } = state
    // After a failed fsync the kernel has forgotten what did not reach the disk: one that succeeds later says nothing.
    const isOver = (): boolean => this.#isStopped || state.failure !== undefined
    try {
      for (const segment of segments.all.slice(Math.max(0, segments.indexOf(Math.min(state.recoveryPoint, baseOffset))))) {
        if (segment.baseOffset >= endOffset || isOver()) break
        if (!segment.isDeleted) await segment.flush({ indexes: true })
      }
      if (isOver()) return
      await snapshots.sync(endOffset)
      await this.#syncNames()
      if (state.failure !== undefined) return
      this.#closing.shift()
      state.recoveryPoint = Math.max(state.recoveryPoint, Math.min(endOffset, state.logEndOffset))
    } catch (error) {
      if (!this.#isStopped) failLog(state, error)
    }
  }

  #syncNames(): Promise<void> {
    this.#namesSynced ??= this.#syncDirectories()
    return this.#namesSynced
  }

  async #syncDirectories(): Promise<void> {
    const { fs, dir } = this.#state.context
    if (!this.#state.isTopicIdSynced) await syncPartitionMetadata(fs, dir)
    this.#state.isTopicIdSynced = true
    await fs.syncDirectory(dir)
    await fs.syncDirectory(dirname(dir))
  }
}
