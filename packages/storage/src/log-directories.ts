import type { Logger } from '@tidelog/core'
import { KafkaError } from '@tidelog/protocol'
import type { TopicPartition } from './file-names.ts'
import type { FileSystem } from './file-system.ts'
import { LogDirectory } from './log-directory.ts'

/** The log dirs of one LogManager, in the order of log.dirs. */
export class LogDirectories {
  readonly all: readonly LogDirectory[]
  readonly #isCordoned: (path: string) => boolean

  /** @param options.isCordoned Whether a directory gets no further partitions, as it is now. KIP-1066. */
  constructor(
    paths: readonly string[],
    options: {
      fs: FileSystem
      logger: Logger
      offline?: ReadonlySet<string> | undefined
      isCordoned?: ((path: string) => boolean) | undefined
    },
  ) {
    const { fs, logger, offline = new Set(), isCordoned = () => false } = options
    this.#isCordoned = isCordoned
    this.all = paths.map((path) => {
      const directory = new LogDirectory(fs, path, logger)
      directory.isOffline = offline.has(path)
      return directory
    })
  }

  get paths(): string[] {
    return this.all.map(({ path }) => path)
  }

  get offlinePaths(): string[] {
    return this.all.filter(({ isOffline }) => isOffline).map(({ path }) => path)
  }

  get isAnyOffline(): boolean {
    return this.all.some(({ isOffline }) => isOffline)
  }

  get areAllOffline(): boolean {
    return this.all.every(({ isOffline }) => isOffline)
  }

  /** Folders that hold no partition and are left alone, by directory. */
  get leftAlone(): { readonly dir: string; readonly folder: string }[] {
    return this.all.flatMap(({ path, strange, deleted }) =>
      [...strange, ...deleted.map(({ folder }) => folder)].map((folder) => ({ dir: path, folder })),
    )
  }

  /** The directory that a partition's log lies in, also one that could not be opened. */
  holding(name: string): LogDirectory | undefined {
    return this.all.find(({ logs, broken }) => logs.has(name) || broken.has(name))
  }

  at(path: string): LogDirectory | undefined {
    return this.all.find((directory) => directory.path === path)
  }

  /**
   * The directory at `path`, for a partition that is to move there.
   * @throws KafkaError LOG_DIR_NOT_FOUND for a path that is none of the directories, letter by letter; KAFKA_STORAGE_ERROR when it is offline;
   * INVALID_REPLICA_ASSIGNMENT when it is cordoned
   */
  destination(path: string): LogDirectory {
    const directory = this.at(path)
    if (directory === undefined) throw new KafkaError('LOG_DIR_NOT_FOUND', `Log dir '${path}' is not found in the config.`)
    if (directory.isOffline) throw new KafkaError('KAFKA_STORAGE_ERROR', `Log directory ${path} is offline`)
    if (this.#isCordoned(path)) throw new KafkaError('INVALID_REPLICA_ASSIGNMENT', `Log directory ${path} is cordoned`)
    return directory
  }

  /**
   * The directory for a new partition: of those that are not cordoned, the one that has fewest. Where all are, the first: a user has chosen this broker
   * for it by name. @throws KafkaError KAFKA_STORAGE_ERROR when all are offline.
   */
  leastUsed(): LogDirectory {
    const online = this.all.filter(({ isOffline }) => !isOffline)
    let best: LogDirectory | undefined
    for (const directory of online) {
      if (this.#isCordoned(directory.path)) continue
      if (best === undefined || directory.size < best.size) best = directory
    }
    best ??= online[0]
    if (best === undefined) throw new KafkaError('KAFKA_STORAGE_ERROR', 'every log directory is offline')
    return best
  }

  /**
   * Looks through all of them. One that cannot be read is offline.
   * @returns The partitions of each that can.
   */
  async scan(): Promise<Map<LogDirectory, TopicPartition[]>> {
    const found = new Map<LogDirectory, TopicPartition[]>()
    for (const directory of this.all) {
      if (directory.isOffline) continue
      const partitions = await directory.scan().catch((error: unknown) => directory.goOffline(error))
      if (partitions !== undefined) found.set(directory, partitions)
    }
    return found
  }
}
