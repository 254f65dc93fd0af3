import { join } from 'node:path'
import { BufferPool, type Clock, type Logger, libuvOffload, type Random, type ThreadOffload, type Timer, ZERO_UUID } from '@tidelog/core'
import { KafkaError } from '@tidelog/protocol'
import type { CleanerSettings } from './compaction/cleaner-settings.ts'
import { LogCleaner } from './compaction/log-cleaner.ts'
import { deleteFolder, partitionFolder, type TopicPartition } from './file-names.ts'
import { FilePool } from './file-pool.ts'
import { type FileSystem, nodeFileSystem } from './file-system.ts'
import { inParallel } from './in-parallel.ts'
import { IndexMemory } from './index-memory.ts'
import { Log } from './log.ts'
import type { LogConfig } from './log-config.ts'
import { LogDirectory } from './log-directory.ts'
import { defaultLogManagerSettings, type LogManagerSettings } from './log-manager-settings.ts'
import type { LogOptions, LogResources } from './log-options.ts'
import { LogDirRefusedError } from './meta-properties.ts'
import { PartitionMetadataDamagedError, readPartitionMetadata, removePartitionMetadata } from './partition-metadata.ts'
import { TailCache } from './tail-cache.ts'

/** Partitions of a directory that are opened at a time, for each recovery thread that Kafka would have: they mostly wait for the disk. */
const OPENS_PER_RECOVERY_THREAD = 4
/** New logs whose files are made at a time: a disk thread or two are left to producers and consumers. */
const MAKERS = 2
const DELETES_AT_A_TIME = 8

export interface LogManagerOptions extends LogResources {
  readonly offload?: ThreadOffload
  /** log.dirs, locked by LogDirs. */
  readonly dirs: readonly string[]
  /** A topic's effective configuration. */
  readonly configOf: (topic: string) => LogConfig
  /** Whether a partition is the cluster's. Retention and compaction leave one alone that is not. All are when absent. */
  readonly isKnown?: (topic: string, partition: number) => boolean
  readonly settings?: Partial<LogManagerSettings>
  /** How logs are compacted, asked for whenever something begins; without it none is. */
  readonly cleaner?: (() => CleanerSettings) | undefined
  /** Folders that end in -delete are removed after file.delete.delay.ms. false leaves them alone, as a directory that is being adopted wants it. */
  readonly finishDeletions?: boolean
  /** The disk under `dir` failed: its logs refuse appends from now on. `isLast`: no directory is left. */
  readonly onDirFailure?: (dir: string, error: unknown, isLast: boolean) => void
}

/** All logs of one broker: opens what the log dirs hold, makes and deletes logs, keeps their checkpoints and retention going. */
export class LogManager {
  readonly #options: LogManagerOptions
  readonly #fs: FileSystem
  readonly #clock: Clock
  readonly #random: Random
  readonly #logger: Logger
  readonly #settings: LogManagerSettings
  readonly #resources: LogResources
  readonly #directories: LogDirectory[]
  readonly #logs = new Map<string, Log>()
  readonly #timers = new Set<Timer>()
  readonly #removals = new Map<string, Timer>()
  /** Work of timers that is under way. */
  readonly #running = new Set<Promise<void>>()
  /** New logs that have no files yet, or did not when they were queued. */
  readonly #unmade: Log[] = []
  #makers = 0
  readonly #cleaner: LogCleaner | undefined
  #isClosed = false

  /** Opens every partition that the directories hold. @throws LogDirRefusedError when one of them cannot be told what it is. */
  static async open(options: LogManagerOptions): Promise<LogManager> {
    const manager = new LogManager(options)
    try {
      await manager.#openAll()
    } catch (error) {
      await manager.#abandon()
      throw error
    }
    manager.#startTimers()
    return manager
  }

