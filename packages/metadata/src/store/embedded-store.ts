import { type Clock, invariant, type Logger } from '@tidelog/core'
import type { DataTree, Transaction } from './data-tree.ts'
import { EmbeddedSession } from './embedded-session.ts'
import { Journal } from './journal.ts'
import {
  type MetadataStore,
  type OperationResult,
  StoreError,
  type StoreOperation,
  type WatchEvent,
  type WatchListener,
} from './metadata-store.ts'
import { nodeStoreFiles, type StoreFiles } from './store-files.ts'

export interface EmbeddedStoreOptions {
  /** Existing directory for the store's files: metadata.log.dir, else the first of log.dirs. Its owner holds the lock on it. */
  readonly dir: string
  readonly clock: Clock
  readonly logger: Logger
  /** The disk; the real one when absent. */
  readonly files?: StoreFiles
  /** The journal is folded into a snapshot when it is longer than this, and than twice the last snapshot. */
  readonly snapshotAfterBytes?: number
}

/** As much of the waiting work goes into one frame; an operation alone is smaller than a node's data limit and its transaction's. */
const MAX_BATCH_BYTES = 8 * 1024 * 1024
/** As ZooKeeper's limit on a request. A larger change is made in steps. */
const MAX_TRANSACTION_BYTES = 1024 * 1024
const DEFAULT_SNAPSHOT_AFTER_BYTES = 4 * 1024 * 1024

interface Waiting {
  readonly transaction: Transaction | undefined
  readonly bytes: number
  settle(): void
  fail(error: Error): void
}

/**
 * The store on this machine's disk, for brokers of this process: nothing to install. All of it is in memory; each change is in the journal,
 * on disk, before anybody hears of it, and one fsync serves all changes that wait for one. Sessions do not outlive the process, so neither
 * do their nodes. A disk error ends the store (`closed` rejects): what is on disk is then unknown until it is opened again.
 */
export class EmbeddedStore {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #journal: Journal
  readonly #tree: DataTree
  readonly #snapshotAfterBytes: number
  readonly #sessions = new Map<number, EmbeddedSession>()
  readonly #watches = new Map<string, Set<WatchListener>>()
  #nextSessionId: number
  #waiting: Waiting[] = []
  #flushing: Promise<void> | undefined
  #failure: Error | undefined
  #isClosed = false
  #resolveClosed!: () => void
  #rejectClosed!: (error: Error) => void

  /** Resolves after `close`; rejects with the reason when a disk error has ended the store. */
  readonly closed: Promise<void>

  private constructor(journal: Journal, tree: DataTree, options: EmbeddedStoreOptions) {
    this.#journal = journal
    this.#tree = tree
    this.#clock = options.clock
    this.#logger = options.logger
    this.#snapshotAfterBytes = options.snapshotAfterBytes ?? DEFAULT_SNAPSHOT_AFTER_BYTES
    // No transaction has been made under this number or above it, so no node of an earlier run is taken for one of this run's.
    this.#nextSessionId = tree.lastZxid + 1
    this.closed = new Promise((resolve, reject) => {
      this.#resolveClosed = resolve
      this.#rejectClosed = reject
    })
    // Somebody may watch `closed`; nobody has to.
    this.closed.catch(() => {})
  }

