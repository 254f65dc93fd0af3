import { type FileSystem, nodeFileSystem } from '@tidelog/storage'

/** A disk that forgets no write and waits for none: fit wherever a process is killed or closed, but no power is cut. */
export const unsyncedFileSystem: FileSystem = { ...nodeFileSystem, sync: async () => {}, syncDirectory: async () => {} }

export interface KilledFileSystem {
  readonly fs: FileSystem
  /** How many changes were made, up to the fatal one. */
  changesDone(): number
}

/** A disk that works until the n-th change, does half of that one, and from then on nothing: a process killed in the middle of a system call. */
export function killedFileSystem(changes: number): KilledFileSystem {
  let left = changes
  const step = async (half: () => Promise<unknown>): Promise<void> => {
    if (left <= 0) throw new Error('killed')
    left--
    if (left > 0) return
    await half().catch(() => {})
    throw new Error('killed')
  }
  const nothing = async (): Promise<void> => {}
  const fs: FileSystem = {
    ...nodeFileSystem,
    async open(path, mode) {
      if (mode !== 'read') await step(nothing)
      return nodeFileSystem.open(path, mode)
    },
    async write(fd, bytes, position) {
      await step(() => nodeFileSystem.write(fd, bytes.subarray(0, bytes.length >> 1), position))
      return nodeFileSystem.write(fd, bytes, position)
    },
    async truncate(fd, sizeBytes) {
      await step(nothing)
      await nodeFileSystem.truncate(fd, sizeBytes)
    },
    async makeDirectory(path) {
      await step(nothing)
      return nodeFileSystem.makeDirectory(path)
    },
    async rename(from, to) {
      await step(nothing)
      await nodeFileSystem.rename(from, to)
    },
    async unlink(path) {
      await step(nothing)
      await nodeFileSystem.unlink(path)
    },
    async removeTree(path) {
      await step(nothing)
      await nodeFileSystem.removeTree(path)
    },
    syncDirectory: nothing,
    sync: nothing,
  }
  return { fs, changesDone: () => changes - left }
}
