import { join } from 'node:path'
import { BufferPool, type Logger, libuvOffload, type Random, ZERO_UUID } from '@tidelog/core'
import { KafkaError } from '@tidelog/protocol'
import { BackgroundTasks } from './background-tasks.ts'
import type { CleanerSettings } from './compaction/cleaner-settings.ts'
import { LogCleaner } from './compaction/log-cleaner.ts'
import { futureFolder, partitionFolder, type TopicPartition } from './file-names.ts'
import { FilePool } from './file-pool.ts'
import { type FileSystem, nodeFileSystem } from './file-system.ts'
import { IndexMemory } from './index-memory.ts'
import { Log } from './log.ts'
import type { LogConfig } from './log-config.ts'
import { LogDirectories } from './log-directories.ts'
import type { LogDirectory } from './log-directory.ts'
import { defaultLogManagerSettings, type LogManagerSettings, logsAtATime } from './log-manager-settings.ts'
import { LogMoves } from './log-moves.ts'
import type { LogManagerOptions, LogOptions, LogResources } from './log-options.ts'
import { LogRemovals } from './log-removals.ts'
import { openLogs } from './log-start.ts'
import { RateLimit } from './rate-limit.ts'
import { RetentionClock } from './retention-clock.ts'
import { startingFileSystem } from './starting-file-system.ts'
import { TailCache } from './tail-cache.ts'

/** New logs whose files are made at a time: a disk thread or two are left to producers and consumers. */
const MAKERS = 2

/** All logs of one broker: opens what the log dirs hold, makes and deletes logs, keeps their checkpoints and retention going. */
export class LogManager {
  readonly #options: LogManagerOptions
  readonly #fs: FileSystem
  /** From then on the disk is not waited for on the event loop. */
  readonly #started: () => void
  readonly #random: Random
  readonly #logger: Logger
  readonly #resources: LogResources
  readonly #directories: LogDirectories
  readonly #moves: LogMoves
  readonly #logs = new Map<string, Log>()
  #recoveryCuts = { logs: 0, bytes: 0 }
  readonly #tasks: BackgroundTasks
  readonly #removals: LogRemovals
  /** New logs that have no files yet, or did not when they were queued. */
  readonly #unmade: Log[] = []
  #makers = 0
  readonly #cleaner: LogCleaner | undefined
  #isOpen = false
  #isClosed = false

  /**
   * Opens every partition that the directories hold; see `openLogs`.
   * @throws LogDirRefusedError when one of them cannot be told what it is, or none is left
   */
  static async open(options: LogManagerOptions): Promise<LogManager> {
    const manager = new LogManager(options)
    try {
      await manager.#openAll()
      manager.#isOpen = true
      manager.#started()
    } catch (error) {
      await manager.#abandon()
      throw error
    }
    manager.#startTimers()
    return manager
  }

