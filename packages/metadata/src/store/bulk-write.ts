import { isStoreError, type MetadataStore, type OperationResult, type StoreOperation } from './metadata-store.ts'

/** Well below the store's (and ZooKeeper's) limit on one transaction. */
const MAX_CHUNK_BYTES = 500_000
const MAX_CHUNK_OPERATIONS = 1000

/**
 * Runs operations in their order, in as many transactions as their size asks for: after a failure a first part of them has happened.
 * @param fence Checked with each transaction.
 * @returns One result an operation.
 */
export async function writeInChunks(
  store: MetadataStore,
  operations: readonly StoreOperation[],
  fence?: StoreOperation,
): Promise<OperationResult[]> {
  const results: OperationResult[] = []
  for (const chunk of chunksOf(operations)) {
    const done = await store.multi(fence === undefined ? chunk : [fence, ...chunk])
    results.push(...(fence === undefined ? done : done.slice(1)))
  }
  return results
}

/** Creates those of the nodes that are not there, parents before children. */
export async function createMissing(store: MetadataStore, nodes: readonly (readonly [path: string, data: Buffer])[]): Promise<void> {
  for (;;) {
    const stats = await Promise.all(nodes.map(([path]) => store.exists(path)))
    const missing = nodes.filter((_node, index) => stats[index] === undefined)
    try {
      await writeInChunks(
        store,
        missing.map(([path, data]) => ({ type: 'create', path, data })),
      )
      return
    } catch (error) {
      // Another broker is at it too.
      if (!isStoreError(error, 'NodeExists')) throw error
    }
  }
}

function* chunksOf(operations: readonly StoreOperation[]): Generator<StoreOperation[]> {
  let chunk: StoreOperation[] = []
  let bytes = 0
  for (const operation of operations) {
    const size = operation.path.length + ('data' in operation ? operation.data.byteLength : 0)
    if (chunk.length > 0 && (bytes + size > MAX_CHUNK_BYTES || chunk.length >= MAX_CHUNK_OPERATIONS)) {
      yield chunk
      chunk = []
      bytes = 0
    }
    chunk.push(operation)
    bytes += size
  }
  if (chunk.length > 0) yield chunk
}
