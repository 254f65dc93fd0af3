/**
 * Cluster state in ZooKeeper's model: a tree of versioned nodes, changed by atomic transactions in one total order. A node may belong to a
 * session and goes when that session ends; watches tell of changes. Source: ZooKeeper Programmer's Guide.
 */

/** What ZooKeeper calls Stat. A zxid is the number of the transaction that made a change: it grows by one each, over restarts too. */
export interface NodeStat {
  /** Transaction that created the node, changed its data, changed its list of children. */
  readonly czxid: number
  readonly mzxid: number
  readonly pzxid: number
  readonly ctimeMs: number
  readonly mtimeMs: number
  /** Number of changes to the data, to the list of children. */
  readonly version: number
  readonly cversion: number
  /** Session that the node vanishes with; 0 when it stays. */
  readonly ephemeralOwner: number
  readonly dataBytes: number
  readonly childrenCount: number
}

export interface StoredNode {
  /** Not to be written to. */
  readonly data: Buffer
  readonly stat: NodeStat
}

export type StoreErrorCode =
  | 'NoNode'
  | 'NodeExists'
  | 'BadVersion'
  | 'NotEmpty'
  | 'NoChildrenForEphemerals'
  | 'BadArguments'
  | 'SessionExpired'
  | 'StoreClosed'

/** A refused operation; nothing of it, or of the transaction it is part of, has happened. */
export class StoreError extends Error {
  override readonly name = 'StoreError'
  readonly code: StoreErrorCode
  readonly path: string
  /** Which operation of a `multi` was refused. */
  readonly operationIndex: number

  constructor(code: StoreErrorCode, path: string, operationIndex = 0) {
    super(`${code}: ${path}`)
    this.code = code
    this.path = path
    this.operationIndex = operationIndex
  }
}

/** True for a StoreError with that code: `if (isStoreError(error, 'NoNode'))`. */
export function isStoreError(error: unknown, code: StoreErrorCode): error is StoreError {
  return error instanceof StoreError && error.code === code
}

/** What `call` gives; undefined when its node is not there, or not any more. */
export async function ifThere<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call
  } catch (error) {
    if (isStoreError(error, 'NoNode')) return undefined
    throw error
  }
}

export interface CreateOptions {
  /** The node goes when this session ends; it can have no children. */
  readonly ephemeral?: boolean
  /** Appends ten digits to the path, larger than those of any sibling before. */
  readonly sequential?: boolean
}

/** `version`: the one the node must have; left out or −1, any. */
export type StoreOperation =
  | ({ readonly type: 'create'; readonly path: string; readonly data: Uint8Array } & CreateOptions)
  | { readonly type: 'set'; readonly path: string; readonly data: Uint8Array; readonly version?: number }
  | { readonly type: 'delete'; readonly path: string; readonly version?: number }
  | { readonly type: 'check'; readonly path: string; readonly version: number }

/** The node's path (with the digits of a sequential one) and its stat after the operation; no stat after a delete or check. */
export interface OperationResult {
  readonly path: string
  readonly stat: NodeStat | undefined
}

export type WatchEventType = 'created' | 'deleted' | 'dataChanged' | 'childrenChanged'

export interface WatchEvent {
  readonly type: WatchEventType
  readonly path: string
}

/** Called after the change is durable, in the order of changes. It must not throw. */
export type WatchListener = (event: WatchEvent) => void

/**
 * One session with the store. Calls take effect in the order they are made, and answers arrive in that order; a change is durable, and
 * seen by nobody outside before it is, when its promise resolves. Every call rejects with SessionExpired or StoreClosed once that is so.
 */
export interface MetadataStore {
  readonly sessionId: number

  /** @throws StoreError NoNode */
  get(path: string): Promise<StoredNode>
  /** The node's stat, or undefined when there is no such node. */
  exists(path: string): Promise<NodeStat | undefined>
  /** Names, not paths, sorted. @throws StoreError NoNode */
  children(path: string): Promise<string[]>

  /** @throws StoreError NodeExists, NoNode (no parent), NoChildrenForEphemerals, BadArguments (path or data size) */
  create(path: string, data: Uint8Array, options?: CreateOptions): Promise<OperationResult>
  /** @throws StoreError NoNode, BadVersion, BadArguments */
  set(path: string, data: Uint8Array, version?: number): Promise<NodeStat>
  /** @throws StoreError NoNode, BadVersion, NotEmpty */
  delete(path: string, version?: number): Promise<void>
  /** All of the operations or none of them. @throws StoreError of the first that is refused */
  multi(operations: readonly StoreOperation[]): Promise<OperationResult[]>

  /**
   * Calls `listener` for changes of the node at `path`, which need not exist yet: its creation and deletion, its data, its children.
   * Once: for the next event only. Events that follow quickly on each other may be told as one: a listener reads what it needs to know.
   * The returned function ends the watch.
   */
  watch(path: string, listener: WatchListener, options?: { readonly once?: boolean }): () => void

  /** Settles when the session has ended: resolves after `close`, rejects when it expired or the store failed. */
  readonly ended: Promise<void>
  /** Ends the session: its ephemeral nodes go. */
  close(): Promise<void>
}
