import { invariant } from '@tidelog/core'
import { type FileSystem, isOutOfDescriptors } from './file-system.ts'

/** A file that is open only while it is used, or was lately. */
export class PooledFile {
  path: string
  fd = -1
  users = 0
  opening: Promise<void> | undefined
  /** Close, and do not open any more: the segment is gone. */
  isGone = false

  constructor(path: string) {
    this.path = path
  }
}

/** Keeps at most `maxIdle` segment files open beyond those in use, so that a broker with many partitions stays below its limit of descriptors. */
export class FilePool {
  readonly #fs: FileSystem
  readonly #maxIdle: number
  /** Open files that nobody uses at the moment, least recently used first. */
  readonly #idle = new Set<PooledFile>()

  constructor(fs: FileSystem, maxIdle = 1000) {
    this.#fs = fs
    this.#maxIdle = maxIdle
  }

  /** Runs `use` with the open file; the descriptor is valid until its promise settles. */
  async use<T>(file: PooledFile, use: (fd: number) => Promise<T>): Promise<T> {
    file.users++
    this.#idle.delete(file)
    try {
      if (file.fd < 0) await this.#open(file)
      return await use(file.fd)
    } finally {
      this.#release(file)
    }
  }

  /** Closes the file once its last user is done. It opens again on the next use unless `forEver`. */
  async close(file: PooledFile, { forEver = false } = {}): Promise<void> {
    if (forEver) file.isGone = true
    if (file.users > 0 || file.fd < 0) return
    this.#idle.delete(file)
    await this.#closeNow(file)
  }

  async #open(file: PooledFile): Promise<void> {
    file.opening ??= this.#openNow(file).finally(() => {
      file.opening = undefined
    })
    await file.opening
  }

  /** When the process has no descriptor left, say because of a rush of connections, those of idle files are given up for this one. */
  async #openNow(file: PooledFile): Promise<void> {
    try {
      file.fd = await this.#fs.open(file.path, 'update')
    } catch (error) {
      if (!isOutOfDescriptors(error) || this.#idle.size === 0) throw error
      const idle = [...this.#idle]
      this.#idle.clear()
      await Promise.all(idle.map((other) => this.#closeNow(other)))
      file.fd = await this.#fs.open(file.path, 'update')
    }
  }

  #release(file: PooledFile): void {
    file.users--
    invariant(file.users >= 0, `${file.path} was released twice`)
    if (file.users > 0 || file.fd < 0) return
    if (file.isGone) {
      void this.#closeNow(file)
      return
    }
    this.#idle.add(file)
    if (this.#idle.size <= this.#maxIdle) return
    for (const oldest of this.#idle) {
      this.#idle.delete(oldest)
      void this.#closeNow(oldest)
      break
    }
  }

  /** Nothing is lost when a close fails: what was written is in the page cache, and fsync reports what did not get further. */
  async #closeNow(file: PooledFile): Promise<void> {
    const { fd } = file
    file.fd = -1
    await this.#fs.close(fd).catch(() => {})
  }
}
