import { join } from 'node:path'
import { isUuid } from '@tidelog/core'
import { type FileSystem, ignoringMissing, readTextIfPresent, writeFully } from './file-system.ts'

/*
 * partition.metadata in a partition's folder, in lines of text, the second without a line feed:
 *   version: 0
 *   topic_id: 22 base64url characters
 */
const FILE_NAME = 'partition.metadata'

/** The file says nothing that can be understood. */
export class PartitionMetadataDamagedError extends Error {
  override readonly name = 'PartitionMetadataDamagedError'
}

/**
 * Reads the topic id; undefined when the file is missing.
 * @throws PartitionMetadataDamagedError that names the file when it is garbage: whose records these are must not be guessed.
 */
export async function readPartitionMetadata(fs: FileSystem, dir: string): Promise<string | undefined> {
  const path = join(dir, FILE_NAME)
  const text = await readTextIfPresent(fs, path)
  if (text === undefined) return undefined
  const match = /^version: 0\ntopic_id: (\S{22})\n?$/.exec(text)
  if (match === null || !isUuid(match[1]!)) {
    const found = JSON.stringify(text.slice(0, 80))
    throw new PartitionMetadataDamagedError(`${path} is damaged: expected "version: 0" and "topic_id: ID", found ${found}`)
  }
  return match[1]
}

/** Writes the file where there is none. It outlives a power cut once it is synced, ahead of the log's first flush: thousands of new partitions need no fsync each. */
export async function writePartitionMetadata(fs: FileSystem, dir: string, topicId: string): Promise<void> {
  const fd = await fs.open(join(dir, FILE_NAME), 'replace')
  try {
    await writeFully(fs, fd, Buffer.from(`version: 0\ntopic_id: ${topicId}`), 0)
  } finally {
    await fs.close(fd)
  }
}

/** Makes the file, if there is one, outlive a power cut; its name does once the folder is synced. */
export async function syncPartitionMetadata(fs: FileSystem, dir: string): Promise<void> {
  const sync = async () => {
    const fd = await fs.open(join(dir, FILE_NAME), 'read')
    try {
      await fs.sync(fd)
    } finally {
      await fs.close(fd)
    }
  }
  await ignoringMissing(sync())
}

/** Removes the file, whose folder's topic is then no longer known. */
export function removePartitionMetadata(fs: FileSystem, dir: string): Promise<void> {
  return fs.unlink(join(dir, FILE_NAME))
}