  /** Use `open`. */
  constructor(options: LogManagerOptions) {
    const { fs = nodeFileSystem, clock, random, logger } = options
    this.#options = options
    this.#fs = fs
    this.#clock = clock
    this.#random = random
    this.#logger = logger
    this.#settings = { ...defaultLogManagerSettings, ...options.settings }
    this.#resources = {
      clock,
      random,
      logger,
      fs,
      offload: options.offload ?? libuvOffload(),
      pool: options.pool ?? new FilePool(fs),
      indexMemory: options.indexMemory ?? new IndexMemory(),
      tailCache: options.tailCache ?? new TailCache(),
      readMemory: options.readMemory ?? new BufferPool(),
    }
    this.#directories = options.dirs.map((path) => new LogDirectory(fs, path, logger))
    this.#cleaner = options.cleaner && this.#newCleaner(options.cleaner)
  }

  get dirs(): readonly string[] {
    return this.#directories.map(({ path }) => path)
  }

  get offlineDirs(): readonly string[] {
    return this.#directories.filter(({ isOffline }) => isOffline).map(({ path }) => path)
  }

  /** Folders that hold no partition and are left alone, by directory. */
  get leftAlone(): readonly { readonly dir: string; readonly folder: string }[] {
    return this.#directories.flatMap(({ path, strange, deleted }) => [...strange, ...deleted].map((folder) => ({ dir: path, folder })))
  }

  /** Partitions that are here and could not be opened. */
  get broken(): readonly TopicPartition[] {
    return this.#directories.flatMap(({ broken }) => [...broken.values()].map(({ place }) => place))
  }

  logs(): IterableIterator<Log> {
    return this.#logs.values()
  }

  getLog(topic: string, partition: number): Log | undefined {
    return this.#logs.get(partitionFolder(topic, partition))
  }

  /**
   * The log of a new partition, in the directory that has fewest; the one that is there if there is one. It can be used at once: its files are made
   * when the disk comes to them, or ahead of its first record.
   * @throws KafkaError KAFKA_STORAGE_ERROR when it is there and could not be opened, or no directory is left.
   */
  async createLog(topic: string, partition: number, topicId: string): Promise<Log> {
    const name = partitionFolder(topic, partition)
    const known = this.#logs.get(name)
    if (known !== undefined) return known
    if (this.#isClosed) throw new KafkaError('KAFKA_STORAGE_ERROR', `${name} cannot be made: the log manager is closed`)
    const failed = this.#directories.find(({ broken }) => broken.has(name))
    if (failed !== undefined)
      throw new KafkaError('KAFKA_STORAGE_ERROR', `${name} in ${failed.path} could not be opened`, {
        cause: failed.broken.get(name)!.error,
      })
    const directory = this.#leastUsed()
    if (directory.remembers(name)) {
      try {
        await directory.forget(name)
      } catch (error) {
        this.#onStorageError(directory, error)
        throw new KafkaError('KAFKA_STORAGE_ERROR', `${name} cannot be made in ${directory.path}`, { cause: error })
      }
      const made = this.#logs.get(name)
      if (made !== undefined) return made
    }
    const log = Log.create(this.#logOptions(directory, { topic, partition }, topicId === ZERO_UUID ? undefined : topicId))
    this.#add(directory, log)
    this.#unmade.push(log)
    if (this.#makers < MAKERS) this.#run(this.#makeLogs())
    return log
  }

  /**
   * Takes logs out of service at once, their folders renamed, which a power cut does not take back once it resolves; the files go after
   * file.delete.delay.ms.
   * @returns Those that could not be deleted, and why: KafkaError KAFKA_STORAGE_ERROR.
   */
  async deleteLogs(places: readonly TopicPartition[]): Promise<ReadonlyMap<string, KafkaError>> {
    const failed = new Map<string, KafkaError>()
    const renamed = new Map<LogDirectory, string[]>()
    const fail = (directory: LogDirectory, names: readonly string[], error: unknown): void => {
      this.#onStorageError(directory, error)
      for (const name of names)
        failed.set(name, new KafkaError('KAFKA_STORAGE_ERROR', `${name} cannot be deleted in ${directory.path}`, { cause: error }))
    }
    await inParallel(places, DELETES_AT_A_TIME, async ({ topic, partition }) => {
      const name = partitionFolder(topic, partition)
      const log = this.#logs.get(name)
      if (log === undefined) return
      this.#logs.delete(name)
      const directory = this.#directories.find(({ path }) => path === log.logDir)!
      directory.logs.delete(name)
      const folder = deleteFolder(topic, partition, this.#random)
      try {
        await log.moveTo(join(directory.path, folder))
      } catch (error) {
        fail(directory, [name], error)
        return
      }
      const names = renamed.get(directory)
      if (names === undefined) renamed.set(directory, [name])
      else names.push(name)
      this.#logger.info('Deleted a log', { partition: name, folder })
      this.#removeLater(join(directory.path, folder), log.config['file.delete.delay.ms'])
    })
    for (const [directory, names] of renamed) {
      await this.#fs.syncDirectory(directory.path).catch((error: unknown) => fail(directory, names, error))
    }
    return failed
  }

  /** Takes over the configuration of a topic, or of all, after it changed. */
  updateConfig(topic?: string): void {
    const configs = new Map<string, LogConfig>()
    for (const log of this.#logs.values()) {
      if (topic !== undefined && log.topic !== topic) continue
      const config = configs.get(log.topic) ?? this.#options.configOf(log.topic)
      configs.set(log.topic, config)
      log.updateConfig(config)
    }
    this.#cleaner?.start()
  }

  /** Deletes what retention no longer keeps, in every log. */
  async applyRetention(): Promise<void> {
    const { isKnown = () => true } = this.#options
    for (const log of [...this.#logs.values()]) {
      if (isKnown(log.topic, log.partition)) await this.#tolerating(log, () => log.applyRetention())
    }
  }

  /** Compacts every log that is due. Returns how many times one was compacted. */
  async cleanLogs(): Promise<number> {
    return (await this.#cleaner?.cleanDue()) ?? 0
  }

  checkpointRecoveryPoints(): Promise<void> {
    return this.#inDirectories((directory) => directory.checkpointRecoveryPoints())
  }

  checkpointLogStarts(): Promise<void> {
    return this.#inDirectories((directory) => directory.checkpointLogStarts())
  }

  checkpointHighWatermarks(): Promise<void> {
    return this.#inDirectories((directory) => directory.checkpointHighWatermarks())
  }

  /**
   * Closes every log and leaves the mark of a clean stop in each directory whose logs all closed in order.
   * @param brokerEpoch Goes into the mark; -1 when there is none.
   */
  async close(brokerEpoch = -1): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#stopTimers()
    await this.#cleaner?.close()
    await Promise.all(this.#running)
    for (const directory of this.#directories) {
      let isClean = !directory.isOffline && directory.broken.size === 0
      await inParallel([...directory.logs.values()], this.#opensAtATime, async (log) => {
        try {
          await log.close()
        } catch (error) {
          isClean = false
          this.#logger.error('A log could not be closed in order; it is checked at the next start', { partition: log.name, error })
        }
      })
      try {
        await directory.checkpointRecoveryPoints()
        await directory.checkpointLogStarts()
        await directory.checkpointHighWatermarks()
        if (isClean) await directory.markClean(brokerEpoch)
      } catch (error) {
        this.#logger.error('A directory could not be closed in order; it is checked at the next start', { path: directory.path, error })
      }
    }
    for (const path of this.#removals.keys()) await this.#fs.removeTree(path).catch(() => {}) // the next start goes on with it
  }

  /** Closes without writing anything, as a crash would. */
  async abandon(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#stopTimers()
    await this.#cleaner?.close()
    await Promise.all(this.#running)
    await this.#abandon()
  }

  get #opensAtATime(): number {
    return Math.max(1, this.#settings.recoveryThreadsPerDir) * OPENS_PER_RECOVERY_THREAD
  }

  async #openAll(): Promise<void> {
    const places = new Map<string, LogDirectory>()
    for (const directory of this.#directories) {
      const partitions = await directory.scan()
      for (const { topic, partition } of partitions) {
        const name = partitionFolder(topic, partition)
        const other = places.get(name)
        if (other !== undefined) throw new LogDirRefusedError(`${name} is in both ${other.path} and ${directory.path}`)
        places.set(name, directory)
      }
      await inParallel(partitions, this.#opensAtATime, (place) => this.#openFound(directory, place))
      if (this.#options.finishDeletions === true) {
        for (const folder of directory.deleted) this.#removeLater(join(directory.path, folder), 0)
      }
    }
  }

  async #openFound(directory: LogDirectory, place: TopicPartition): Promise<void> {
    const name = partitionFolder(place.topic, place.partition)
    let topicId: string | undefined
    try {
      topicId = await readPartitionMetadata(this.#fs, join(directory.path, name))
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      // Nothing of the log was ever forced to disk, this file neither: a stop or a power cut may have left anything of it. The cluster's metadata knows.
      const isExpected = error instanceof PartitionMetadataDamagedError && !directory.recoveryPointOf(name)
      if (!isExpected) throw new LogDirRefusedError(message)
      this.#logger.warn('Removing a partition.metadata that was not forced to disk when the broker stopped', {
        partition: name,
        reason: message,
      })
      await removePartitionMetadata(this.#fs, join(directory.path, name))
    }
    try {
      const log = await this.#openLog(directory, place, topicId)
      log.updateHighWatermark(directory.highWatermarkOf(name))
    } catch (error) {
      this.#logger.error('A log could not be opened; its files are left as they are', { path: join(directory.path, name), error })
      directory.broken.set(name, { place, error })
    }
  }

  async #openLog(directory: LogDirectory, place: TopicPartition, topicId: string | undefined): Promise<Log> {
    const log = await Log.open(this.#logOptions(directory, place, topicId))
    this.#add(directory, log)
    return log
  }

  #logOptions(directory: LogDirectory, { topic, partition }: TopicPartition, topicId: string | undefined): LogOptions {
    const name = partitionFolder(topic, partition)
    return {
      ...this.#resources,
      dir: join(directory.path, name),
      topic,
      partition,
      topicId,
      config: this.#options.configOf(topic),
      recoveryPoint: directory.recoveryPointOf(name),
      logStartOffset: directory.logStartOf(name),
      cleanShutdown: directory.cleanShutdown,
      producerIdExpirationMs: this.#settings.producerIdExpirationMs,
      onStorageError: (error) => this.#onStorageError(directory, error),
      onLogStartChanged: () => directory.checkpointLogStarts(),
      onRecoveryPointLowered: () => directory.checkpointRecoveryPoints(),
      onTruncating: async (offset) => {
        if ((directory.cleanedUpTo(name) ?? 0) > offset) await directory.setCleanedUpTo(name, offset)
      },
    }
  }

  #add(directory: LogDirectory, log: Log): void {
    directory.logs.set(log.name, log)
    this.#logs.set(log.name, log)
  }

  /** Makes the files of new logs, one after the other. A producer that is faster makes those of its log itself. */
  async #makeLogs(): Promise<void> {
    this.#makers++
    for (let log = this.#unmade.shift(); log !== undefined && !this.#isClosed; log = this.#unmade.shift()) {
      const making = log
      await this.#tolerating(making, () => making.make())
    }
    this.#makers--
  }

  /** Waits for `work` before closing. */
  #run(work: Promise<void>): void {
    const running = work.then(() => void this.#running.delete(running))
    this.#running.add(running)
  }

  #newCleaner(settings: () => CleanerSettings): LogCleaner {
    const { fs = nodeFileSystem, offload = libuvOffload(), isKnown = () => true } = this.#options
    const directoryOf = (log: Log): LogDirectory => this.#directories.find(({ path }) => path === log.logDir)!
    return new LogCleaner({
      clock: this.#clock,
      random: this.#random,
      logger: this.#logger,
      fs,
      offload,
      logs: () => [...this.#logs.values()].filter(({ topic, partition }) => isKnown(topic, partition)),
      cleanedUpTo: (log) => directoryOf(log).cleanedUpTo(log.name),
      setCleanedUpTo: async (log, offset) => {
        const directory = directoryOf(log)
        try {
          await directory.setCleanedUpTo(log.name, offset)
        } catch (error) {
          this.#onStorageError(directory, error)
          throw error
        }
      },
      settings,
    })
  }

  /** The directory that has fewest partitions. @throws KafkaError KAFKA_STORAGE_ERROR when all are offline. */
  #leastUsed(): LogDirectory {
    let best: LogDirectory | undefined
    for (const directory of this.#directories) {
      if (directory.isOffline) continue
      if (best === undefined || directory.logs.size < best.logs.size) best = directory
    }
    if (best === undefined) throw new KafkaError('KAFKA_STORAGE_ERROR', 'every log directory is offline')
    return best
  }

  /** A disk that failed once is not trusted again: what it holds now is only known after a restart reads it. */
  #onStorageError(directory: LogDirectory, error: unknown): void {
    if (directory.isOffline || this.#isClosed) return
    directory.isOffline = true
    this.#logger.error('A log directory failed and is offline', { path: directory.path, error })
    for (const log of directory.logs.values()) log.fail(error)
    this.#options.onDirFailure?.(
      directory.path,
      error,
      this.#directories.every(({ isOffline }) => isOffline),
    )
  }

  async #inDirectories(run: (directory: LogDirectory) => Promise<void>): Promise<void> {
    for (const directory of this.#directories) {
      try {
        await run(directory)
      } catch (error) {
        this.#onStorageError(directory, error)
      }
    }
  }

  async #tolerating(log: Log, run: () => Promise<unknown>): Promise<void> {
    if (log.isClosed || log.isFailed) return
    try {
      await run()
    } catch (error) {
      // Closed meanwhile, or the disk failed, which the log has reported.
      if (!log.isClosed && !log.isFailed) this.#logger.error('The upkeep of a log failed', { partition: log.name, error })
    }
  }

  #startTimers(): void {
    this.#cleaner?.start()
    const settings = this.#settings
    const first = settings.initialTaskDelayMs
    this.#every(settings.retentionCheckIntervalMs, first, () => this.applyRetention())
    this.#every(settings.recoveryPointCheckpointIntervalMs, first, () => this.checkpointRecoveryPoints())
    this.#every(settings.logStartCheckpointIntervalMs, first, () => this.checkpointLogStarts())
    this.#every(settings.highWatermarkCheckpointIntervalMs, settings.highWatermarkCheckpointIntervalMs, () =>
      this.checkpointHighWatermarks(),
    )
    this.#every(settings.flushSchedulerIntervalMs, first, async () => {
      for (const log of [...this.#logs.values()]) await this.#tolerating(log, () => log.flushIfDue())
    })
    this.#every(settings.producerIdExpirationCheckIntervalMs, settings.producerIdExpirationCheckIntervalMs, async () => {
      for (const log of this.#logs.values()) log.removeExpiredProducers()
    })
  }

  /** Runs `work` again and again, `intervalMs` after it was done. An interval that is too long for a timer is never. */
  #every(intervalMs: number, delayMs: number, work: () => Promise<void>): void {
    if (intervalMs > Number.MAX_SAFE_INTEGER) return
    const timer = this.#clock.setTimer(delayMs, () => {
      this.#timers.delete(timer)
      const running = work()
        .catch((error: unknown) => this.#logger.error('Upkeep of the logs failed', { error }))
        .then(() => {
          this.#running.delete(running)
          if (!this.#isClosed) this.#every(intervalMs, intervalMs, work)
        })
      this.#running.add(running)
    })
    this.#timers.add(timer)
  }

  #removeLater(path: string, delayMs: number): void {
    const timer = this.#clock.setTimer(delayMs, () => {
      this.#removals.delete(path)
      const running = this.#fs
        .removeTree(path)
        .catch((error: unknown) => this.#logger.warn('A deleted log could not be removed', { path, error }))
        .then(() => void this.#running.delete(running))
      this.#running.add(running)
    })
    this.#removals.set(path, timer)
  }

  #stopTimers(): void {
    for (const timer of [...this.#timers, ...this.#removals.values()]) timer.cancel()
    this.#timers.clear()
  }

  async #abandon(): Promise<void> {
    for (const log of this.#logs.values()) await log.abandon()
  }
}
