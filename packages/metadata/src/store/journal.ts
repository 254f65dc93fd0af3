import type { Logger } from '@tidelog/core'
import { DataTree, type Transaction, type TreeNode } from './data-tree.ts'
import {
  DamagedFileError,
  decodeHeader,
  decodeJournal,
  decodeSnapshot,
  encodeHeader,
  encodeSnapshot,
  encodeTransactions,
  HEADER_BYTES,
  type StoreFileKind,
} from './journal-format.ts'
import type { StoreFile, StoreFiles } from './store-files.ts'

/** Plain files with a dot-name: Kafka ignores them, and refuses a folder that is not a partition. */
export const STORE_FILE_NAMES: Readonly<Record<StoreFileKind, string>> = {
  journal: '.tidelog-metadata.journal',
  snapshot: '.tidelog-metadata.snapshot',
}
const temporary = (name: string) => `${name}.tmp`

/**
 * The store's files. Order of the steps is what makes them safe: a frame is synced before the next is written, a file gets its name after it
 * is synced, and the journal is replaced after the snapshot that holds its transactions has its name.
 */
export class Journal {
  readonly #files: StoreFiles
  #file: StoreFile
  #sizeBytes: number
  #snapshotBytes: number

  private constructor(files: StoreFiles, file: StoreFile, sizes: { journalBytes: number; snapshotBytes: number }) {
    this.#files = files
    this.#file = file
    this.#sizeBytes = sizes.journalBytes
    this.#snapshotBytes = sizes.snapshotBytes
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  get snapshotBytes(): number {
    return this.#snapshotBytes
  }

  /** @throws Error with one line for the operator when a file is damaged, missing or of another store; nothing has been touched then */
  static async open(files: StoreFiles, { dir, logger }: { dir: string; logger: Logger }): Promise<{ journal: Journal; tree: DataTree }> {
    const snapshotFile = await files.read(STORE_FILE_NAMES.snapshot)
    const journalFile = await files.read(STORE_FILE_NAMES.journal)
    const snapshot = snapshotFile === undefined ? undefined : named(dir, 'snapshot', () => decodeSnapshot(snapshotFile))
    const snapshotBytes = snapshotFile?.length ?? 0
    if (journalFile === undefined) {
      if (snapshot !== undefined) throw refusal(dir, 'journal', 'it is missing beside its snapshot')
      const file = await createJournal(files, 0)
      return { journal: new Journal(files, file, { journalBytes: HEADER_BYTES, snapshotBytes }), tree: new DataTree() }
    }
    const tree = new DataTree(snapshot?.zxid, snapshot?.nodes)
    const validBytes = named(dir, 'journal', () => {
      const { zxid } = decodeHeader('journal', journalFile)
      if (zxid > tree.lastZxid) throw new DamagedFileError(`it follows a snapshot of transaction ${zxid}, and that is not here`)
      const decoded = decodeJournal(journalFile)
      for (const transaction of decoded.transactions) replay(tree, transaction)
      return decoded.validBytes
    })
    const file = await files.open(STORE_FILE_NAMES.journal, { truncate: false })
    if (validBytes < journalFile.length) {
      logger.warn('cut the torn end of the metadata journal: a change that was never acknowledged', {
        dir,
        keptBytes: validBytes,
        cutBytes: journalFile.length - validBytes,
      })
      await file.truncate(validBytes)
    }
    // After a failed fsync the kernel counts pages as clean that the disk never got: what is read here counts from now on, so it is written again.
    await file.write(journalFile.subarray(0, validBytes), 0)
    await file.sync()
    return { journal: new Journal(files, file, { journalBytes: validBytes, snapshotBytes }), tree }
  }

  /** Resolves when the transactions outlive a power cut. After a rejection nothing may be appended any more. */
  async append(transactions: readonly Transaction[]): Promise<void> {
    const bytes = encodeTransactions(transactions)
    await this.#file.write(bytes, this.#sizeBytes)
    await this.#file.sync()
    this.#sizeBytes += bytes.length
  }

  /** Writes all nodes as of `zxid` to a new snapshot, then starts an empty journal. After a rejection nothing may be appended any more. */
  async compact(zxid: number, nodes: readonly (readonly [path: string, node: TreeNode])[]): Promise<void> {
    const { snapshot } = STORE_FILE_NAMES
    const file = await this.#files.open(temporary(snapshot), { truncate: true })
    let bytes = 0
    try {
      for (const piece of encodeSnapshot(zxid, nodes)) {
        await file.write(piece, bytes)
        bytes += piece.length
      }
      await file.sync()
    } finally {
      await file.close()
    }
    await this.#files.rename(temporary(snapshot), snapshot)
    await this.#files.syncDirectory()
    const journal = await createJournal(this.#files, zxid)
    await this.#file.close()
    this.#file = journal
    this.#sizeBytes = HEADER_BYTES
    this.#snapshotBytes = bytes
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}

/** An empty journal under its name, in place of the one that may be there. */
async function createJournal(files: StoreFiles, zxid: number): Promise<StoreFile> {
  const { journal } = STORE_FILE_NAMES
  const file = await files.open(temporary(journal), { truncate: true })
  try {
    await file.write(encodeHeader('journal', { zxid }), 0)
    await file.sync()
    await files.rename(temporary(journal), journal)
    await files.syncDirectory()
  } catch (error) {
    await file.close()
    throw error
  }
  return file
}

function replay(tree: DataTree, transaction: Transaction): void {
  // In the snapshot already: it was written while the journal's tail waited, or the machine stopped before the journal was replaced.
  if (transaction.zxid <= tree.lastZxid) return
  if (transaction.zxid !== tree.lastZxid + 1) {
    throw new DamagedFileError(`transaction ${transaction.zxid} follows ${tree.lastZxid}`)
  }
  try {
    tree.replay(transaction)
  } catch (error) {
    throw new DamagedFileError(`transaction ${transaction.zxid} does not fit: ${(error as Error).message}`)
  }
}

function named<T>(dir: string, kind: StoreFileKind, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof DamagedFileError) throw refusal(dir, kind, error.message)
    throw error
  }
}

function refusal(dir: string, kind: StoreFileKind, reason: string): Error {
  return new Error(`the metadata store in ${dir} cannot be opened: ${STORE_FILE_NAMES[kind]}: ${reason}`)
}
