import { join } from 'node:path'
import type { Clock, Logger } from '@tidelog/core'
import { partitionFolder, type TopicPartition } from './file-names.ts'
import { type FileSystem, isDiskError } from './file-system.ts'
import { inParallel } from './in-parallel.ts'
import type { LogDirectories } from './log-directories.ts'
import type { LogDirectory } from './log-directory.ts'
import { unusable } from './log-dirs.ts'
import type { LogMoves } from './log-moves.ts'
import { LogDirRefusedError } from './meta-properties.ts'
import { PartitionMetadataDamagedError, readPartitionMetadata, removePartitionMetadata } from './partition-metadata.ts'

/** Others in this process get their turn while a start has the loop. */
const MAX_TURN_MS = 10

export interface LogStartOptions {
  readonly directories: LogDirectories
  readonly moves: LogMoves
  readonly fs: FileSystem
  readonly clock: Clock
  readonly logger: Logger
  /** Logs of a directory that are opened at a time. */
  readonly logsAtATime: number
  /** The directories are being taken over: all of them are needed, and copies of partitions stay as they are. */
  readonly isAdopting: boolean
  /** The id of the cluster's topic of that name, if it has one. */
  readonly topicIdOf: (topic: string) => Promise<string | undefined>
  /** Renames the folder of a partition that is of another topic. @throws KafkaError KAFKA_STORAGE_ERROR, and the directory is offline */
  readonly setAside: (directory: LogDirectory, place: TopicPartition) => Promise<void>
  /** Opens the log of a partition and puts it in its place. */
  readonly openLog: (directory: LogDirectory, place: TopicPartition, topicId: string | undefined) => Promise<void>
  /** Takes the logs out of service that were opened in a directory before it failed, and leaves them as a crash would. */
  readonly drop: (directory: LogDirectory) => Promise<void>
}

/**
 * Opens every partition that the directories hold, and goes on with moves. A directory whose disk fails meanwhile is offline with all its partitions, as if it had
 * been so from the start; a log that cannot be opened for what is in its files is out of service alone.
 * @throws LogDirRefusedError when a directory cannot be told what it is, or none is left; when one fails that is being taken over
 */
export async function openLogs(options: LogStartOptions): Promise<void> {
  const { directories, moves, clock, logsAtATime, isAdopting } = options
  let turnBeganMs = clock.monotonic()
  const found = await directories.scan()
  await setTwinsAside(options, found)
  await leaveOutFailed(options)
  if (isAdopting) moves.leaveAlone()
  else await moves.finishExchanges(found)
  for (const [directory, partitions] of found) {
    await inParallel(partitions, logsAtATime, async (place) => {
      if (directory.isOffline) return
      await openFound(options, directory, place)
      // The disk may answer at once.
      if (clock.monotonic() - turnBeganMs < MAX_TURN_MS) return
      await new Promise(setImmediate)
      turnBeganMs = clock.monotonic()
    })
  }
  await leaveOutFailed(options)
  if (isAdopting) return
  await moves.resume()
  await leaveOutFailed(options)
}

/**
 * A partition in two directories: its topic was deleted and made again while the disk of the older one was away. That one is set aside, as in Kafka.
 * @throws LogDirRefusedError when it cannot be told which one it is
 */
async function setTwinsAside(
  { fs, isAdopting, topicIdOf, setAside }: LogStartOptions,
  found: Map<LogDirectory, TopicPartition[]>,
): Promise<void> {
  const homes = new Map<string, LogDirectory>()
  for (const [directory, partitions] of found) {
    for (const place of [...partitions]) {
      const name = partitionFolder(place.topic, place.partition)
      const other = homes.get(name)
      if (other === undefined) {
        homes.set(name, directory)
        continue
      }
      const topicId = isAdopting ? undefined : await topicIdOf(place.topic)
      const both = [other, directory] as const
      const strays: LogDirectory[] = []
      for (const home of both) {
        const ofTopic = await readPartitionMetadata(fs, join(home.path, name)).catch(() => undefined)
        if (topicId !== undefined && ofTopic !== undefined && ofTopic !== topicId) strays.push(home)
      }
      if (strays.length !== 1) throw new LogDirRefusedError(`${name} is in both ${other.path} and ${directory.path}`)
      const stray = strays[0]!
      homes.set(name, both.find((home) => home !== stray)!)
      found.set(
        stray,
        found.get(stray)!.filter(({ topic, partition }) => topic !== place.topic || partition !== place.partition),
      )
      await setAside(stray, place).catch(() => {}) // it is offline
    }
  }
}

async function openFound({ fs, logger, openLog }: LogStartOptions, directory: LogDirectory, place: TopicPartition): Promise<void> {
  const name = partitionFolder(place.topic, place.partition)
  const path = join(directory.path, name)
  try {
    await openLog(directory, place, await topicIdIn(fs, path, { name, directory, logger }))
  } catch (error) {
    if (error instanceof LogDirRefusedError) throw error
    if (isDiskError(error)) {
      directory.goOffline(error)
      return
    }
    logger.error('A log could not be opened; its files are left as they are', { path, error })
    directory.broken.set(name, { place, error })
  }
}

/** @throws LogDirRefusedError for garbage, Node's error when the disk cannot be read */
async function topicIdIn(
  fs: FileSystem,
  path: string,
  { name, directory, logger }: { name: string; directory: LogDirectory; logger: Logger },
): Promise<string | undefined> {
  try {
    return await readPartitionMetadata(fs, path)
  } catch (error) {
    if (!(error instanceof PartitionMetadataDamagedError)) throw error
    // Nothing of the log was ever forced to disk, this file neither: a stop or a power cut may have left anything of it. The cluster's metadata knows.
    if (directory.recoveryPointOf(name)) throw new LogDirRefusedError(error.message)
    logger.warn('Removing a partition.metadata that was not forced to disk when the broker stopped', {
      partition: name,
      reason: error.message,
    })
    await removePartitionMetadata(fs, path)
    return undefined
  }
}

async function leaveOutFailed({ directories, isAdopting, drop }: LogStartOptions): Promise<void> {
  for (const directory of directories.all) {
    if (!directory.isOffline) continue
    // What lies in it would be missing for ever.
    if (isAdopting || directories.areAllOffline) throw unusable(directory.path, directory.failure)
    await drop(directory)
  }
}
