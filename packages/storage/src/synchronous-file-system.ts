import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  utimesSync,
  writeSync,
} from 'node:fs'
import { type FileSystem, nodeFileSystem, openFlags } from './file-system.ts'

/**
 * The real disk by calls that are done when they return: they save the way to libuv's threads and back. For a thread of its own, or where nobody waits
 * for the event loop.
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
  list: async (path) => readdirSync(path, { withFileTypes: true }).map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() })),
  readFile: async (path) => readFileSync(path),
  async stat(path) {
    const stats = statSync(path, { throwIfNoEntry: false })
    return stats && { sizeBytes: stats.size, modifiedMs: stats.mtimeMs, isDirectory: stats.isDirectory() }
  },
}
