import { join } from 'node:path'
import type { Logger, Random } from '@tidelog/core'
import { KafkaError } from '@tidelog/protocol'
import { deleteFolder, futureFolder, partitionFolder, type TopicPartition } from './file-names.ts'
import { type FileSystem, isDiskError } from './file-system.ts'
import type { Log } from './log.ts'
import type { LogDirectories } from './log-directories.ts'
import type { FoundFolder, LogDirectory } from './log-directory.ts'
import { LogMove } from './log-move.ts'
import { PartitionMetadataDamagedError, readPartitionMetadata, writePartitionMetadata } from './partition-metadata.ts'
import type { RateLimit } from './rate-limit.ts'

/** Wishes for partitions that may never come: the oldest are forgotten. */
const MAX_PREFERRED = 100_000

export interface LogMovesOptions {
  readonly directories: LogDirectories
  readonly fs: FileSystem
  readonly random: Random
  readonly logger: Logger
  /** Shared by all moves of the broker. */
  readonly rate: RateLimit
  readonly getLog: (name: string) => Log | undefined
  /** Opens the copy of a log in `folder` of `directory`; a new one begins at `logStartOffset`. */
  readonly openFuture: (directory: LogDirectory, folder: string, current: Log, logStartOffset?: number) => Promise<Log>
  readonly onStorageError: (directory: LogDirectory, error: unknown) => void
  /** Removes a folder that is out of use, after `delayMs`. */
  readonly removeLater: (path: string, delayMs: number) => void
}

/**
 * Partitions of one broker that move from one of its log dirs to another. The copy grows in TOPIC-PARTITION.UNIQUE-future. When it is whole the log's own
 * folder becomes TOPIC-PARTITION.UNIQUE-delete and then the copy's TOPIC-PARTITION; a start that finds only the first done does the second.
 * Kafka renames in the other order, and does not start when it was killed in between. Source: KIP-113.
 */
export class LogMoves {
  readonly #options: LogMovesOptions
  readonly #moves = new Map<string, LogMove>()
  /** Where partitions are to be made that are not here yet. In memory only, as in Kafka. */
  readonly #preferred = new Map<string, LogDirectory>()
  /** One change of moves at a time. */
  #changing: Promise<unknown> = Promise.resolve()
  #isStopped = false

  constructor(options: LogMovesOptions) {
    this.#options = options
  }

  /** The copy of a partition that moves. */
  future(name: string): Log | undefined {
    return this.#moves.get(name)?.future
  }

  futures(): Log[] {
    return [...this.#moves.values()].map(({ future }) => future)
  }

  /** Remembers where a partition is to be made that is not here yet. */
  prefer(name: string, directory: LogDirectory): void {
    this.#preferred.delete(name)
    this.#preferred.set(name, directory)
    for (const oldest of this.#preferred.keys()) {
      if (this.#preferred.size <= MAX_PREFERRED) break
      this.#preferred.delete(oldest)
    }
  }

  /** Where the partition was asked to be made, once. */
  takePreferred(name: string): LogDirectory | undefined {
    const directory = this.#preferred.get(name)
    this.#preferred.delete(name)
    return directory
  }

  /**
   * Begins to move a log, or goes on with it; a move to another place than `target` ends, and `target` may be where the log is.
   * @throws KafkaError INVALID_TOPIC_EXCEPTION (the name is too long), KAFKA_STORAGE_ERROR
   */
  move(log: Log, target: LogDirectory): Promise<void> {
    return this.#change(async () => {
      const under = this.#moves.get(log.name)
      if (under?.future.logDir === target.path) return
      if (under !== undefined) await this.#cancel(under)
      if (log.logDir === target.path) return
      // Kafka makes no copy then either: one may lie in the directory that cannot be looked into.
      const { isAnyOffline, offlinePaths } = this.#options.directories
      if (isAnyOffline) throw new KafkaError('KAFKA_STORAGE_ERROR', `${log.name} cannot move while ${offlinePaths.join(', ')} is offline`)
      await this.#begin(log, target)
    })
  }

