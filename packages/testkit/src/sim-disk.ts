import { dirname, resolve } from 'node:path'
import { type Random, seededRandom } from '@tidelog/core'
import type { DirectoryEntry, FileStat, FileSystem, OpenMode } from '@tidelog/storage'
import { applyToFile, applyToNames, type FileChange, type NameChange, withChange } from './sim-disk-changes.ts'

interface SimFile {
  readonly kind: 'file'
  content: Buffer
  modifiedMs: number
  /** What a power cut cannot take: the content at the last sync, which covered all changes up to `durableOrder`. */
  durable: Buffer
  durableOrder: number
  /** Changes since then, oldest first. */
  unsynced: FileChange[]
}

interface SimDirectory {
  readonly kind: 'directory'
  names: Map<string, SimNode>
  durable: Map<string, SimNode>
  durableOrder: number
  unsynced: NameChange<SimNode>[]
}

export type SimNode = SimFile | SimDirectory

interface OpenFile {
  readonly file: SimFile
  readonly path: string
  readonly isWritable: boolean
}

/** A change to the disk, as the failpoints count them. */
export interface DiskChange {
  readonly kind: 'make' | 'write' | 'truncate' | 'sync' | 'syncDirectory' | 'rename' | 'unlink' | 'removeTree' | 'makeDirectory'
  readonly path: string
}

export interface SimDiskOptions {
  /** Decides what a power cut keeps; the same seed, the same disk after the same changes. */
  readonly seed: number
  /** Dies in the middle of this change, counted from 1; never when absent. */
  readonly diesAt?: number
  /** Called ahead of each change; what it throws is what the change fails with. */
  readonly onChange?: (change: DiskChange) => void
}

const emptyFile = (content: Buffer, modifiedMs: number): SimFile => ({
  kind: 'file',
  content,
  modifiedMs,
  durable: content,
  durableOrder: 0,
  unsynced: [],
})
const emptyDirectory = (): SimDirectory => ({ kind: 'directory', names: new Map(), durable: new Map(), durableOrder: 0, unsynced: [] })

/**
 * A disk in memory that knows what was forced to it: the bytes of a file by `sync`, the names in a directory by `syncDirectory`, and nothing else.
 * `kill()` is what a killed process leaves (all of it), `powerCut()` what a lost power leaves: what was forced, and of the rest whatever the seed says:
 * all, nothing, a first part with its last write torn, or pieces out of order; renames without the bytes of what they renamed; files without a name.
 */
export class SimDisk {
  readonly fs: FileSystem
  readonly #root: SimDirectory
  readonly #random: Random
  readonly #seed: number
  readonly #diesAt: number
  readonly #onChange: ((change: DiskChange) => void) | undefined
  readonly #open = new Map<number, OpenFile>()
  #nextFd = 3
  #changes = 0
  /** Number of the latest change to a file or directory. */
  #order = 0
  #isDead = false
  /** Wall-clock ms that new content is stamped with. */
  nowMs = 1_700_000_000_000

  constructor({ seed, diesAt = Number.POSITIVE_INFINITY, onChange }: SimDiskOptions, root = emptyDirectory(), order = 0) {
    this.#order = order
    this.#root = root
    this.#seed = seed
    this.#random = seededRandom(seed)
    this.#diesAt = diesAt
    this.#onChange = onChange
    this.fs = this.#fileSystem()
  }

  /** Changes so far, the fatal one included. */
  get changesDone(): number {
    return this.#changes
  }

  /** It reached `diesAt`, or was killed or cut off. */
  get isDead(): boolean {
    return this.#isDead
  }

