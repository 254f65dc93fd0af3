import { closeSync, fsyncSync, ftruncateSync, openSync, readSync, statSync, utimesSync, writeSync } from 'node:fs'
import { type FileSystem, nodeFileSystem, openFlags } from '../file-system.ts'

/**
 * The real disk as a thread of its own sees it: calls that are done when they return save the way to libuv's threads and back, which the broker's
 * event loops need more.
 */
export const synchronousFileSystem: FileSystem = {
  ...nodeFileSystem,
  open: async (path, mode) => openSync(path, openFlags[mode], 0o644),
  close: async (fd) => closeSync(fd),
  read: async (fd, into, position) => readSync(fd, into, 0, into.length, position),
  write: async (fd, bytes, position) => writeSync(fd, bytes, 0, bytes.length, position),
  truncate: async (fd, sizeBytes) => ftruncateSync(fd, sizeBytes),
  sync: async (fd) => fsyncSync(fd),
  async setModified(path, modifiedMs) {
    utimesSync(path, modifiedMs / 1000, modifiedMs / 1000)
  },
  async stat(path) {
    const stats = statSync(path, { throwIfNoEntry: false })
    return stats && { sizeBytes: stats.size, modifiedMs: stats.mtimeMs, isDirectory: stats.isDirectory() }
  },
}