  /** Ends the move of a partition if there is one; the copy goes. */
  cancel(name: string): Promise<void> {
    return this.#change(async () => {
      const move = this.#moves.get(name)
      if (move !== undefined) await this.#cancel(move)
    })
  }

  /** Leaves moves that a failed directory is part of as they are. Resolves when nothing of them goes on. */
  async onDirectoryFailed(directory: LogDirectory): Promise<void> {
    const over = [...this.#moves.values()].filter(
      ({ current, future }) => current.logDir === directory.path || future.logDir === directory.path,
    )
    await Promise.all(
      over.map((move) =>
        this.#change(async () => {
          await move.stop()
          this.#forget(move)
          await move.future.abandon()
        }),
      ),
    )
  }

  /** Copies go on no more; they are closed by whoever closes the logs beside them. The next start goes on with them. */
  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#changing
    await Promise.all([...this.#moves.values()].map((move) => move.stop()))
  }

  /**
   * Finishes exchanges of folders that a stop interrupted: a copy whose log is gone, its folder waiting for removal. To be called before any log is opened.
   * @param found The partitions of each directory; what is put in its place is added.
   */
  async finishExchanges(found: ReadonlyMap<LogDirectory, TopicPartition[]>): Promise<void> {
    const { fs, logger } = this.#options
    const here = new Set([...found.values()].flat().map(({ topic, partition }) => partitionFolder(topic, partition)))
    for (const [directory, partitions] of found) {
      for (const copy of [...directory.foundFutures]) {
        const { folder, of } = copy
        if (of === undefined || here.has(partitionFolder(of.topic, of.partition))) continue
        const path = join(directory.path, partitionFolder(of.topic, of.partition))
        try {
          if (!(await this.#hasMadeWay(directory, copy))) continue
          logger.info('Finishing the move of a partition', { path })
          await this.#on(directory, async () => {
            await fs.rename(join(directory.path, folder), path)
            await fs.syncDirectory(directory.path)
          })
        } catch (error) {
          if (!isDiskError(error)) throw error
          continue // a directory is offline, and the copy waits for it
        }
        directory.foundFutures.splice(directory.foundFutures.indexOf(copy), 1)
        partitions.push({ topic: of.topic, partition: of.partition })
      }
    }
  }

  /** Touches none of the copies that were found. */
  leaveAlone(): void {
    for (const directory of this.#options.directories.all) {
      for (const { folder } of directory.foundFutures.splice(0)) directory.leaveAlone(folder, 'the directory is being taken over')
    }
  }

  /** Goes on with moves that a stop interrupted. To be called when the logs are open and nothing has been appended to them. */
  async resume(): Promise<void> {
    for (const directory of this.#options.directories.all) {
      for (const { folder, of } of directory.foundFutures) {
        const name = of && partitionFolder(of.topic, of.partition)
        const log = name === undefined ? undefined : this.#options.getLog(name)
        if (log === undefined) directory.leaveAlone(folder, 'there is no log that it is a copy of')
        else await this.#resumeOne(log, directory, folder)
      }
      directory.foundFutures.splice(0)
    }
  }

  async #whyNoCopy(log: Log, directory: LogDirectory, folder: string): Promise<string | undefined> {
    if (log.logDir === directory.path) return 'its partition is in the same directory'
    if (this.#moves.has(log.name)) return 'its partition has another copy already'
    const topicId = await this.#topicIdIn(directory, folder)
    // One without an id was stopped before anything of it was forced to disk.
    return topicId === undefined || topicId === log.topicId ? undefined : `it is of topic id ${topicId}, its partition of ${log.topicId}`
  }

  async #topicIdIn(directory: LogDirectory, folder: string): Promise<string | undefined> {
    try {
      return await readPartitionMetadata(this.#options.fs, join(directory.path, folder))
    } catch (error) {
      if (error instanceof PartitionMetadataDamagedError) return undefined
      this.#options.onStorageError(directory, error)
      throw error
    }
  }

  async #resumeOne(log: Log, directory: LogDirectory, folder: string): Promise<void> {
    try {
      const reason = await this.#whyNoCopy(log, directory, folder)
      if (reason !== undefined) {
        directory.leaveAlone(folder, reason)
        return
      }
      if (log.topicId !== undefined) await writePartitionMetadata(this.#options.fs, join(directory.path, folder), log.topicId)
      const move = this.#moveOf(log, await this.#options.openFuture(directory, folder, log), directory)
      await move.align()
      this.#options.logger.info('Going on with the move of a partition', { partition: log.name, dir: directory.path })
      await this.#start(move, directory)
    } catch (error) {
      if (isDiskError(error)) {
        this.#options.onStorageError(directory, error)
        return
      }
      this.#options.logger.error('A copy of a partition could not be opened; it is left alone', { partition: log.name, folder, error })
      directory.strange.push(folder)
    }
  }

  /** Whether the folder of the partition that this is a copy of has been renamed already, to make way for it. */
  async #hasMadeWay(directory: LogDirectory, { folder, of }: FoundFolder): Promise<boolean> {
    const topicId = await this.#topicIdIn(directory, folder)
    for (const other of this.#options.directories.all) {
      if (other === directory) continue
      for (const gone of other.deleted) {
        if (gone.of?.topic !== of?.topic || gone.of?.partition !== of?.partition) continue
        const goneId = await this.#topicIdIn(other, gone.folder)
        // The copy was forced to disk before; the log's own may never have been.
        if (goneId === undefined || goneId === topicId) return true
      }
    }
    return false
  }

  async #begin(log: Log, target: LogDirectory): Promise<void> {
    const { fs, random, logger } = this.#options
    const folder = futureFolder(log.topic, log.partition, random)
    if (folder === undefined) throw new KafkaError('INVALID_TOPIC_EXCEPTION', 'The topic name is too long.')
    const dir = join(target.path, folder)
    try {
      await log.make()
      await target.forget(log.name)
      await fs.makeDirectory(dir)
      if (log.topicId !== undefined) await writePartitionMetadata(fs, dir, log.topicId)
      const future = await this.#options.openFuture(target, folder, log, log.logStartOffset)
      logger.info('Moving a partition to another log dir', { partition: log.name, from: log.logDir, to: target.path })
      await this.#start(this.#moveOf(log, future, target), target)
    } catch (error) {
      if (error instanceof KafkaError) throw error
      this.#options.onStorageError(target, error)
      throw new KafkaError('KAFKA_STORAGE_ERROR', `${log.name} cannot be copied to ${target.path}`, { cause: error })
    }
  }

  #moveOf(current: Log, future: Log, target: LogDirectory): LogMove {
    const { rate, logger } = this.#options
    const move: LogMove = new LogMove({
      current,
      future,
      rate,
      logger,
      exchange: () => this.#exchange(current, future, target),
      onEnd: (hasMoved) => {
        if (hasMoved) logger.info('A partition has moved to another log dir', { partition: current.name, dir: current.dir })
        if (hasMoved || future.isClosed) this.#forget(move)
        current.cleaning.resume()
      },
    })
    return move
  }

  async #start(move: LogMove, target: LogDirectory): Promise<void> {
    const { current, future } = move
    this.#moves.set(current.name, move)
    target.futures.set(current.name, future)
    await current.cleaning.pause()
    if (!this.#isStopped) move.start()
  }

  #forget(move: LogMove): void {
    const { name } = move.current
    if (this.#moves.get(name) !== move) return
    this.#moves.delete(name)
    this.#directoryOf(move.future.logDir).futures.delete(name)
  }

  async #cancel(move: LogMove): Promise<void> {
    const { current, future } = move
    await move.stop()
    if (this.#moves.get(current.name) !== move) return // it came to its end first
    this.#forget(move)
    const directory = this.#directoryOf(future.logDir)
    const path = join(directory.path, deleteFolder(current.topic, current.partition, this.#options.random))
    await this.#on(directory, async () => {
      await future.moveTo(path)
      await this.#options.fs.syncDirectory(directory.path)
    })
    this.#options.logger.info('A partition stays in its log dir', { partition: current.name, dir: current.dir })
    this.#options.removeLater(path, 0)
  }

  /** Both logs stand still, `future` is closed. @returns Where the log lies now. */
  async #exchange(current: Log, future: Log, target: LogDirectory): Promise<string> {
    const { fs, random } = this.#options
    const source = this.#directoryOf(current.logDir)
    const left = join(source.path, deleteFolder(current.topic, current.partition, random))
    const dir = join(target.path, current.name)
    await this.#on(target, async () => {
      await target.checkpointLogStarts()
      const cleanedUpTo = source.cleanedUpTo(current.name)
      if (cleanedUpTo !== undefined) await target.setCleanedUpTo(current.name, cleanedUpTo)
    })
    await this.#on(source, async () => {
      await fs.rename(current.dir, left)
      await fs.syncDirectory(source.path)
    })
    try {
      await this.#on(target, async () => {
        await fs.rename(future.dir, dir)
        await fs.syncDirectory(target.path)
      })
    } catch (error) {
      await this.#on(source, () => fs.rename(left, current.dir))
      throw error
    }
    source.logs.delete(current.name)
    target.futures.delete(current.name)
    target.logs.set(current.name, current)
    this.#options.removeLater(left, current.config['file.delete.delay.ms'])
    return dir
  }

  #directoryOf(path: string): LogDirectory {
    return this.#options.directories.at(path)!
  }

  async #on(directory: LogDirectory, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#options.onStorageError(directory, error)
      throw new KafkaError('KAFKA_STORAGE_ERROR', `${directory.path} has failed`, { cause: error })
    }
  }

  #change<T>(work: () => Promise<T>): Promise<T> {
    const changed = this.#changing.then(work)
    this.#changing = changed.catch(() => {})
    return changed
  }
}