  /** Descriptors that nobody has closed. */
  get openFiles(): readonly string[] {
    return [...this.#open.values()].map(({ path }) => path)
  }

  /** The disk as the next process finds it when this one is killed: the page cache lives on. This one does nothing any more. */
  kill(options: Partial<SimDiskOptions> = {}): SimDisk {
    this.#isDead = true
    return new SimDisk({ seed: this.#seed + 1, ...options }, this.#root, this.#order)
  }

  /** The disk as it is found when the power was lost and is back. This one does nothing any more. */
  powerCut(options: Partial<SimDiskOptions> = {}): SimDisk {
    this.#isDead = true
    const survivors = new Map<SimNode, SimNode>()
    return new SimDisk({ seed: this.#seed + 1, ...options }, this.#survivor(this.#root, survivors) as SimDirectory)
  }

  #survivor(node: SimNode, survivors: Map<SimNode, SimNode>): SimNode {
    const known = survivors.get(node)
    if (known !== undefined) return known
    if (node.kind === 'file') {
      const content = applyToFile(node.durable, node.unsynced, this.#random)
      const file = emptyFile(content, node.modifiedMs)
      survivors.set(node, file)
      return file
    }
    const directory = emptyDirectory()
    survivors.set(node, directory)
    for (const [name, child] of applyToNames(node.durable, node.unsynced, this.#random)) {
      directory.names.set(name, this.#survivor(child, survivors))
    }
    directory.durable = new Map(directory.names)
    return directory
  }

  /** Counts a change. @returns true when the disk dies in it, halfway: the caller does half and then calls `#dead`. */
  #begin(change: DiskChange): boolean {
    this.#alive()
    this.#onChange?.(change)
    this.#changes++
    if (this.#changes < this.#diesAt) return false
    this.#isDead = true
    return true
  }

  #alive(): void {
    if (this.#isDead) throw this.#dead()
  }

  #dead(): Error {
    return Object.assign(new Error('EIO: the simulated disk is gone'), { code: 'EIO' })
  }

  #fileSystem(): FileSystem {
    return {
      open: async (path, mode) => this.#openFile(path, mode),
      close: async (fd) => void this.#open.delete(fd),
      read: async (fd, into, position) => {
        this.#alive()
        const { content } = this.#descriptor(fd).file
        return position >= content.length ? 0 : content.copy(into, 0, position)
      },
      write: async (fd, bytes, position) => this.#write(fd, bytes, position),
      truncate: async (fd, sizeBytes) => {
        const { file, path } = this.#descriptor(fd, 'to write')
        if (this.#begin({ kind: 'truncate', path })) throw this.#dead()
        this.#change(file, { kind: 'truncate', sizeBytes, order: ++this.#order })
      },
      sync: async (fd) => {
        const { file, path } = this.#descriptor(fd)
        if (this.#begin({ kind: 'sync', path })) throw this.#dead()
        await this.#synced(file, file.content)
      },
      syncDirectory: async (path) => {
        const directory = this.#directory(path)
        if (this.#begin({ kind: 'syncDirectory', path })) throw this.#dead()
        await this.#synced(directory, new Map(directory.names))
      },
      rename: async (from, to) => this.#rename(from, to),
      unlink: async (path) => {
        const node = this.#node(path)
        if (node.kind === 'directory') throw systemError('EISDIR', path)
        if (this.#begin({ kind: 'unlink', path })) throw this.#dead()
        this.#unlink(path)
      },
      removeTree: async (path) => this.#removeTree(path),
      makeDirectory: async (path) => this.#makeDirectory(path),
      list: async (path): Promise<DirectoryEntry[]> => {
        this.#alive()
        return [...this.#directory(path).names].map(([name, node]) => ({ name, isDirectory: node.kind === 'directory' }))
      },
      stat: async (path): Promise<FileStat | undefined> => {
        this.#alive()
        const node = this.#find(path)
        if (node === undefined) return undefined
        if (node.kind === 'directory') return { sizeBytes: 0, modifiedMs: 0, isDirectory: true }
        return { sizeBytes: node.content.length, modifiedMs: node.modifiedMs, isDirectory: false }
      },
      readFile: async (path) => {
        this.#alive()
        const node = this.#node(path)
        if (node.kind === 'directory') throw systemError('EISDIR', path)
        return Buffer.from(node.content)
      },
      setModified: async (path, modifiedMs) => {
        this.#alive()
        const node = this.#node(path)
        if (node.kind === 'file') node.modifiedMs = modifiedMs
      },
    }
  }

  #openFile(path: string, mode: OpenMode): number {
    this.#alive()
    let node = this.#find(path)
    if (node?.kind === 'directory') throw systemError('EISDIR', path)
    if (node === undefined) {
      if (mode === 'read' || mode === 'update') throw systemError('ENOENT', path)
      const parent = this.#directory(dirname(path))
      if (this.#begin({ kind: 'make', path })) throw this.#dead()
      node = emptyFile(Buffer.alloc(0), this.nowMs)
      this.#link(parent, nameOf(path), node)
    } else if (mode === 'replace' && node.content.length > 0) {
      if (this.#begin({ kind: 'truncate', path })) throw this.#dead()
      this.#change(node, { kind: 'truncate', sizeBytes: 0, order: ++this.#order })
    }
    const fd = this.#nextFd++
    this.#open.set(fd, { file: node, path, isWritable: mode !== 'read' })
    return fd
  }

  #write(fd: number, bytes: Buffer, position: number): number {
    const { file, path } = this.#descriptor(fd, 'to write')
    const isLast = this.#begin({ kind: 'write', path })
    const written = isLast ? this.#random.int(bytes.length + 1) : bytes.length
    if (written > 0) this.#change(file, { kind: 'write', position, bytes: Buffer.from(bytes.subarray(0, written)), order: ++this.#order })
    if (isLast) throw this.#dead()
    return written
  }

  /** A sync takes a while: what changes meanwhile is not covered by it. */
  async #synced<Content>(node: { durable: Content; durableOrder: number; unsynced: { order: number }[] }, content: Content): Promise<void> {
    const order = this.#order
    for (let turns = this.#random.int(3); turns > 0; turns--) await new Promise(setImmediate)
    this.#alive()
    if (order <= node.durableOrder) return
    node.durable = content
    node.durableOrder = order
    node.unsynced = node.unsynced.filter((change) => change.order > order)
  }

  #change(file: SimFile, change: FileChange): void {
    file.content = withChange(file.content, change)
    file.modifiedMs = this.nowMs
    file.unsynced.push(change)
  }

  #rename(from: string, to: string): void {
    const node = this.#node(from)
    const source = this.#directory(dirname(from))
    const target = this.#directory(dirname(to))
    const replaced = this.#find(to)
    if (replaced?.kind === 'directory' && replaced.names.size > 0) throw systemError('ENOTEMPTY', to)
    if (this.#begin({ kind: 'rename', path: to })) throw this.#dead()
    source.names.delete(nameOf(from))
    target.names.set(nameOf(to), node)
    if (source === target) {
      source.unsynced.push({ kind: 'rename', from: nameOf(from), to: nameOf(to), node, order: ++this.#order })
    } else {
      target.unsynced.push({ kind: 'link', name: nameOf(to), node, order: ++this.#order })
      source.unsynced.push({ kind: 'unlink', name: nameOf(from), order: ++this.#order })
    }
  }

  #unlink(path: string): void {
    const parent = this.#directory(dirname(path))
    parent.names.delete(nameOf(path))
    parent.unsynced.push({ kind: 'unlink', name: nameOf(path), order: ++this.#order })
  }

  #link(parent: SimDirectory, name: string, node: SimNode): void {
    parent.names.set(name, node)
    parent.unsynced.push({ kind: 'link', name, node, order: ++this.#order })
  }

  /** One entry after the other, so that it can end halfway. */
  #removeTree(path: string): void {
    this.#alive()
    const node = this.#find(path)
    if (node === undefined) return
    if (node.kind === 'directory') for (const name of [...node.names.keys()]) this.#removeTree(`${path}/${name}`)
    if (this.#begin({ kind: 'removeTree', path })) throw this.#dead()
    this.#unlink(path)
  }

  #makeDirectory(path: string): boolean {
    this.#alive()
    const found = this.#find(path)
    if (found?.kind === 'directory') return false
    if (found !== undefined) throw systemError('EEXIST', path)
    this.#makeDirectory(dirname(path))
    if (this.#begin({ kind: 'makeDirectory', path })) throw this.#dead()
    this.#link(this.#directory(dirname(path)), nameOf(path), emptyDirectory())
    return true
  }

  #descriptor(fd: number, purpose?: 'to write'): OpenFile {
    const open = this.#open.get(fd)
    if (open === undefined || (purpose !== undefined && !open.isWritable)) throw systemError('EBADF', String(fd))
    return open
  }

  #find(path: string): SimNode | undefined {
    let node: SimNode = this.#root
    for (const name of resolve(path).split('/').filter(Boolean)) {
      const next: SimNode | undefined = node.kind === 'directory' ? node.names.get(name) : undefined
      if (next === undefined) return undefined
      node = next
    }
    return node
  }

  #node(path: string): SimNode {
    const node = this.#find(path)
    if (node === undefined) throw systemError('ENOENT', path)
    return node
  }

  #directory(path: string): SimDirectory {
    const node = this.#node(path)
    if (node.kind === 'file') throw systemError('ENOTDIR', path)
    return node
  }
}

function nameOf(path: string): string {
  return resolve(path)
    .slice(dirname(resolve(path)).length)
    .replace(/^\//, '')
}

function systemError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code })
}
