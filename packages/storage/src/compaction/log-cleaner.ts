import type { Clock, Logger, Random, ThreadOffload, Timer } from '@tidelog/core'
import { type FileSystem, nodeFileSystem } from '../file-system.ts'
import type { Log } from '../log.ts'
import type { Cleanable } from './cleanable.ts'
import type { CleanerSettings } from './cleaner-settings.ts'
import { CleaningError } from './cleaning-error.ts'
import type { KeySeed } from './key-hash.ts'
import type { CleanedLog, CleaningMeans } from './log-cleaning.ts'
import { SegmentCleaner } from './segment-cleaner.ts'
import { ThreadedCleaner } from './threaded-cleaner.ts'

/** A log whose segments are no larger is cleaned on the event loop, in small pieces: a thread would take longer to start. */
const MAX_LOOP_BYTES = 1024 * 1024
/** As much may be decompressed on the event loop before a thread takes over. */
const MAX_LOOP_OUTPUT_BYTES = 4 * 1024 * 1024

export interface LogCleanerOptions {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly fs: FileSystem
  readonly offload: ThreadOffload
  readonly logs: () => Iterable<Log>
  /** From the cleaner-offset-checkpoint of the log's directory. */
  readonly cleanedUpTo: (log: Log) => number | undefined
  /** Durable when it resolves. */
  readonly setCleanedUpTo: (log: Log, offset: number) => Promise<void>
  readonly settings: () => CleanerSettings
}

interface Runner {
  timer: Timer | undefined
  working: Promise<void> | undefined
}

/**
 * Compacts the logs of a broker that ask for it, the dirtiest first: up to log.cleaner.threads at a time, each runner one log after the other, and
 * a pause when nothing is due. Large logs are worked on in threads, which end when there is no more to do.
 */
export class LogCleaner {
  readonly #options: LogCleanerOptions
  readonly #runners = new Set<Runner>()
  /** Logs that somebody has taken up. */
  readonly #taken = new Set<Log>()
  /** Logs that could not be cleaned, until the next start. */
  readonly #uncleanable = new WeakSet<Log>()
  #choosing: Promise<unknown> = Promise.resolve()
  #isClosed = false

  constructor(options: LogCleanerOptions) {
    this.#options = options
  }

  /** Begins to work, the first time after a pause; and takes over a changed number of threads. */
  start(): void {
    while (!this.#isClosed && this.#runners.size < this.#options.settings().threads) {
      const runner: Runner = { timer: undefined, working: undefined }
      this.#runners.add(runner)
      this.#rest(runner)
    }
  }

  /** Cleans every log that is due, the dirtiest first. Returns how many times one was cleaned. */
  async cleanDue(): Promise<number> {
    const threaded = new ThreadedCleaner(this.#options.offload)
    const failed = new Set<Log>()
    let cleaned = 0
    try {
      while (!this.#isClosed) {
        const next = await this.#takeDirtiest(failed)
        if (next === undefined) break
        const isClean = !this.#isClosed && (await this.#clean(next, threaded))
        this.#taken.delete(next.log)
        if (isClean) cleaned++
        else failed.add(next.log)
      }
    } finally {
      await threaded.end()
    }
    return cleaned
  }

  /** Ends what is under way; nothing begins any more. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const { timer } of this.#runners) timer?.cancel()
    for (const log of [...this.#taken]) await log.cleaning.stop()
    await Promise.all([...this.#runners].map(({ working }) => working))
    this.#runners.clear()
  }

  #rest(runner: Runner): void {
    const { clock, settings } = this.#options
    runner.timer = clock.setTimer(settings().backoffMs, () => {
      runner.timer = undefined
      runner.working = this.#work(runner)
    })
  }

  async #work(runner: Runner): Promise<void> {
    try {
      await this.cleanDue()
    } catch (error) {
      this.#options.logger.error('The log cleaner failed; it goes on after its pause', { error })
    }
    runner.working = undefined
    if (this.#isClosed) return
    if (this.#runners.size > this.#options.settings().threads) this.#runners.delete(runner)
    else this.#rest(runner)
  }

  /** One chooses at a time, so that no two take the same log. */
  #takeDirtiest(failed: ReadonlySet<Log>): Promise<{ log: Log; cleanable: Cleanable } | undefined> {
    const chosen = this.#choosing.then(async () => {
      let best: { log: Log; cleanable: Cleanable } | undefined
      for (const log of [...this.#options.logs()]) {
        if (!log.config['cleanup.policy'].includes('compact') || this.#taken.has(log) || failed.has(log)) continue
        if (this.#uncleanable.has(log) || log.isClosed || log.isFailed) continue
        const cleanable = await this.#cleanableOf(log)
        if (cleanable === undefined || cleanable.dirtyRatio === 0) continue
        if (!cleanable.isOverdue && cleanable.dirtyRatio <= log.config['min.cleanable.dirty.ratio']) continue
        if (best === undefined || cleanable.dirtyRatio > best.cleanable.dirtyRatio) best = { log, cleanable }
      }
      if (best !== undefined) this.#taken.add(best.log)
      return best
    })
    this.#choosing = chosen.catch(() => {})
    return chosen
  }

  async #cleanableOf(log: Log): Promise<Cleanable | undefined> {
    const { cleanedUpTo, setCleanedUpTo } = this.#options
    try {
      const cleanable = await log.cleaning.cleanable(cleanedUpTo(log))
      if (cleanable.isCheckpointWrong) await setCleanedUpTo(log, cleanable.firstDirtyOffset)
      return cleanable
    } catch (error) {
      if (!log.isClosed && !log.isFailed) this.#setAside(log, error)
      return undefined
    }
  }

