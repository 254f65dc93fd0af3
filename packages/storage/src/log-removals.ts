import { join } from 'node:path'
import type { Logger, Random } from '@tidelog/core'
import { KafkaError } from '@tidelog/protocol'
import type { BackgroundTasks } from './background-tasks.ts'
import { deleteFolder, partitionFolder, strayFolder, type TopicPartition } from './file-names.ts'
import { type FileSystem, ignoringMissing } from './file-system.ts'
import { inParallel } from './in-parallel.ts'
import type { Log } from './log.ts'
import type { LogDirectories } from './log-directories.ts'
import type { LogDirectory } from './log-directory.ts'

const DELETES_AT_A_TIME = 8

export interface LogRemovalsOptions {
  readonly directories: LogDirectories
  /** By name; what is taken out of service is taken out of it. */
  readonly logs: Map<string, Log>
  readonly fs: FileSystem
  readonly random: Random
  readonly logger: Logger
  readonly tasks: BackgroundTasks
  /** Ends the move of a partition if there is one. */
  readonly cancelMove: (name: string) => Promise<void>
  readonly onStorageError: (directory: LogDirectory, error: unknown) => void
}

/** Takes folders of partitions out of service, by another name: on their way out, or set aside. */
export class LogRemovals {
  readonly #options: LogRemovalsOptions
  /** Folders that wait for their removal. */
  readonly #waiting = new Set<string>()

  constructor(options: LogRemovalsOptions) {
    this.#options = options
  }

  /**
   * Takes logs out of service at once, their folders renamed, which a power cut does not take back once it resolves; the files go after
   * file.delete.delay.ms. One that could not be opened goes too.
   * @returns Those that could not be deleted, and why: KafkaError KAFKA_STORAGE_ERROR. One that lies in an offline directory is a stray when that is back.
   */
  async deleteLogs(places: readonly TopicPartition[]): Promise<ReadonlyMap<string, KafkaError>> {
    const { directories, logs, fs, logger, random, cancelMove, onStorageError } = this.#options
    const failed = new Map<string, KafkaError>()
    const renamed = new Map<LogDirectory, string[]>()
    const fail = (directory: LogDirectory, names: readonly string[], error: unknown): void => {
      onStorageError(directory, error)
      for (const name of names)
        failed.set(name, new KafkaError('KAFKA_STORAGE_ERROR', `${name} cannot be deleted in ${directory.path}`, { cause: error }))
    }
    await inParallel(places, DELETES_AT_A_TIME, async ({ topic, partition }) => {
      const name = partitionFolder(topic, partition)
      await cancelMove(name)
      const directory = directories.holding(name)
      if (directory === undefined || directory.isOffline) {
        const { offlinePaths } = directories
        if (offlinePaths.length > 0)
          failed.set(name, new KafkaError('KAFKA_STORAGE_ERROR', `${name} may lie in ${offlinePaths}, which is offline`))
        const log = logs.get(name)
        this.#forget(directory, name)
        await log?.abandon()
        return
      }
      const folder = deleteFolder(topic, partition, random)
      try {
        const delayMs = await this.#rename(directory, name, folder)
        this.removeLater(join(directory.path, folder), delayMs)
      } catch (error) {
        fail(directory, [name], error)
        return
      }
      const names = renamed.get(directory)
      if (names === undefined) renamed.set(directory, [name])
      else names.push(name)
      logger.info('Deleted a log', { partition: name, folder })
    })
    for (const [directory, names] of renamed) {
      await fs.syncDirectory(directory.path).catch((error: unknown) => fail(directory, names, error))
    }
    return failed
  }

  /**
   * Makes room for a partition where a folder has its name that is of another topic: one that was deleted while its disk was away, or that Kafka made. The
   * folder is kept, as Kafka does, under a name that ends in -stray. @throws KafkaError KAFKA_STORAGE_ERROR
   */
  async setAside(directory: LogDirectory, { topic, partition }: TopicPartition): Promise<void> {
    const { fs, random, logger, cancelMove, onStorageError } = this.#options
    const name = partitionFolder(topic, partition)
    const folder = strayFolder(topic, partition, random)
    await cancelMove(name)
    try {
      await this.#rename(directory, name, folder)
      await fs.syncDirectory(directory.path)
    } catch (error) {
      onStorageError(directory, error)
      throw new KafkaError('KAFKA_STORAGE_ERROR', `${name} cannot be set aside in ${directory.path}`, { cause: error })
    }
    directory.leaveAlone(folder, `it was ${name} of a topic that is not there any more`)
    logger.info('Set a folder aside', { partition: name, folder })
  }

  /** Removes a folder that is out of use, after `delayMs`. */
  removeLater(path: string, delayMs: number): void {
    const { fs, logger, tasks } = this.#options
    this.#waiting.add(path)
    tasks.later(delayMs, async () => {
      this.#waiting.delete(path)
      await fs.removeTree(path).catch((error: unknown) => logger.warn('A deleted log could not be removed', { path, error }))
    })
  }

  /** Removes what waits; what cannot be is the next start's to remove. */
  async finish(): Promise<void> {
    for (const path of this.#waiting) await this.#options.fs.removeTree(path).catch(() => {})
  }

  /** Closes the log, if it was opened, and gives its folder another name. @returns file.delete.delay.ms; 0 where it was not opened. */
  async #rename(directory: LogDirectory, name: string, folder: string): Promise<number> {
    const log = directory.logs.get(name)
    this.#forget(directory, name)
    if (log !== undefined) await log.moveTo(join(directory.path, folder))
    else await ignoringMissing(this.#options.fs.rename(join(directory.path, name), join(directory.path, folder)))
    return log?.config['file.delete.delay.ms'] ?? 0
  }

  #forget(directory: LogDirectory | undefined, name: string): void {
    this.#options.logs.delete(name)
    directory?.logs.delete(name)
    directory?.broken.delete(name)
  }
}