  /**
   * Opens the store, or makes an empty one. Cuts off the torn tail of a write that was never acknowledged.
   * @throws Error with one line for the operator when the files are damaged or do not belong together; they are then left as they are
   */
  static async open(options: EmbeddedStoreOptions): Promise<EmbeddedStore> {
    const { journal, tree } = await Journal.open(options.files ?? nodeStoreFiles(options.dir), options)
    const store = new EmbeddedStore(journal, tree, options)
    await Promise.all(tree.ephemeralOwners().map((sessionId) => store.#deleteEphemerals(sessionId)))
    return store
  }

  /** A new session. */
  connect(): MetadataStore {
    return this.#newSession()
  }

  /** Ends the sessions that are left, makes durable what waits, closes the files. */
  async close(): Promise<void> {
    if (!this.#isClosed) {
      await Promise.all([...this.#sessions.values()].map((session) => session.close()))
      this.#isClosed = true
      while (this.#flushing !== undefined) await this.#flushing
      if (this.#failure === undefined) {
        await this.#journal.close()
        this.#resolveClosed()
      } else {
        // The disk has failed already and `closed` says so: what closing says adds nothing.
        await this.#journal.close().catch(() => {})
      }
    }
    await this.closed.catch(() => {})
  }

  #newSession(): EmbeddedSession {
    const sessionId = this.#nextSessionId++
    const session = new EmbeddedSession(sessionId, {
      read: (look) => this.#read(look),
      execute: (operations) => this.#execute(operations, sessionId),
      watch: (path, listener) => this.#watch(path, listener),
      end: async () => {
        this.#sessions.delete(sessionId)
        if (this.#failure === undefined) await this.#deleteEphemerals(sessionId)
      },
    })
    this.#sessions.set(sessionId, session)
    return session
  }

  /** The answer reflects all changes before it, and arrives once those are durable. */
  #read<T>(look: (tree: DataTree) => T): Promise<T> {
    const refusal = this.#refusal()
    if (refusal !== undefined) return Promise.reject(refusal)
    let result: T
    try {
      result = look(this.#tree)
    } catch (error) {
      return this.#inTurn<T>(undefined, 0, (_resolve, reject) => reject(error))
    }
    return this.#inTurn<T>(undefined, 0, (resolve) => resolve(result))
  }

  #execute(operations: readonly StoreOperation[], sessionId: number): Promise<OperationResult[]> {
    const refusal = this.#refusal()
    if (refusal !== undefined) return Promise.reject(refusal)
    const bytes = bytesOf(operations)
    let executed: ReturnType<DataTree['execute']>
    try {
      if (operations.length > 1 && bytes > MAX_TRANSACTION_BYTES) throw new StoreError('BadArguments', operations[0]!.path)
      executed = this.#tree.execute(operations, { sessionId, timeMs: this.#clock.now() })
    } catch (error) {
      // In turn, because the reason may be a change that is not durable yet.
      return this.#inTurn<OperationResult[]>(undefined, 0, (_resolve, reject) => reject(error))
    }
    const { transaction, results, events } = executed
    return this.#inTurn(transaction, bytes, (resolve) => {
      resolve(results)
      for (const event of events) this.#tell(event)
    })
  }

  #deleteEphemerals(sessionId: number): Promise<unknown> {
    const paths = this.#tree.ephemeralsOf(sessionId)
    return this.#execute(
      paths.map((path) => ({ type: 'delete', path })),
      sessionId,
    )
  }

  #watch(path: string, listener: WatchListener): () => void {
    let listeners = this.#watches.get(path)
    if (listeners === undefined) {
      listeners = new Set()
      this.#watches.set(path, listeners)
    }
    listeners.add(listener)
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0 && this.#watches.get(path) === listeners) this.#watches.delete(path)
    }
  }

  #tell(event: WatchEvent): void {
    for (const listener of [...(this.#watches.get(event.path) ?? [])]) {
      try {
        listener(event)
      } catch (error) {
        this.#logger.error('a watch listener failed', { ...event, error })
      }
    }
  }

  #refusal(): StoreError | undefined {
    return this.#failure !== undefined || this.#isClosed ? new StoreError('StoreClosed', '/') : undefined
  }

  /** Calls `settle` when everything asked for before, and `transaction` itself, is on disk. */
  #inTurn<T>(
    transaction: Transaction | undefined,
    bytes: number,
    settle: (resolve: (value: T) => void, reject: (error: unknown) => void) => void,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (transaction === undefined && this.#flushing === undefined) {
        settle(resolve, reject)
        return
      }
      this.#waiting.push({ transaction, bytes, settle: () => settle(resolve, reject), fail: reject })
      this.#flushing ??= this.#flush()
    })
  }

  async #flush(): Promise<void> {
    // What the caller's turn still adds goes into the same frame.
    await null
    try {
      while (this.#waiting.length > 0) {
        const batch = this.#nextBatch()
        const transactions = batch.flatMap(({ transaction }) => transaction ?? [])
        try {
          if (transactions.length > 0) await this.#journal.append(transactions)
        } catch (error) {
          this.#waiting = [...batch, ...this.#waiting]
          throw error
        }
        for (const { settle } of batch) settle()
        if (this.#journal.sizeBytes > Math.max(this.#snapshotAfterBytes, 2 * this.#journal.snapshotBytes)) {
          // What waits has been applied to the tree already, so it is part of the snapshot; it goes to the journal as well and is skipped on open.
          await this.#journal.compact(this.#tree.lastZxid, this.#tree.copy())
        }
      }
    } catch (error) {
      this.#fail(error as Error)
    } finally {
      this.#flushing = undefined
    }
  }

  #nextBatch(): Waiting[] {
    let count = 0
    let bytes = 0
    while (count < this.#waiting.length && (count === 0 || bytes + this.#waiting[count]!.bytes <= MAX_BATCH_BYTES)) {
      bytes += this.#waiting[count]!.bytes
      count += 1
    }
    return this.#waiting.splice(0, count)
  }

  #fail(error: Error): void {
    invariant(this.#failure === undefined, 'a failed store writes nothing more')
    this.#failure = error
    this.#logger.error('the metadata store cannot write its journal and stops', { error })
    for (const { fail } of this.#waiting.splice(0)) fail(new StoreError('StoreClosed', '/'))
    for (const session of this.#sessions.values()) session.fail(error)
    this.#sessions.clear()
    this.#rejectClosed(error)
  }
}

function bytesOf(operations: readonly StoreOperation[]): number {
  let bytes = 0
  for (const operation of operations) bytes += operation.path.length + ('data' in operation ? operation.data.byteLength : 0)
  return bytes
}
