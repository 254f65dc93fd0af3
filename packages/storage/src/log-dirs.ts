import { resolve } from 'node:path'
import { type Clock, type Logger, messageOf, type Random, randomUuid } from '@tidelog/core'
import { type FileSystem, makeDirectoryDurably, nodeFileSystem } from './file-system.ts'
import { type LogDirLock, lockLogDir } from './log-dir-lock.ts'
import { LogDirRefusedError, type MetaProperties, readMetaProperties, writeMetaProperties } from './meta-properties.ts'

export interface LogDirsOptions {
  /** log.dirs; made when they are missing. */
  readonly dirs: readonly string[]
  /** What the configuration says, if it does: a directory of another cluster or broker is refused. */
  readonly clusterId?: string | undefined
  readonly nodeId?: number | undefined
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly fs?: FileSystem
}

/** The log dirs of one broker, locked, and whose they are. Taken before anything in them is read or written. */
export class LogDirs {
  /** Absolute paths. */
  readonly paths: readonly string[]
  /** From meta.properties; undefined while every directory is new. */
  readonly clusterId: string | undefined
  readonly nodeId: number | undefined
  readonly fs: FileSystem
  /** Those of `paths` that cannot be used as they are, with why; never all of them. */
  readonly offline: ReadonlyMap<string, Error>
  readonly #metas: ReadonlyMap<string, MetaProperties | undefined>
  readonly #locks: readonly LogDirLock[]
  readonly #clock: Clock
  readonly #random: Random
  readonly #directoryIds = new Map<string, string>()

  /**
   * Checks meta.properties of every directory, then locks them. One that cannot be made, read or written to is offline, as in Kafka.
   * @throws LogDirRefusedError with one line for the operator: another cluster or broker, garbage, in use, the same directory twice, or none that
   * can be used.
   */
  static async open(options: LogDirsOptions): Promise<LogDirs> {
    const { fs = nodeFileSystem } = options
    const paths = options.dirs.map((dir) => resolve(dir))
    const twice = paths.find((path, index) => paths.indexOf(path) !== index)
    if (twice !== undefined) throw new LogDirRefusedError(`log.dirs names ${twice} twice`)
    const offline = new Map<string, Error>()
    const metas = new Map<string, MetaProperties | undefined>()
    for (const path of paths) {
      await ifUsable(path, offline, async () => {
        metas.set(path, await readMetaProperties(fs, path))
      })
    }
    const clusterId = agreed(metas, 'cluster.id', (meta) => meta.clusterId, options.clusterId)
    const nodeId = agreed(metas, 'node.id', (meta) => meta.nodeId, options.nodeId)
    const locks: LogDirLock[] = []
    try {
      for (const path of metas.keys()) {
        await ifUsable(path, offline, async () => {
          await makeDirectoryDurably(fs, path)
          locks.push(lockLogDir(path))
        })
      }
      if (offline.size > 0 && offline.size === paths.length) throw unusable(...[...offline][0]!)
    } catch (error) {
      for (const lock of locks) lock.release()
      throw error
    }
    for (const [path, error] of offline) options.logger.error('A log directory cannot be used and is offline', { path, error })
    return new LogDirs(options, { fs, paths, offline, metas, locks, clusterId, nodeId })
  }

  /** Use `open`. */
  constructor(
    { clock, random }: Pick<LogDirsOptions, 'clock' | 'random'>,
    found: {
      fs: FileSystem
      paths: readonly string[]
      offline: ReadonlyMap<string, Error>
      metas: ReadonlyMap<string, MetaProperties | undefined>
      locks: readonly LogDirLock[]
      clusterId: string | undefined
      nodeId: number | undefined
    },
  ) {
    this.paths = found.paths
    this.offline = found.offline
    this.clusterId = found.clusterId
    this.nodeId = found.nodeId
    this.fs = found.fs
    this.#metas = found.metas
    this.#locks = found.locks
    this.#clock = clock
    this.#random = random
    for (const [path, meta] of found.metas) if (meta?.directoryId !== undefined) this.#directoryIds.set(path, meta.directoryId)
  }

  /** True while no directory has been used by a broker yet. */
  get isNew(): boolean {
    return [...this.#metas.values()].every((meta) => meta === undefined)
  }

  /** The id of a directory; undefined for one of a Kafka that had none. */
  directoryId(path: string): string | undefined {
    return this.#directoryIds.get(path)
  }

  /** Writes meta.properties where it is missing; what is there stays. */
  async format({ clusterId, nodeId }: { clusterId: string; nodeId: number }): Promise<void> {
    for (const path of this.paths) {
      if (this.#metas.get(path) !== undefined || this.offline.has(path)) continue
      const directoryId = randomUuid(this.#random)
      this.#directoryIds.set(path, directoryId)
      await writeMetaProperties(this.fs, path, { clusterId, nodeId, directoryId }, this.#clock.now())
    }
  }

  /** Gives the locks back. */
  close(): void {
    for (const lock of this.#locks) lock.release()
  }
}

/** Does what a directory is asked for; when the system says no it is noted as offline. */
async function ifUsable(path: string, offline: Map<string, Error>, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (error instanceof LogDirRefusedError) throw error
    offline.set(path, error instanceof Error ? error : new Error(String(error)))
  }
}

/** A line for the operator. */
export function unusable(path: string, error: unknown): LogDirRefusedError {
  const reason = messageOf(error)
  return new LogDirRefusedError(`${path} cannot be used as a log dir: ${reason}`, { cause: error })
}

/** The one value that all directories and the configuration agree on; undefined when none says. */
function agreed<T extends string | number>(
  metas: ReadonlyMap<string, MetaProperties | undefined>,
  name: string,
  valueIn: (meta: MetaProperties) => T | undefined,
  configured: T | undefined,
): T | undefined {
  let known = configured
  let source = 'the configuration'
  for (const [path, meta] of metas) {
    const value = meta && valueIn(meta)
    if (value === undefined) continue
    if (known !== undefined && known !== value) {
      throw new LogDirRefusedError(`${path}/meta.properties belongs to ${name} ${value}, but ${source} says ${name} ${known}`)
    }
    known = value
    source = `${path}/meta.properties`
  }
  return known
}
