import { invariant } from '@tidelog/core'
import { type NodeStat, type OperationResult, type StoredNode, StoreError, type StoreOperation, type WatchEvent } from './metadata-store.ts'

/** As ZooKeeper's default jute.maxbuffer. */
const MAX_NODE_DATA_BYTES = 1024 * 1024 - 1
const MAX_PATH_CHARS = 4096

/** A change as it happened: nothing about it depends any more on what was there. Sequential digits are part of the path. */
export type TreeChange =
  | { readonly type: 'create'; readonly path: string; readonly data: Buffer; readonly ephemeralOwner: number }
  | { readonly type: 'set'; readonly path: string; readonly data: Buffer }
  | { readonly type: 'delete'; readonly path: string }

export interface Transaction {
  readonly zxid: number
  readonly timeMs: number
  readonly changes: readonly TreeChange[]
}

/** A node as it is kept: fields change in place, `data` is replaced and never written to. */
export interface TreeNode {
  data: Buffer
  czxid: number
  mzxid: number
  pzxid: number
  ctimeMs: number
  mtimeMs: number
  version: number
  cversion: number
  ephemeralOwner: number
  /** Names; undefined while there is none, as for most nodes. */
  children: Set<string> | undefined
}

/** The nodes, and what an operation does to them. Knows nothing of time, disk or sessions beyond their number. */
export class DataTree {
  readonly #nodes = new Map<string, TreeNode>()
  readonly #ephemerals = new Map<number, Set<string>>()
  #lastZxid: number

  /** @param nodes Parents before their children; only the root when empty. */
  constructor(lastZxid = 0, nodes: Iterable<readonly [path: string, node: TreeNode]> = []) {
    this.#lastZxid = lastZxid
    this.#nodes.set('/', emptyNode())
    for (const [path, node] of nodes) {
      this.#nodes.set(path, node)
      if (path === '/') continue
      const parent = this.#nodes.get(parentOf(path))
      invariant(parent !== undefined, `${path} comes before its parent`)
      addChild(parent, path)
      if (node.ephemeralOwner !== 0) this.#own(node.ephemeralOwner, path)
    }
  }

  get lastZxid(): number {
    return this.#lastZxid
  }

  get(path: string): StoredNode | undefined {
    const node = this.#nodes.get(path)
    return node === undefined ? undefined : { data: node.data, stat: statOf(node) }
  }

  childrenOf(path: string): string[] | undefined {
    const node = this.#nodes.get(path)
    return node === undefined ? undefined : [...(node.children ?? [])].sort()
  }