  /** Returns whether the log is clean now. */
  async #clean({ log, cleanable }: { log: Log; cleanable: Cleanable }, threaded: ThreadedCleaner): Promise<boolean> {
    const { clock, logger } = this.#options
    const startMs = clock.monotonic()
    try {
      const cleaned = await this.#cleanSomewhere(log, cleanable, threaded)
      const { firstDirtyOffset } = cleanable
      if (cleaned.endOffset <= firstDirtyOffset) throw new Error('log.cleaner.dedupe.buffer.size does not hold a single key')
      await this.#options.setCleanedUpTo(log, cleaned.endOffset)
      const ms = Math.round(clock.monotonic() - startMs)
      logger.info('Compacted a log', { partition: log.name, from: firstDirtyOffset, ...cleaned, ms })
    } catch (error) {
      this.#report(log, error)
      return false
    }
    // What waited for the cleaning to end.
    await log.applyRetention().catch(() => {}) // the log has reported it
    return true
  }

  async #cleanSomewhere(log: Log, cleanable: Cleanable, threaded: ThreadedCleaner): Promise<CleanedLog> {
    const { clock, fs, random, settings } = this.#options
    // A thread sees the real disk only.
    const mayLeave = fs === nodeFileSystem
    const means = { settings: settings(), seed: seedFrom(random) }
    const aside: CleaningMeans = {
      ...means,
      begin(signal) {
        signal.addEventListener('abort', () => void threaded.end())
        return threaded
      },
      maxOutputBytes: Number.POSITIVE_INFINITY,
    }
    const onLoop: CleaningMeans = {
      ...means,
      begin: (signal) => new SegmentCleaner(fs, clock, signal),
      maxOutputBytes: mayLeave ? MAX_LOOP_OUTPUT_BYTES : Number.POSITIVE_INFINITY,
    }
    if (mayLeave && log.sizeBytes > MAX_LOOP_BYTES) return log.cleaning.clean(cleanable, aside)
    try {
      return await log.cleaning.clean(cleanable, onLoop)
    } catch (error) {
      if (error instanceof CleaningError && error.failure === 'too-large' && !this.#isClosed) return log.cleaning.clean(cleanable, aside)
      throw error
    }
  }

  #report(log: Log, error: unknown): void {
    const { logger } = this.#options
    if (log.isClosed || log.isFailed) return // the log has reported it
    const failure = error instanceof CleaningError ? error.failure : undefined
    if (failure === 'gone') logger.info('The compaction of a log was ended', { partition: log.name })
    else if (failure === 'no-space')
      logger.warn('The disk is too full to compact a log; it is left as it is', { partition: log.name, error })
    else this.#setAside(log, error)
  }

  #setAside(log: Log, error: unknown): void {
    this.#uncleanable.add(log)
    this.#options.logger.error('A log cannot be compacted; it is left as it is until the next start', { partition: log.name, error })
  }
}

function seedFrom(random: Random): KeySeed {
  const bytes = Buffer.from(random.bytes(16))
  return [bytes.readInt32LE(0), bytes.readInt32LE(4), bytes.readInt32LE(8), bytes.readInt32LE(12)]
}
