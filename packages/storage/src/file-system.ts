import {
  close,
  constants,
  fsync,
  ftruncate,
  mkdir,
  open,
  promises,
  read,
  readdir,
  readFile,
  rename,
  type Stats,
  stat,
  unlink,
  utimes,
  write,
} from 'node:fs'
import { dirname } from 'node:path'

export interface FileStat {
  readonly sizeBytes: number
  readonly modifiedMs: number
  readonly isDirectory: boolean
}

export interface DirectoryEntry {
  readonly name: string
  readonly isDirectory: boolean
}

/** read: the file must exist; update: read and write, must exist; create: read and write, made when missing; replace: made, or emptied. */
export type OpenMode = 'read' | 'update' | 'create' | 'replace'

/** The disk as this room sees it. Tests and simulations pass one that fails, tears or forgets writes. Errors are Node's, with their `code`. */
export interface FileSystem {
  open(path: string, mode: OpenMode): Promise<number>
  close(fd: number): Promise<void>
  /** One pread: may return fewer bytes than asked, 0 at the end of the file. */
  read(fd: number, into: Buffer, position: number): Promise<number>
  /** One pwrite: may write fewer bytes than given. `writeFully` loops. */
  write(fd: number, bytes: Buffer, position: number): Promise<number>
  truncate(fd: number, sizeBytes: number): Promise<void>
  /** Resolves when the file's bytes would outlive a power cut. */
  sync(fd: number): Promise<void>
  /** Resolves when the names in `path` would outlive a power cut. */
  syncDirectory(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
  removeTree(path: string): Promise<void>
  /** Parents are made too; no error when it is there. Returns whether it was made. */
  makeDirectory(path: string): Promise<boolean>
  list(path: string): Promise<DirectoryEntry[]>
  stat(path: string): Promise<FileStat | undefined>
  readFile(path: string): Promise<Buffer>
  /** Sets when a file says that it was last written to, in ms since the Unix epoch. */
  setModified(path: string, modifiedMs: number): Promise<void>
}

/** What each mode is to the operating system. */
export const openFlags: Record<OpenMode, number> = {
  read: constants.O_RDONLY,
  update: constants.O_RDWR,
  create: constants.O_RDWR | constants.O_CREAT,
  replace: constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC,
}

type Settle<T> = (error: NodeJS.ErrnoException | null, value?: T) => void

/** Node's callback functions on bare descriptors: half the cost of its FileHandle. */
function call<T = void>(start: (settle: Settle<T>) => void): Promise<T> {
  return new Promise<T>((resolve, reject) => start((error, value) => (error === null ? resolve(value as T) : reject(error))))
}

export const nodeFileSystem: FileSystem = {
  open: (path, mode) => call((settle) => open(path, openFlags[mode], 0o644, settle)),
  close: (fd) => call((settle) => close(fd, settle)),
  read: (fd, into, position) => call((settle) => read(fd, into, 0, into.length, position, settle)),
  write: (fd, bytes, position) => call((settle) => write(fd, bytes, 0, bytes.length, position, settle)),
  truncate: (fd, sizeBytes) => call((settle) => ftruncate(fd, sizeBytes, settle)),
  sync: (fd) => call((settle) => fsync(fd, settle)),
  async syncDirectory(path) {
    const fd = await this.open(path, 'read')
    try {
      await this.sync(fd)
    } finally {
      await this.close(fd)
    }
  },
  rename: (from, to) => call((settle) => rename(from, to, settle)),
  unlink: (path) => call((settle) => unlink(path, settle)),
  removeTree: (path) => promises.rm(path, { recursive: true, force: true }),
  makeDirectory,
  async list(path) {
    const entries = await call<import('node:fs').Dirent[]>((settle) => readdir(path, { withFileTypes: true }, settle))
    return entries.map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() }))
  },
  async stat(path) {
    try {
      const stats = await call<Stats>((settle) => stat(path, settle))
      return { sizeBytes: stats.size, modifiedMs: stats.mtimeMs, isDirectory: stats.isDirectory() }
    } catch (error) {
      if (isMissing(error)) return undefined
      throw error
    }
  },
  readFile: (path) => call((settle) => readFile(path, settle)),
  setModified: (path, modifiedMs) => call((settle) => utimes(path, modifiedMs / 1000, modifiedMs / 1000, settle)),
}

