/**
 * Disks, and brokers' bugs in the guise of disks: planted to prove that the checker finds them. A product has no switch for them, so they sit where a
 * broker takes its disk from. Only `.log` files are lied about.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { type FileSystem, nodeFileSystem } from '@tidelog/storage'

/** Watches which descriptor is which log file. */
function followingLogs(inner: FileSystem): { fs: FileSystem; logOf(fd: number): string | undefined } {
  const logs = new Map<number, string>()
  const fs: FileSystem = {
    ...inner,
    async open(path, mode) {
      const fd = await inner.open(path, mode)
      if (path.endsWith('.log')) logs.set(fd, path)
      else logs.delete(fd)
      return fd
    },
  }
  return { fs, logOf: (fd) => logs.get(fd) }
}

/** The bug 'ack before write': a write is reported done when it lies in a buffer of the process, and happens `delayMs` later. */
export function writingLater(delayMs: number, inner: FileSystem = nodeFileSystem): FileSystem {
  const { fs, logOf } = followingLogs(inner)
  const pending = new Map<string, Promise<void>>()
  const settled = (fd: number): Promise<void> => pending.get(logOf(fd) ?? '') ?? Promise.resolve()
  return {
    ...fs,
    async write(fd, bytes, position) {
      const path = logOf(fd)
      if (path === undefined) return inner.write(fd, bytes, position)
      const copy = Buffer.from(bytes)
      const dueMs = performance.now() + delayMs
      const write = settled(fd).then(async () => {
        await new Promise((resolve) => setTimeout(resolve, dueMs - performance.now()))
        for (let at = 0; at < copy.length; ) at += await inner.write(fd, copy.subarray(at), position + at)
      })
      pending.set(path, write)
      return copy.length
    },
    async read(fd, into, position) {
      await settled(fd)
      return inner.read(fd, into, position)
    },
    async truncate(fd, sizeBytes) {
      await settled(fd)
      await inner.truncate(fd, sizeBytes)
    },
    async sync(fd) {
      await settled(fd)
      await inner.sync(fd)
    },
    async close(fd) {
      await settled(fd)
      await inner.close(fd)
    },
  }
}

/** The bug 'skipped truncation': recovery finds a torn tail and leaves it, and what is appended from then on lies behind it. */
export function keepingTornTails(inner: FileSystem = nodeFileSystem): FileSystem {
  const { fs, logOf } = followingLogs(inner)
  return {
    ...fs,
    async truncate(fd, sizeBytes) {
      if (logOf(fd) === undefined) await inner.truncate(fd, sizeBytes)
    },
    async write(fd, bytes, position) {
      const path = logOf(fd)
      return inner.write(fd, bytes, path === undefined ? position : (await stat(path)).size)
    },
  }
}

type Range = readonly [from: number, to: number]

/** What a failed fsync has dropped, or what a later one has brought to disk after all. */
interface Note {
  readonly path: string
  readonly dropped?: readonly Range[]
  readonly written?: readonly Range[]
}

/**
 * No bug, but a disk as Linux makes one of a device that fails: while the file `failsWhile` exists, an fsync of what is not on disk yet fails, its pages
 * count as clean from then on, so that the next fsync succeeds, and what they held is gone when the machine restarts, unless it is written again:
 * `applyDrops`. A restart of the broker alone finds all of it in the page cache.
 * @param dropsTo A file that keeps account of it.
 */
export function droppingUnsynced(
  { failsWhile, dropsTo }: { failsWhile: string; dropsTo: string },
  inner: FileSystem = nodeFileSystem,
): FileSystem {
  const { fs, logOf } = followingLogs(inner)
  const dirty = new Map<string, Range[]>()
  const note = (line: Note): void => appendFileSync(dropsTo, `${JSON.stringify(line)}\n`)
  return {
    ...fs,
    async write(fd, bytes, position) {
      const path = logOf(fd)
      const written = await inner.write(fd, bytes, position)
      if (path !== undefined) dirty.set(path, [...(dirty.get(path) ?? []), [position, position + written]])
      return written
    },
    async sync(fd) {
      const path = logOf(fd)
      const ranges = path === undefined ? undefined : dirty.get(path)
      if (path === undefined || ranges === undefined) return inner.sync(fd)
      dirty.delete(path)
      if (existsSync(failsWhile)) {
        note({ path, dropped: ranges })
        throw Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' })
      }
      await inner.sync(fd)
      if (existsSync(dropsTo)) note({ path, written: ranges })
    },
  }
}

/** The bug 'retried fsync': one that failed is called again, and its success believed. */
export function retryingSync(inner: FileSystem): FileSystem {
  return { ...inner, sync: (fd) => inner.sync(fd).catch(() => inner.sync(fd)) }
}

/** The machine restarts and reads from the device: what was dropped, and not written again since, is zeros. */
export async function applyDrops(dropsTo: string): Promise<void> {
  const lost = new Map<string, Range[]>()
  for (const line of readFileSync(dropsTo, 'utf8').split('\n').filter(Boolean)) {
    const { path, dropped = [], written = [] } = JSON.parse(line) as Note
    const left = written.reduce(without, [...(lost.get(path) ?? [])])
    lost.set(path, [...left, ...dropped])
  }
  for (const [path, ranges] of lost) {
    const file = await open(path, 'r+')
    try {
      const { size } = await file.stat()
      for (const [from, to] of ranges) {
        const length = Math.min(to, size) - from
        if (length > 0) await file.write(Buffer.alloc(length), 0, length, from)
      }
    } finally {
      await file.close()
    }
  }
}

function without(ranges: Range[], [from, to]: Range): Range[] {
  const parts = ranges.flatMap(([start, end]): Range[] => [
    [start, Math.min(end, from)],
    [Math.max(start, to), end],
  ])
  return parts.filter(([start, end]) => start < end)
}

/** By the name that a test gives to planted-broker.ts. `control`: a path that the files of `droppingUnsynced` begin with. */
export const disks = {
  'sound disk': (_control: string): FileSystem => nodeFileSystem,
  'ack before write': (_control: string): FileSystem => writingLater(100),
  'skipped truncation': (_control: string): FileSystem => keepingTornTails(),
  'failing fsync': (control: string): FileSystem => droppingUnsynced(controlFiles(control)),
  'retried fsync': (control: string): FileSystem => retryingSync(droppingUnsynced(controlFiles(control))),
}

export type DiskName = keyof typeof disks

export const controlFiles = (control: string): { failsWhile: string; dropsTo: string } => ({
  failsWhile: `${control}.fail`,
  dropsTo: `${control}.dropped`,
})
