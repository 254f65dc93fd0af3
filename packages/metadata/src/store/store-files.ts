import { type FileHandle, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'

/** What the embedded store needs of a disk: a few files in one directory. Passed in, so that tests can break it at any step. */
export interface StoreFiles {
  /** The whole file, or undefined when there is none. */
  read(name: string): Promise<Buffer | undefined>
  /** Opens for writing; creates the file when there is none, and empties it when `truncate` says so. */
  open(name: string, options: { truncate: boolean }): Promise<StoreFile>
  rename(from: string, to: string): Promise<void>
  /** Does nothing when there is no such file. */
  remove(name: string): Promise<void>
  /** Makes creations and renames outlive a power cut. */
  syncDirectory(): Promise<void>
}

export interface StoreFile {
  /** Writes all of `bytes` at `position`, or rejects; part of them may then be there. */
  write(bytes: Uint8Array, position: number): Promise<void>
  /** Makes what has been written outlive a power cut. */
  sync(): Promise<void>
  truncate(length: number): Promise<void>
  close(): Promise<void>
}

/** Group and others see nothing: SCRAM secrets and ACLs live here. */
const FILE_MODE = 0o600

class NodeStoreFile implements StoreFile {
  readonly #handle: FileHandle

  constructor(handle: FileHandle) {
    this.#handle = handle
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    // One write may take less than it is given (a quota, a signal); the next one says why.
    let written = 0
    while (written < bytes.length) {
      const { bytesWritten } = await this.#handle.write(bytes, written, bytes.length - written, position + written)
      if (bytesWritten === 0) throw new Error('the file takes no more bytes')
      written += bytesWritten
    }
  }

  sync(): Promise<void> {
    return this.#handle.datasync()
  }

  truncate(length: number): Promise<void> {
    return this.#handle.truncate(length)
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

/** The real disk. @param dir An existing directory. */
export function nodeStoreFiles(dir: string): StoreFiles {
  return {
    async read(name) {
      try {
        return await readFile(join(dir, name))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        throw error
      }
    },
    async open(name, { truncate }) {
      if (truncate) return new NodeStoreFile(await open(join(dir, name), 'w', FILE_MODE))
      return new NodeStoreFile(await open(join(dir, name), 'r+', FILE_MODE))
    },
    rename: (from, to) => rename(join(dir, from), join(dir, to)),
    remove: (name) => rm(join(dir, name), { force: true }),
    async syncDirectory() {
      const handle = await open(dir, 'r')
      try {
        await handle.sync()
      } finally {
        await handle.close()
      }
    },
  }
}