  /** Paths of a session's nodes. */
  ephemeralsOf(sessionId: number): string[] {
    return [...(this.#ephemerals.get(sessionId) ?? [])]
  }

  /** Sessions that own nodes. */
  ephemeralOwners(): number[] {
    return [...this.#ephemerals.keys()]
  }

  /** Copies that later changes leave alone, parents before children. */
  copy(): [path: string, node: TreeNode][] {
    // A child is always inserted after its parent, and a parent cannot go before its children: insertion order will do.
    return [...this.#nodes].map(([path, node]) => [path, { ...node }])
  }

  /**
   * Applies all of `operations` or none.
   * @returns The transaction to write down (undefined when it changes nothing: checks only), its results and what watchers are told.
   * @throws StoreError of the first refused operation
   */
  execute(
    operations: readonly StoreOperation[],
    { sessionId, timeMs }: { sessionId: number; timeMs: number },
  ): { transaction: Transaction | undefined; results: OperationResult[]; events: WatchEvent[] } {
    const zxid = this.#lastZxid + 1
    const changes: TreeChange[] = []
    const undo: (() => void)[] = []
    const results: OperationResult[] = []
    try {
      for (const [index, operation] of operations.entries()) {
        const change = this.#resolve(operation, sessionId, index)
        if (change !== undefined) {
          undo.push(this.#apply(change, zxid, timeMs))
          changes.push(change)
        }
        const path = change?.path ?? operation.path
        const node = operation.type === 'check' ? undefined : this.#nodes.get(path)
        results.push({ path, stat: node === undefined ? undefined : statOf(node) })
      }
    } catch (error) {
      for (const step of undo.reverse()) step()
      throw error
    }
    if (changes.length === 0) return { transaction: undefined, results, events: [] }
    this.#lastZxid = zxid
    return { transaction: { zxid, timeMs, changes }, results, events: eventsOf(changes) }
  }

  /** Applies what has been executed before, in its order. @throws StoreError when it does not fit the tree */
  replay({ zxid, timeMs, changes }: Transaction): void {
    invariant(zxid === this.#lastZxid + 1, `transaction ${zxid} follows ${this.#lastZxid}`)
    for (const [index, change] of changes.entries()) {
      this.#check(change, index)
      this.#apply(change, zxid, timeMs)
    }
    this.#lastZxid = zxid
  }

  /** Turns a request into a change, or refuses it. */
  #resolve(operation: StoreOperation, sessionId: number, index: number): TreeChange | undefined {
    const { type, path } = operation
    if (!isValidPath(path) || (path === '/' && type !== 'set' && type !== 'check')) throw new StoreError('BadArguments', path, index)
    if (type === 'create') {
      const parent = this.#nodes.get(parentOf(path))
      if (parent === undefined) throw new StoreError('NoNode', path, index)
      const digits = operation.sequential === true ? String(parent.cversion).padStart(10, '0') : ''
      const change: TreeChange = {
        type,
        path: path + digits,
        data: copyOf(operation.data, path, index),
        ephemeralOwner: operation.ephemeral === true ? sessionId : 0,
      }
      this.#check(change, index)
      return change
    }
    const node = this.#nodes.get(path)
    if (node === undefined) throw new StoreError('NoNode', path, index)
    if (operation.version !== undefined && operation.version !== -1 && operation.version !== node.version) {
      throw new StoreError('BadVersion', path, index)
    }
    if (type === 'check') return undefined
    const change: TreeChange = type === 'set' ? { type, path, data: copyOf(operation.data, path, index) } : { type, path }
    this.#check(change, index)
    return change
  }

  #check(change: TreeChange, index: number): void {
    const node = this.#nodes.get(change.path)
    if (change.type === 'create') {
      const parent = this.#nodes.get(parentOf(change.path))
      if (parent === undefined) throw new StoreError('NoNode', change.path, index)
      if (parent.ephemeralOwner !== 0) throw new StoreError('NoChildrenForEphemerals', change.path, index)
      if (node !== undefined) throw new StoreError('NodeExists', change.path, index)
      return
    }
    if (node === undefined) throw new StoreError('NoNode', change.path, index)
    if (change.type === 'delete' && node.children !== undefined) throw new StoreError('NotEmpty', change.path, index)
  }

  /** Applies a checked change and returns what takes it back. */
  #apply(change: TreeChange, zxid: number, timeMs: number): () => void {
    const { path } = change
    if (change.type === 'set') {
      const node = this.#nodes.get(path)!
      const before = { ...node }
      node.data = change.data
      node.mzxid = zxid
      node.mtimeMs = timeMs
      node.version += 1
      return () => Object.assign(node, before)
    }
    const parent = this.#nodes.get(parentOf(path))!
    const parentBefore = { cversion: parent.cversion, pzxid: parent.pzxid }
    parent.cversion += 1
    parent.pzxid = zxid
    if (change.type === 'create') {
      const { data, ephemeralOwner } = change
      const node = { ...emptyNode(), data, czxid: zxid, mzxid: zxid, pzxid: zxid, ctimeMs: timeMs, mtimeMs: timeMs, ephemeralOwner }
      this.#insert(path, node, parent)
      return () => {
        this.#remove(path, node, parent)
        Object.assign(parent, parentBefore)
      }
    }
    const node = this.#nodes.get(path)!
    this.#remove(path, node, parent)
    return () => {
      this.#insert(path, node, parent)
      Object.assign(parent, parentBefore)
    }
  }

  #insert(path: string, node: TreeNode, parent: TreeNode): void {
    this.#nodes.set(path, node)
    addChild(parent, path)
    if (node.ephemeralOwner !== 0) this.#own(node.ephemeralOwner, path)
  }

  #remove(path: string, node: TreeNode, parent: TreeNode): void {
    this.#nodes.delete(path)
    parent.children?.delete(nameOf(path))
    if (parent.children?.size === 0) parent.children = undefined
    const owned = this.#ephemerals.get(node.ephemeralOwner)
    owned?.delete(path)
    if (owned?.size === 0) this.#ephemerals.delete(node.ephemeralOwner)
  }

  #own(sessionId: number, path: string): void {
    const owned = this.#ephemerals.get(sessionId)
    if (owned === undefined) this.#ephemerals.set(sessionId, new Set([path]))
    else owned.add(path)
  }
}

function addChild(parent: TreeNode, path: string): void {
  parent.children ??= new Set()
  parent.children.add(nameOf(path))
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf('/')
  return slash === 0 ? '/' : path.slice(0, slash)
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** Absolute; no step is empty, `.` or `..`, or has a control character or a lone surrogate. As ZooKeeper, also no character beyond the basic plane. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
const VALID_PATH = /^(?:\/(?!\.{1,2}(?:\/|$))[^/\u0000-\u001f\u007f-\u009f\ud800-\uf8ff\ufff0-\uffff]+)+$/

function isValidPath(path: string): boolean {
  return path === '/' || (path.length <= MAX_PATH_CHARS && VALID_PATH.test(path))
}

/** A copy: the caller may go on to use its bytes. */
function copyOf(data: Uint8Array, path: string, index: number): Buffer {
  if (data.byteLength > MAX_NODE_DATA_BYTES) throw new StoreError('BadArguments', path, index)
  return Buffer.from(data)
}

function emptyNode(): TreeNode {
  return {
    data: Buffer.alloc(0),
    czxid: 0,
    mzxid: 0,
    pzxid: 0,
    ctimeMs: 0,
    mtimeMs: 0,
    version: 0,
    cversion: 0,
    ephemeralOwner: 0,
    children: undefined,
  }
}

function statOf(node: TreeNode): NodeStat {
  // Field by field: thousands are made when a controller reads its cluster, and spreading costs several times as much.
  return {
    czxid: node.czxid,
    mzxid: node.mzxid,
    pzxid: node.pzxid,
    ctimeMs: node.ctimeMs,
    mtimeMs: node.mtimeMs,
    version: node.version,
    cversion: node.cversion,
    ephemeralOwner: node.ephemeralOwner,
    dataBytes: node.data.length,
    childrenCount: node.children?.size ?? 0,
  }
}

function eventsOf(changes: readonly TreeChange[]): WatchEvent[] {
  const events: WatchEvent[] = []
  const parents = new Set<string>()
  for (const { type, path } of changes) {
    events.push({ type: type === 'create' ? 'created' : type === 'set' ? 'dataChanged' : 'deleted', path })
    if (type !== 'set') parents.add(parentOf(path))
  }
  for (const path of parents) events.push({ type: 'childrenChanged', path })
  return events
}
