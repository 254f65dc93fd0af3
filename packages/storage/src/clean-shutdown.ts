import { join } from 'node:path'
import { type FileSystem, isMissing, readTextIfPresent, writeFileAtomically } from './file-system.ts'

/*
 * .kafka_cleanshutdown in a log dir: {"version":0,"brokerEpoch":N}, N being -1 when the epoch is not known. It is there from the end of a clean
 * stop to the next start, which takes it away before anything is written.
 */
const FILE_NAME = '.kafka_cleanshutdown'

/** Whether the directory was closed in order. Only the file's presence counts, as in Kafka: older versions left it empty. */
export async function wasCleanShutdown(fs: FileSystem, dir: string): Promise<boolean> {
  return (await readTextIfPresent(fs, join(dir, FILE_NAME))) !== undefined
}

/** Takes the marker away; on disk when it resolves, so that a crash right after it is not taken for a clean stop. */
export async function removeCleanShutdownMarker(fs: FileSystem, dir: string): Promise<void> {
  try {
    await fs.unlink(join(dir, FILE_NAME))
  } catch (error) {
    if (isMissing(error)) return
    throw error
  }
  await fs.syncDirectory(dir)
}

export async function writeCleanShutdownMarker(fs: FileSystem, dir: string, brokerEpoch: number): Promise<void> {
  await writeFileAtomically(fs, join(dir, FILE_NAME), `{"version":0,"brokerEpoch":${brokerEpoch}}`)
}
