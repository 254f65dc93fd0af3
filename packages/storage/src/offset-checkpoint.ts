import { join } from 'node:path'
import type { Logger } from '@tidelog/core'
import { partitionFolder, type TopicPartition } from './file-names.ts'
import { type FileSystem, readTextIfPresent, writeFileAtomically } from './file-system.ts'

/*
 * recovery-point-, replication-, log-start- and cleaner-offset-checkpoint, one of each in a log dir, in lines of text:
 *   0                          version
 *   N                          number of entries
 *   TOPIC PARTITION OFFSET     N times
 */
export type CheckpointName = 'recovery-point' | 'replication' | 'log-start' | 'cleaner'

export interface CheckpointEntry extends TopicPartition {
  readonly offset: number
}

/** Offsets by the name of the partition's folder. */
export type Checkpoint = ReadonlyMap<string, CheckpointEntry>

const VERSION = '0'

function checkpointPath(dir: string, name: CheckpointName): string {
  return join(dir, `${name}-offset-checkpoint`)
}

/**
 * Reads a checkpoint of a log dir. One that is missing or garbage reads as undefined, garbage with a warning: it is a shortcut, never the only
 * truth, so the caller does without it and nothing is deleted for its sake.
 */
export async function readOffsetCheckpoint(
  fs: FileSystem,
  dir: string,
  name: CheckpointName,
  logger: Logger,
): Promise<Checkpoint | undefined> {
  const path = checkpointPath(dir, name)
  const text = await readTextIfPresent(fs, path)
  if (text === undefined) return undefined
  const entries = parseOffsetCheckpoint(text)
  if (typeof entries !== 'string') return entries
  logger.warn('Ignoring a damaged checkpoint', { path, reason: entries })
  return undefined
}

/** The entries, or what is wrong with the text. */
function parseOffsetCheckpoint(text: string): Checkpoint | string {
  if (text === '') return new Map() // Kafka makes the file before it has anything to write
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  if (lines[0] !== VERSION) return `it begins with ${JSON.stringify(lines[0]?.slice(0, 40) ?? '')}, not with version ${VERSION}`
  if (lines[1] !== String(lines.length - 2))
    return `it counts ${JSON.stringify(lines[1]?.slice(0, 40) ?? '')} entries and has ${lines.length - 2}`
  const entries = new Map<string, CheckpointEntry>()
  for (const line of lines.slice(2)) {
    const match = /^(\S+) (\d{1,10}) (\d{1,16})$/.exec(line)
    const offset = Number(match?.[3])
    if (match === null || !Number.isSafeInteger(offset)) return `it has the line ${JSON.stringify(line.slice(0, 80))}`
    const topic = match[1]!
    const partition = Number(match[2])
    entries.set(partitionFolder(topic, partition), { topic, partition, offset })
  }
  return entries
}

/** Replaces a checkpoint of a log dir; a crash leaves the old or the new one. */
export async function writeOffsetCheckpoint(
  fs: FileSystem,
  dir: string,
  name: CheckpointName,
  entries: readonly CheckpointEntry[],
): Promise<void> {
  const lines = entries.map(({ topic, partition, offset }) => `${topic} ${partition} ${offset}\n`)
  await writeFileAtomically(fs, checkpointPath(dir, name), `${VERSION}\n${lines.length}\n${lines.join('')}`)
}
