import { join } from 'node:path'
import { isUuid } from '@tidelog/core'
import { type FileSystem, readTextIfPresent, writeFileAtomically } from './file-system.ts'

/*
 * partition.metadata in a partition's folder, in lines of text, the second without a line feed:
 *   version: 0
 *   topic_id: 22 base64url characters
 */
const FILE_NAME = 'partition.metadata'

/** Reads the topic id. Undefined when the file is missing; an error that names it when it is garbage: whose records these are must not be guessed. */
export async function readPartitionMetadata(fs: FileSystem, dir: string): Promise<string | undefined> {
  const path = join(dir, FILE_NAME)
  const text = await readTextIfPresent(fs, path)
  if (text === undefined) return undefined
  const match = /^version: 0\ntopic_id: (\S{22})\n?$/.exec(text)
  if (match === null || !isUuid(match[1]!)) {
    throw new Error(`${path} is damaged: expected "version: 0" and "topic_id: ID", found ${JSON.stringify(text.slice(0, 80))}`)
  }
  return match[1]
}

/** The name outlives a power cut once the log is flushed, as all names in the folder. */
export async function writePartitionMetadata(fs: FileSystem, dir: string, topicId: string): Promise<void> {
  await writeFileAtomically(fs, join(dir, FILE_NAME), `version: 0\ntopic_id: ${topicId}`, { durable: false })
}
