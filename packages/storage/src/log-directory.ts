import { join } from 'node:path'
import type { Logger } from '@tidelog/core'
import { removeCleanShutdownMarker, wasCleanShutdown, writeCleanShutdownMarker } from './clean-shutdown.ts'
import { CLUSTER_METADATA_FOLDER } from './cluster-metadata-log.ts'
import { parsePartitionFolder, type TopicPartition } from './file-names.ts'
import type { FileSystem } from './file-system.ts'
import { inParallel } from './in-parallel.ts'
import type { Log } from './log.ts'
import {
  type Checkpoint,
  type CheckpointEntry,
  type CheckpointName,
  readOffsetCheckpoint,
  writeOffsetCheckpoint,
} from './offset-checkpoint.ts'

/** A folder that is no partition's own, and the partition that its name speaks of, where that can be told. */
export interface FoundFolder {
  readonly folder: string
  readonly of: TopicPartition | undefined
}

/** One log dir of an open LogManager: its logs, and the files that speak of all of them. */
export class LogDirectory {
  readonly path: string
  readonly logs = new Map<string, Log>()
  /** Partitions whose log could not be opened; their files and checkpoint entries stay as they are. */
  readonly broken = new Map<string, { readonly place: TopicPartition; readonly error: unknown }>()
  /** Copies of partitions of other log dirs that are to take their places, by the partition's name. */
  readonly futures = new Map<string, Log>()
  /** Folders of deleted topics, and of partitions that moved away, found at the start. */
  readonly deleted: FoundFolder[] = []
  /** Folders of copies, found at the start. */
  readonly foundFutures: FoundFolder[] = []
  /** Other folders, which are left alone. */
  readonly strange: string[] = []
  isOffline = false
  /** What has taken it offline, if it was usable before. */
  failure: unknown
  cleanShutdown = false
  /** The checkpoints as they are on disk; undefined when there is none that can be read. */
  #recoveryPoints: Checkpoint | undefined
  #logStarts: Checkpoint | undefined
  #highWatermarks: Checkpoint | undefined
  #cleaned: Checkpoint | undefined
  readonly #fs: FileSystem
  readonly #logger: Logger
  /** One write of a checkpoint file at a time. */
  #writing: Promise<void> = Promise.resolve()

  constructor(fs: FileSystem, path: string, logger: Logger) {
    this.#fs = fs
    this.path = path
    this.#logger = logger
  }