/** Node's own recursive mkdir never returns where nothing can be made, as below /proc. */
async function makeDirectory(path: string): Promise<boolean> {
  const make = (): Promise<void> => call((settle) => mkdir(path, (error) => settle(error)))
  try {
    await make().catch(async (error: unknown) => {
      if (!isMissing(error) || dirname(path) === path) throw error
      await makeDirectory(dirname(path))
      await make()
    })
    return true
  } catch (error) {
    if (hasCode(error, 'EEXIST') && (await nodeFileSystem.stat(path))?.isDirectory === true) return false
    throw error
  }
}

/** Makes a directory, with those above it that are missing. Their names outlive a power cut when it resolves: what is forced to disk below needs them. */
export async function makeDirectoryDurably(fs: FileSystem, path: string): Promise<void> {
  const missing: string[] = []
  for (let at = path; (await fs.stat(at)) === undefined; at = dirname(at)) missing.push(at)
  await fs.makeDirectory(path)
  for (const made of missing) await fs.syncDirectory(dirname(made))
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code
}

export function isMissing(error: unknown): boolean {
  return hasCode(error, 'ENOENT')
}

export function isOutOfDescriptors(error: unknown): boolean {
  return hasCode(error, 'EMFILE') || hasCode(error, 'ENFILE')
}

/** Whether the operating system has said no, here or in what the error was caused by: not what is in a file, but the disk that it is on. */
export function isDiskError(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const { code } = error as NodeJS.ErrnoException
  return (typeof code === 'string' && /^E[A-Z0-9]+$/.test(code)) || isDiskError(error.cause)
}

/** Waits for `work`; that a file is not there is no error. */
export async function ignoringMissing(work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!isMissing(error)) throw error
  }
}

/** Writes all of `bytes`: a short write is gone on with, as Node does not. A write of nothing is an error, not an endless loop. */
export async function writeFully(fs: FileSystem, fd: number, bytes: Buffer, position: number): Promise<void> {
  let written = await fs.write(fd, bytes, position)
  while (written < bytes.length) {
    const more = await fs.write(fd, bytes.subarray(written), position + written)
    if (more <= 0)
      throw Object.assign(new Error(`wrote ${written} of ${bytes.length} bytes at ${position}: the disk takes no more`), { code: 'EIO' })
    written += more
  }
}

/** Fills `into`, or what of it the file has. Returns the number of bytes read. */
export async function readFully(fs: FileSystem, fd: number, into: Buffer, position: number): Promise<number> {
  let filled = await fs.read(fd, into, position)
  while (filled > 0 && filled < into.length) {
    const more = await fs.read(fd, into.subarray(filled), position + filled)
    if (more === 0) break
    filled += more
  }
  return filled
}

/**
 * Replaces a small file so that a crash leaves the old one or the new one: temporary file, fsync, rename, fsync of the directory.
 * Kafka's temporary name is the same, `NAME.tmp`.
 * @param options `durable: false` leaves out the last step: after a power cut the old file may be back, which the caller can live with.
 * `synced: false` leaves out the first fsync: after a power cut the file may be empty.
 */
export async function writeFileAtomically(
  fs: FileSystem,
  path: string,
  content: string | Buffer,
  { durable = true, synced = true }: { durable?: boolean; synced?: boolean } = {},
): Promise<void> {
  const temporary = `${path}.tmp`
  const fd = await fs.open(temporary, 'replace')
  try {
    await writeFully(fs, fd, Buffer.from(content), 0)
    if (synced) await fs.sync(fd)
  } finally {
    await fs.close(fd)
  }
  await fs.rename(temporary, path)
  if (durable) await fs.syncDirectory(dirname(path))
}

/** The file's content as UTF-8, or undefined when it is not there. */
export async function readTextIfPresent(fs: FileSystem, path: string): Promise<string | undefined> {
  try {
    return (await fs.readFile(path)).toString('utf8')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}
