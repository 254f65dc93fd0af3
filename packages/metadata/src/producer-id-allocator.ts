import { KafkaError } from '@tidelog/protocol'
import { isStoreError, type MetadataStore } from './store/metadata-store.ts'
import { decodeProducerIdBlock, encodeProducerIdBlock, PRODUCER_ID_BLOCK, type ProducerIdBlock } from './znodes.ts'

/** Ids taken from the store at once. Source: ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE. */
const BLOCK_SIZE = 1000

/**
 * Hands out producer ids that no other broker, and no earlier run of this one, has handed out: what is left of a block when a broker stops
 * is never used. Source: KIP-98; /latest_producer_id_block of ZooKeeper mode.
 */
export class ProducerIdAllocator {
  readonly #store: MetadataStore
  readonly #brokerId: number
  #next = 0
  /** Exclusive. */
  #end = 0
  #refilling: Promise<void> | undefined

  constructor({ store, brokerId }: { store: MetadataStore; brokerId: number }) {
    this.#store = store
    this.#brokerId = brokerId
  }

  /** @throws KafkaError COORDINATOR_LOAD_IN_PROGRESS (retriable, as Kafka answers) when the store cannot give a block now */
  async allocate(): Promise<number> {
    while (this.#next >= this.#end) {
      this.#refilling ??= this.#refill().finally(() => {
        this.#refilling = undefined
      })
      await this.#refilling
    }
    return this.#next++
  }

  async #refill(): Promise<void> {
    try {
      const block = await reserveProducerIds(this.#store, this.#brokerId, (last) => ({ first: last + 1, last: last + BLOCK_SIZE }))
      this.#next = block.first
      this.#end = block.last + 1
    } catch (error) {
      if (!isStoreError(error, 'SessionExpired') && !isStoreError(error, 'StoreClosed')) throw error
      throw new KafkaError('COORDINATOR_LOAD_IN_PROGRESS', 'no producer ids can be had at this moment', { cause: error })
    }
  }
}

/**
 * Writes the next block of ids; the caller may use it once this resolves.
 * @param choose From the last id that is taken (−1 when none is) to the block to take.
 */
export async function reserveProducerIds(
  store: MetadataStore,
  brokerId: number,
  choose: (last: number) => { first: number; last: number },
): Promise<ProducerIdBlock> {
  for (;;) {
    const { data, stat } = await store.get(PRODUCER_ID_BLOCK)
    const block = { brokerId, ...choose(data.length === 0 ? -1 : decodeProducerIdBlock(data).last) }
    if (!Number.isSafeInteger(block.last)) throw new KafkaError('UNKNOWN_SERVER_ERROR', 'all producer ids have been used')
    try {
      await store.set(PRODUCER_ID_BLOCK, encodeProducerIdBlock(block), stat.version)
      return block
    } catch (error) {
      // Another broker has taken this block.
      if (!isStoreError(error, 'BadVersion')) throw error
    }
  }
}
