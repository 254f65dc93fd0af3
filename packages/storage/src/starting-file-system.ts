import type { Clock } from '@tidelog/core'
import { type FileSystem, nodeFileSystem } from './file-system.ts'
import { synchronousFileSystem } from './synchronous-file-system.ts'

/** A small read or write is a copy from or to the page cache. */
const SMALL_BYTES = 64 * 1024
/** A call that took longer has waited for the disk. */
const SLOW_CALL_MS = 2
/** After so many slow calls it is the disk that a start waits for: then several calls at a time, aside, are faster. */
const MAX_SLOW_CALLS = 20

/**
 * The real disk for a broker that starts. Nobody waits for its event loop yet, and what a start does, tens of small calls for each partition, takes a
 * fraction of the processor time on the loop of what it takes aside, as long as the answers are in the page cache. Where they are not, and once `started`
 * has been called, all calls leave the loop.
 */
export function startingFileSystem(clock: Clock): { readonly fs: FileSystem; started(): void } {
  let isStarting = true
  let slowCalls = 0
  /** The disk for the next call: on the loop when that is `small`. */
  function call<T>(run: (fs: FileSystem) => Promise<T>, isSmall = true): Promise<T> {
    if (!isStarting || !isSmall) return run(nodeFileSystem)
    const beganAt = clock.monotonic()
    const result = run(synchronousFileSystem)
    if (clock.monotonic() - beganAt > SLOW_CALL_MS && ++slowCalls === MAX_SLOW_CALLS) isStarting = false
    return result
  }
  const fs: FileSystem = {
    ...nodeFileSystem,
    open: (path, mode) => call((disk) => disk.open(path, mode)),
    close: (fd) => call((disk) => disk.close(fd)),
    read: (fd, into, position) => call((disk) => disk.read(fd, into, position), into.length <= SMALL_BYTES),
    write: (fd, bytes, position) => call((disk) => disk.write(fd, bytes, position), bytes.length <= SMALL_BYTES),
    truncate: (fd, sizeBytes) => call((disk) => disk.truncate(fd, sizeBytes)),
    list: (path) => call((disk) => disk.list(path)),
    stat: (path) => call((disk) => disk.stat(path)),
    readFile: (path) => call((disk) => disk.readFile(path)),
  }
  return {
    fs,
    started() {
      isStarting = false
    },
  }
}
