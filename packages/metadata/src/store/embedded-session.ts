import type { DataTree } from './data-tree.ts'
import {
  type CreateOptions,
  type MetadataStore,
  type NodeStat,
  type OperationResult,
  type StoredNode,
  StoreError,
  type StoreOperation,
  type WatchListener,
} from './metadata-store.ts'

/** What a session asks of its store. */
export interface SessionHost {
  read<T>(look: (tree: DataTree) => T): Promise<T>
  execute(operations: readonly StoreOperation[]): Promise<OperationResult[]>
  watch(path: string, listener: WatchListener): () => void
  /** Deletes the session's ephemeral nodes. */
  end(): Promise<void>
}

export class EmbeddedSession implements MetadataStore {
  readonly sessionId: number
  readonly ended: Promise<void>
  readonly #host: SessionHost
  readonly #unwatch = new Set<() => void>()
  #isOver = false
  #closing: Promise<void> | undefined
  #resolveEnded!: () => void
  #rejectEnded!: (error: Error) => void

  constructor(sessionId: number, host: SessionHost) {
    this.sessionId = sessionId
    this.#host = host
    this.ended = new Promise((resolve, reject) => {
      this.#resolveEnded = resolve
      this.#rejectEnded = reject
    })
    this.ended.catch(() => {})
  }

  get(path: string): Promise<StoredNode> {
    return this.#read((tree) => tree.get(path) ?? refuse('NoNode', path), path)
  }

  exists(path: string): Promise<NodeStat | undefined> {
    return this.#read((tree) => tree.get(path)?.stat, path)
  }

  children(path: string): Promise<string[]> {
    return this.#read((tree) => tree.childrenOf(path) ?? refuse('NoNode', path), path)
  }

  async create(path: string, data: Uint8Array, options: CreateOptions = {}): Promise<OperationResult> {
    const [result] = await this.multi([{ type: 'create', path, data, ...options }])
    return result!
  }

  async set(path: string, data: Uint8Array, version = -1): Promise<NodeStat> {
    const [result] = await this.multi([{ type: 'set', path, data, version }])
    return result!.stat!
  }

  async delete(path: string, version = -1): Promise<void> {
    await this.multi([{ type: 'delete', path, version }])
  }

  multi(operations: readonly StoreOperation[]): Promise<OperationResult[]> {
    if (this.#isOver) return Promise.reject(new StoreError('SessionExpired', operations[0]?.path ?? '/'))
    return this.#host.execute(operations)
  }

  watch(path: string, listener: WatchListener, { once = false }: { once?: boolean } = {}): () => void {
    if (this.#isOver) return () => {}
    const unwatch = this.#host.watch(path, (event) => {
      if (once) stop()
      listener(event)
    })
    const stop = () => {
      unwatch()
      this.#unwatch.delete(stop)
    }
    this.#unwatch.add(stop)
    return stop
  }

  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  /** The store can write no more; nodes of this session go when it is opened again. */
  fail(error: Error): void {
    this.#stop()
    this.#rejectEnded(error)
  }

  async #end(): Promise<void> {
    if (this.#isOver) return
    this.#stop()
    try {
      await this.#host.end()
      this.#resolveEnded()
    } catch (error) {
      this.#rejectEnded(error as Error)
    }
  }

  #stop(): void {
    this.#isOver = true
    for (const unwatch of [...this.#unwatch]) unwatch()
  }

  #read<T>(look: (tree: DataTree) => T, path: string): Promise<T> {
    if (this.#isOver) return Promise.reject(new StoreError('SessionExpired', path))
    return this.#host.read(look)
  }
}

function refuse(code: 'NoNode', path: string): never {
  throw new StoreError(code, path)
}
