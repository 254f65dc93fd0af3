import type { Logger } from '@tidelog/core'
import type { SupportedFeatures } from './features.ts'
import { ifThere, isStoreError, type MetadataStore } from './store/metadata-store.ts'
import { decodeFeatures, FEATURE } from './znodes.ts'

/** Levels that the cluster runs. */
export interface FinalizedLevels {
  /** Grows with every change; ≥ 0, since clients ignore the levels of a negative one. */
  readonly epoch: number
  /** By feature; those at level 0, and those that this broker does not know, are not in it. */
  readonly levels: ReadonlyMap<string, number>
}

/**
 * One broker's copy of the finalized feature levels, kept by a watch on the node that holds them; the node's version is their epoch.
 * Source: KIP-584; FinalizedFeatureChangeListener of Kafka 3.9.
 */
export class FinalizedFeatures {
  readonly #store: MetadataStore
  readonly #supported: SupportedFeatures
  readonly #logger: Logger
  #current: FinalizedLevels = { epoch: 0, levels: new Map() }
  #unwatch: () => void = () => {}

  private constructor(options: { store: MetadataStore; supported: SupportedFeatures; logger: Logger }) {
    this.#store = options.store
    this.#supported = options.supported
    this.#logger = options.logger
  }

  /** @throws BadNodeError for a node that cannot be read; Error in one line for a level that this broker cannot run */
  static async open(options: { store: MetadataStore; supported: SupportedFeatures; logger: Logger }): Promise<FinalizedFeatures> {
    const features = new FinalizedFeatures(options)
    // Watched before it is read: what changes in between is read twice, not missed.
    features.#unwatch = options.store.watch(FEATURE, () => features.#reread())
    await features.refresh()
    return features
  }

  get current(): FinalizedLevels {
    return this.#current
  }

  /** Reads the node: `current` is at least as new as what was written before the call. Throws as `open`. */
  async refresh(): Promise<void> {
    const node = await ifThere(this.#store.get(FEATURE))
    if (node === undefined) {
      this.#current = { epoch: 0, levels: new Map() }
      return
    }
    const levels = new Map<string, number>()
    for (const [name, level] of decodeFeatures(node.data)) {
      const range = this.#supported.get(name)
      if (range === undefined) continue
      if (level > range.maxVersion)
        throw new Error(`feature ${name} is at level ${level}, but this broker runs levels up to ${range.maxVersion}`)
      levels.set(name, level)
    }
    this.#current = { epoch: node.stat.version, levels }
  }

  close(): void {
    this.#unwatch()
  }

  #reread(): void {
    this.refresh().catch((error) => {
      const isOver = isStoreError(error, 'SessionExpired') || isStoreError(error, 'StoreClosed')
      if (!isOver) this.#logger.error('the finalized feature levels could not be taken in', { path: FEATURE, error })
    })
  }
}