  /** Reads what the directory says of itself, takes the clean-shutdown marker away and returns the partitions that are here. */
  async scan(): Promise<TopicPartition[]> {
    this.#recoveryPoints = await readOffsetCheckpoint(this.#fs, this.path, 'recovery-point', this.#logger)
    this.#logStarts = await readOffsetCheckpoint(this.#fs, this.path, 'log-start', this.#logger)
    this.#highWatermarks = await readOffsetCheckpoint(this.#fs, this.path, 'replication', this.#logger)
    this.#cleaned = await readOffsetCheckpoint(this.#fs, this.path, 'cleaner', this.#logger)
    this.cleanShutdown = await wasCleanShutdown(this.#fs, this.path)
    const partitions: TopicPartition[] = []
    for (const { name, isDirectory } of await this.#fs.list(this.path)) {
      // KRaft's metadata is read by adoption, never opened as a log.
      if (!isDirectory || name === CLUSTER_METADATA_FOLDER) continue
      const folder = parsePartitionFolder(name)
      if (folder.kind === 'partition') partitions.push({ topic: folder.topic, partition: folder.partition })
      else if (folder.kind === 'delete') this.deleted.push({ folder: name, of: folder.of })
      else if (folder.kind === 'future') this.foundFutures.push({ folder: name, of: folder.of })
      else this.leaveAlone(name, 'it is not a partition')
    }
    if (partitions.length > 0 && this.#recoveryPoints === undefined && !this.cleanShutdown) {
      this.#logger.warn('No usable recovery-point-offset-checkpoint: every segment is checked from its beginning', { path: this.path })
    }
    // From now on one is there: a log that it does not know is one that was never forced to disk.
    if (partitions.length === 0 && this.#recoveryPoints === undefined) await this.checkpointRecoveryPoints()
    await removeCleanShutdownMarker(this.#fs, this.path)
    return partitions
  }

  /** Its disk has failed: until a restart reads it anew nothing in it is written or believed. */
  goOffline(error: unknown): void {
    if (this.isOffline) return
    this.isOffline = true
    this.failure = error
    this.#logger.error('A log directory failed and is offline', { path: this.path, error })
  }

  leaveAlone(folder: string, reason: string): void {
    this.strange.push(folder)
    this.#logger.warn('Leaving a folder alone', { path: join(this.path, folder), reason })
  }

  /** Partitions that are here or soon will be. */
  get size(): number {
    return this.logs.size + this.futures.size
  }

  /** 0 for a log that no checkpoint knew yet; undefined when there is no checkpoint to tell. */
  recoveryPointOf(name: string): number | undefined {
    return this.#recoveryPoints && (this.#recoveryPoints.get(name)?.offset ?? 0)
  }

  logStartOf(name: string): number {
    return this.#logStarts?.get(name)?.offset ?? 0
  }

  highWatermarkOf(name: string): number {
    return this.#highWatermarks?.get(name)?.offset ?? 0
  }

  /** Whether a checkpoint speaks of a partition. */
  remembers(name: string): boolean {
    return [this.#recoveryPoints, this.#logStarts, this.#highWatermarks, this.#cleaned].some((checkpoint) => checkpoint?.has(name) === true)
  }

  /**
   * Takes what the checkpoints say of a partition out of them, before a log of its name is made: it is of one that was deleted. On disk when it resolves.
   */
  async forget(name: string): Promise<void> {
    if (this.#recoveryPoints?.has(name)) await this.checkpointRecoveryPoints()
    if (this.#logStarts?.has(name)) await this.checkpointLogStarts()
    if (this.#highWatermarks?.has(name)) await this.checkpointHighWatermarks()
    if (this.#cleaned?.has(name)) await this.#checkpointCleaned(name, undefined)
  }

  async checkpointRecoveryPoints(): Promise<void> {
    await this.#inTurn(async () => {
      this.#recoveryPoints = await this.#write('recovery-point', this.#recoveryPoints, (log) => log.recoveryStart)
    })
  }

  /** Only logs whose start lies within their first segment need an entry, as in Kafka. */
  async checkpointLogStarts(): Promise<void> {
    await this.#inTurn(async () => {
      this.#logStarts = await this.#write('log-start', this.#logStarts, (log) =>
        log.logStartOffset > log.firstSegmentOffset ? log.logStartOffset : undefined,
      )
    })
  }

  async checkpointHighWatermarks(): Promise<void> {
    await this.#inTurn(async () => {
      this.#highWatermarks = await this.#write('replication', this.#highWatermarks, (log) => log.highWatermark)
    })
  }

  /** Where the log begins that was not compacted yet; undefined when it never was. */
  cleanedUpTo(name: string): number | undefined {
    return this.#cleaned?.get(name)?.offset
  }

  /** Notes that a log was compacted up to `offset`. On disk when it resolves. */
  async setCleanedUpTo(name: string, offset: number): Promise<void> {
    if (this.cleanedUpTo(name) !== offset) await this.#checkpointCleaned(name, offset)
  }

  /** Closes every log, and leaves the mark of a clean stop when all of them closed in order. */
  async close({ brokerEpoch, logsAtATime }: { brokerEpoch: number; logsAtATime: number }): Promise<void> {
    let isClean = !this.isOffline && this.broken.size === 0
    await inParallel([...this.logs.values(), ...this.futures.values()], logsAtATime, async (log) => {
      try {
        await log.close()
      } catch (error) {
        isClean = false
        this.#logger.error('A log could not be closed in order; it is checked at the next start', { partition: log.name, error })
      }
    })
    try {
      await this.checkpointRecoveryPoints()
      await this.checkpointLogStarts()
      await this.checkpointHighWatermarks()
      if (isClean) await writeCleanShutdownMarker(this.#fs, this.path, brokerEpoch)
    } catch (error) {
      this.#logger.error('A directory could not be closed in order; it is checked at the next start', { path: this.path, error })
    }
  }

  async #checkpointCleaned(name: string, offset: number | undefined): Promise<void> {
    await this.#inTurn(async () => {
      this.#cleaned = await this.#write('cleaner', this.#cleaned, (log) => (log.name === name ? offset : this.cleanedUpTo(log.name)))
    })
  }

  /** Writes a checkpoint and returns what it says now. */
  async #write(name: CheckpointName, before: Checkpoint | undefined, offsetOf: (log: Log) => number | undefined): Promise<Checkpoint> {
    const entries = new Map<string, CheckpointEntry>()
    for (const log of [...this.logs.values(), ...this.futures.values()]) {
      const offset = offsetOf(log)
      if (offset !== undefined) entries.set(log.name, { topic: log.topic, partition: log.partition, offset })
    }
    for (const broken of this.broken.keys()) {
      const entry = before?.get(broken)
      if (entry !== undefined) entries.set(broken, entry)
    }
    await writeOffsetCheckpoint(this.#fs, this.path, name, [...entries.values()])
    return entries
  }

  #inTurn(write: () => Promise<void>): Promise<void> {
    const written = this.#writing.then(async () => {
      if (!this.isOffline) await write()
    })
    this.#writing = written.catch(() => {})
    return written
  }
}