  /** Use `open`. */
  constructor(options: LogManagerOptions) {
    const { clock, random, logger } = options
    const { fs, started } = options.fs === undefined ? startingFileSystem(clock) : { fs: options.fs, started: () => {} }
    this.#started = started
    this.#options = options
    this.#fs = fs
    this.#tasks = new BackgroundTasks(clock, logger)
    this.#random = random
    this.#logger = logger
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
      retentionClock: options.retentionClock ?? new RetentionClock(clock, logger),
    }
    this.#directories = new LogDirectories(options.dirs, { ...options, fs, offline: options.offlineDirs })
    this.#removals = new LogRemovals({
      directories: this.#directories,
      logs: this.#logs,
      fs,
      random,
      logger,
      tasks: this.#tasks,
      cancelMove: (name) => this.#moves.cancel(name),
      onStorageError: (directory, error) => this.#onStorageError(directory, error),
    })
    this.#moves = new LogMoves({
      directories: this.#directories,
      fs,
      random,
      logger,
      rate: new RateLimit(clock, options.moveBytesPerSecond ?? (() => Number.POSITIVE_INFINITY)),
      getLog: (name) => this.#logs.get(name),
      openFuture: (...args) => this.#openFuture(...args),
      onStorageError: (directory, error) => this.#onStorageError(directory, error),
      removeLater: (path, delayMs) => this.#removals.removeLater(path, delayMs),
    })
    this.#cleaner = options.cleaner && this.#newCleaner(options.cleaner)
  }

  get dirs(): readonly string[] {
    return this.#directories.paths
  }

  get offlineDirs(): readonly string[] {
    return this.#directories.offlinePaths
  }

  /** Folders that hold no partition and are left alone, by directory. */
  get leftAlone(): readonly { readonly dir: string; readonly folder: string }[] {
    return this.#directories.leftAlone
  }

  /** Partitions that are here and could not be opened. */
  get broken(): readonly TopicPartition[] {
    return this.#directories.all.flatMap(({ broken }) => [...broken.values()].map(({ place }) => place))
  }

  /** What this start has cut off the ends of logs, and of how many. Where no other replica has it, it is lost. */
  get recoveryCuts(): { readonly logs: number; readonly bytes: number } {
    return this.#recoveryCuts
  }

  logs(): IterableIterator<Log> {
    return this.#logs.values()
  }

  getLog(topic: string, partition: number): Log | undefined {
    return this.#logs.get(partitionFolder(topic, partition))
  }

  /** Copies of partitions that move to another directory. */
  futures(): readonly Log[] {
    return this.#moves.futures()
  }

  /**
   * Begins to move a partition to another directory, while it is written to and read. Asking for where it is ends a move. A partition that is not here
   * will be made in that directory. KIP-113.
   * @param options.isOffline The partition is here, in a directory that is offline.
   * @returns Whether the partition is here.
   * @throws KafkaError INVALID_TOPIC_EXCEPTION (too long a name for the copy's folder), and as `LogDirectories.destination`
   */
  async moveLog(topic: string, partition: number, path: string, { isOffline = false } = {}): Promise<boolean> {
    if (futureFolder(topic, partition, this.#random) === undefined) {
      throw new KafkaError('INVALID_TOPIC_EXCEPTION', 'The topic name is too long.')
    }
    const directory = this.#directories.destination(path)
    const name = partitionFolder(topic, partition)
    if (isOffline) throw new KafkaError('KAFKA_STORAGE_ERROR', `Partition ${name} is offline`)
    const log = this.#logs.get(name)
    if (log === undefined) this.#moves.prefer(name, directory)
    else await this.#moves.move(log, directory)
    return log !== undefined
  }

  /**
   * The log of a partition, in the directory that was asked for or that takes new ones; the one that is there if there is one, unless it is of another
   * topic: that is set aside. It can be used at once: its files are made when the disk comes to them, or ahead of its first record.
   * @param options.isNew false: it has been somewhere before, so it may lie in a directory that is offline. @param options.makesFiles Resolves once they
   * are there.
   * @throws KafkaError KAFKA_STORAGE_ERROR when it is there and could not be opened, may lie in an offline directory, or no directory is left.
   */
  async createLog(topic: string, partition: number, topicId: string, { isNew = true, makesFiles = false } = {}): Promise<Log> {
    const name = partitionFolder(topic, partition)
    const known = this.#logs.get(name)
    if (known !== undefined) {
      const isOther = known.topicId !== undefined && topicId !== ZERO_UUID && known.topicId !== topicId
      if (!isOther) return known
      await this.#removals.setAside(this.#directories.holding(name)!, known)
    }
    if (this.#isClosed) throw new KafkaError('KAFKA_STORAGE_ERROR', `${name} cannot be made: the log manager is closed`)
    const failed = this.#directories.all.find(({ broken }) => broken.has(name))
    if (failed !== undefined)
      throw new KafkaError('KAFKA_STORAGE_ERROR', `${name} in ${failed.path} could not be opened`, {
        cause: failed.broken.get(name)!.error,
      })
    const { offlineDirs } = this
    if (!isNew && offlineDirs.length > 0)
      throw new KafkaError('KAFKA_STORAGE_ERROR', `${name} is not made anew while ${offlineDirs.join(', ')} is offline: it may lie there`)
    const preferred = this.#moves.takePreferred(name)
    if (preferred?.isOffline) throw new KafkaError('KAFKA_STORAGE_ERROR', `${name} was to be made in ${preferred.path}, which is offline`)
    for (;;) {
      const directory = preferred ?? this.#directories.leastUsed()
      const log = await this.#newLog(directory, { topic, partition }, topicId)
      if (!makesFiles) return log
      try {
        await log.make()
        return log
      } catch (error) {
        if (preferred !== undefined || !directory.isOffline || (await this.#mayExist(log.dir))) throw error
        // As in Kafka, the next directory gets what could not be begun in this one.
        this.#logs.delete(name)
        directory.logs.delete(name)
        await log.abandon()
      }
    }
  }

  async #newLog(directory: LogDirectory, place: TopicPartition, topicId: string): Promise<Log> {
    const name = partitionFolder(place.topic, place.partition)
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
    const log = Log.create(this.#logOptions(directory, place, topicId === ZERO_UUID ? undefined : topicId))
    this.#add(directory, log)
    this.#unmade.push(log)
    if (this.#makers < MAKERS) this.#tasks.run(this.#makeLogs())
    return log
  }

  async #mayExist(path: string): Promise<boolean> {
    return (await this.#fs.stat(path).catch(() => null)) !== undefined
  }

  /** See LogRemovals. */
  deleteLogs(places: readonly TopicPartition[]): Promise<ReadonlyMap<string, KafkaError>> {
    return this.#removals.deleteLogs(places)
  }

  /** Takes over the configuration of a topic, or of all, after it changed. */
  updateConfig(topic?: string): void {
    const configs = new Map<string, LogConfig>()
    for (const log of [...this.#logs.values(), ...this.futures()]) {
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
    await Promise.all([this.#moves.stop(), this.#cleaner?.close(), this.#tasks.stop()])
    for (const directory of this.#directories.all) await directory.close({ brokerEpoch, logsAtATime: logsAtATime(this.#settings) })
    await this.#removals.finish()
  }

  /** Closes without writing anything, as a crash would. */
  async abandon(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await Promise.all([this.#moves.stop(), this.#cleaner?.close(), this.#tasks.stop()])
    await this.#abandon()
  }

  get #settings(): LogManagerSettings {
    return { ...defaultLogManagerSettings, ...this.#options.settings?.() }
  }

  async #openAll(): Promise<void> {
    const isAdopting = this.#options.finishDeletions !== true
    await openLogs({
      directories: this.#directories,
      moves: this.#moves,
      fs: this.#fs,
      clock: this.#options.clock,
      logger: this.#logger,
      logsAtATime: logsAtATime(this.#settings),
      isAdopting,
      topicIdOf: async (topic) => this.#options.topicIdOf?.(topic),
      setAside: (directory, place) => this.#removals.setAside(directory, place),
      openLog: async (directory, place, topicId) => {
        const log = await Log.open(this.#logOptions(directory, place, topicId))
        this.#add(directory, log)
        if (log.recoveryCutBytes > 0) {
          const { logs, bytes } = this.#recoveryCuts
          this.#recoveryCuts = { logs: logs + 1, bytes: bytes + log.recoveryCutBytes }
        }
        log.updateHighWatermark(directory.highWatermarkOf(log.name))
      },
      drop: (directory) => this.#drop(directory),
    })
    // What waits for its removal may be all that is left of a partition whose copy lies in a directory that is offline.
    if (isAdopting || this.#directories.isAnyOffline) return
    for (const directory of this.#directories.all) {
      for (const { folder } of directory.deleted) this.#removals.removeLater(join(directory.path, folder), 0)
    }
  }

  /** Lets go of the logs in a directory that failed while it was opened. */
  async #drop(directory: LogDirectory): Promise<void> {
    await this.#moves.onDirectoryFailed(directory)
    for (const log of directory.logs.values()) {
      await log.abandon()
      this.#logs.delete(log.name)
    }
    directory.logs.clear()
  }

  #logOptions(directory: LogDirectory, { topic, partition }: TopicPartition, topicId: string | undefined): LogOptions {
    const name = partitionFolder(topic, partition)
    /** The log may have moved. */
    const home = () => this.#directories.holding(name) ?? directory
    return {
      ...this.#resources,
      dir: join(directory.path, name),
      topic,
      partition,
      topicId,
      config: this.#options.configOf(topic),
      recoveryPoint: directory.recoveryPointOf(name),
      logStartOffset: directory.logStartOf(name),
      compactedUpTo: directory.cleanedUpTo(name) ?? 0,
      cleanShutdown: directory.cleanShutdown,
      producerIdExpirationMs: this.#settings.producerIdExpirationMs,
      onStorageError: (error) => this.#onStorageError(home(), error),
      onLogStartChanged: () => home().checkpointLogStarts(),
      onRecoveryPointLowered: () => home().checkpointRecoveryPoints(),
      onTruncating: async (offset) => {
        if ((home().cleanedUpTo(name) ?? 0) > offset) await home().setCleanedUpTo(name, offset)
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

  /** @param logStartOffset Where a new copy begins. */
  #openFuture(directory: LogDirectory, folder: string, current: Log, logStartOffset?: number): Promise<Log> {
    return Log.open({
      ...this.#logOptions(directory, current, current.topicId),
      dir: join(directory.path, folder),
      // What it appends is in the tail of the log itself.
      tailCache: new TailCache(0),
      ...(logStartOffset === undefined ? {} : { logStartOffset }),
      onStorageError: (error) => this.#onStorageError(directory, error),
      onLogStartChanged: () => directory.checkpointLogStarts(),
      onRecoveryPointLowered: () => directory.checkpointRecoveryPoints(),
      onTruncating: async () => {}, // it is not compacted
    })
  }

  #newCleaner(settings: () => CleanerSettings): LogCleaner {
    const { fs = nodeFileSystem, offload = libuvOffload(), isKnown = () => true } = this.#options
    const directoryOf = (log: Log): LogDirectory => this.#directories.at(log.logDir)!
    return new LogCleaner({
      clock: this.#options.clock,
      random: this.#random,
      logger: this.#logger,
      fs,
      offload,
      // What moves is not compacted meanwhile, as in Kafka.
      logs: () => [...this.#logs.values()].filter(({ topic, partition, name }) => isKnown(topic, partition) && !this.#moves.future(name)),
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

  /** A disk that failed once is not trusted again: what it holds now is only known after a restart reads it. */
  #onStorageError(directory: LogDirectory, error: unknown): void {
    if (directory.isOffline || this.#isClosed) return
    directory.goOffline(error)
    if (!this.#isOpen) return // it is left out of the start
    for (const log of [...directory.logs.values(), ...directory.futures.values()]) log.fail(error)
    void this.#moves.onDirectoryFailed(directory)
    this.#options.onDirFailure?.(directory.path, error, this.#directories.areAllOffline)
  }

  async #inDirectories(run: (directory: LogDirectory) => Promise<void>): Promise<void> {
    for (const directory of this.#directories.all) {
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
    const tasks = this.#tasks
    const first = settings.initialTaskDelayMs
    tasks.every(settings.retentionCheckIntervalMs, first, () => this.applyRetention())
    tasks.every(settings.recoveryPointCheckpointIntervalMs, first, () => this.checkpointRecoveryPoints())
    tasks.every(settings.logStartCheckpointIntervalMs, first, () => this.checkpointLogStarts())
    const highWatermarkMs = settings.highWatermarkCheckpointIntervalMs
    tasks.every(highWatermarkMs, highWatermarkMs, () => this.checkpointHighWatermarks())
    tasks.every(settings.flushSchedulerIntervalMs, first, async () => {
      for (const log of [...this.#logs.values()]) await this.#tolerating(log, () => log.flushIfDue())
    })
    tasks.every(settings.producerIdExpirationCheckIntervalMs, settings.producerIdExpirationCheckIntervalMs, async () => {
      const { producerIdExpirationMs } = this.#settings
      for (const log of this.#logs.values()) log.removeExpiredProducers(producerIdExpirationMs)
    })
  }

  async #abandon(): Promise<void> {
    for (const log of [...this.#logs.values(), ...this.futures()]) await log.abandon()
  }
}
