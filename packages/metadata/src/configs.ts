import type { Clock, Logger } from '@tidelog/core'
import { ifThere, isStoreError, type MetadataStore } from './store/metadata-store.ts'
import {
  CONFIG_CHANGE_PREFIX,
  CONFIG_CHANGES,
  type ConfigEntityType,
  configPath,
  configTypePath,
  type DEFAULT_ENTITY,
  decodeConfigChange,
  decodeConfigs,
  encodeConfigChange,
  encodeConfigs,
} from './znodes.ts'

/** Dynamic configurations by name, as texts. */
export type ConfigTexts = ReadonlyMap<string, string>

export interface ConfigEntity {
  readonly type: ConfigEntityType
  /** A topic, a broker's id, a group's id as `sanitize` writes it, … or DEFAULT_ENTITY. */
  readonly name: string
}

/** Called after an entity's configurations have changed, by this broker or another. It must not throw. */
export type ConfigListener = (entity: ConfigEntity, configs: ConfigTexts) => void

/** Notifications older than this are removed by whoever sees them: every broker has read them. As in Kafka. */
const NOTIFICATION_LIFETIME_MS = 15 * 60 * 1000
const ENTITY_TYPES: readonly ConfigEntityType[] = ['topics', 'brokers', 'clients', 'users', 'ips', 'groups']
const NO_CONFIGS: ConfigTexts = new Map()

/**
 * One broker's copy of all dynamic configurations, and the way to change them. A change is written together with a notification under
 * /config/changes, which is what the other brokers watch. Source: KIP-226; kafka.zk.AdminZkClient, kafka.common.ZkNodeChangeNotificationListener.
 */
export class ClusterConfigs {
  readonly #store: MetadataStore
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #entities: Record<ConfigEntityType, Map<string, ConfigTexts>> = {
    topics: new Map(),
    brokers: new Map(),
    clients: new Map(),
    users: new Map(),
    ips: new Map(),
    groups: new Map(),
  }
  readonly #listeners = new Set<ConfigListener>()
  readonly #seen = new Set<string>()
  #reading: Promise<void> = Promise.resolve()
  #unwatch: () => void = () => {}

  private constructor(options: { store: MetadataStore; clock: Clock; logger: Logger }) {
    this.#store = options.store
    this.#clock = options.clock
    this.#logger = options.logger
  }

  /** Reads everything and watches for changes. The store's basic nodes must be there. */
  static async open(options: { store: MetadataStore; clock: Clock; logger: Logger }): Promise<ClusterConfigs> {
    const configs = new ClusterConfigs(options)
    // Watched before it is read: what changes in between is read twice, not missed.
    configs.#unwatch = options.store.watch(CONFIG_CHANGES, () => configs.#readChanges())
    for (const change of await options.store.children(CONFIG_CHANGES)) configs.#seen.add(change)
    for (const type of ENTITY_TYPES) {
      const names = await options.store.children(configTypePath(type))
      await Promise.all(names.map((name) => configs.refresh({ type, name })))
    }
    return configs
  }

  /** A topic's overrides; empty when it has none or is unknown. */
  topic(name: string): ConfigTexts {
    return this.get({ type: 'topics', name })
  }

  /** A broker's own dynamic configurations, or those of all brokers. */
  broker(brokerId: number | typeof DEFAULT_ENTITY): ConfigTexts {
    return this.get({ type: 'brokers', name: String(brokerId) })
  }

  get({ type, name }: ConfigEntity): ConfigTexts {
    return this.#entities[type].get(name) ?? NO_CONFIGS
  }

  /** Names of entities that have configurations. */
  names(type: ConfigEntityType): Iterable<string> {
    return this.#entities[type].keys()
  }

  /** @returns What ends the subscription. */
  onChange(listener: ConfigListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Changes an entity's configurations durably; `get` gives the new ones when it resolves.
   * @param change From the current ones to the new ones; called again when another broker was faster.
   * @throws What `change` throws; nothing is written then
   */
  async alter(entity: ConfigEntity, change: (current: ConfigTexts) => ConfigTexts): Promise<void> {
    const path = configPath(entity.type, entity.name)
    for (;;) {
      const stored = await this.#stored(entity)
      const data = encodeConfigs(change(stored?.configs ?? NO_CONFIGS))
      try {
        await this.#store.multi([
          stored === undefined ? { type: 'create', path, data } : { type: 'set', path, data, version: stored.version },
          { type: 'create', path: CONFIG_CHANGE_PREFIX, data: encodeConfigChange(entity.type, entity.name), sequential: true },
        ])
        return await this.refresh(entity)
      } catch (error) {
        const lostRace = isStoreError(error, 'BadVersion') || isStoreError(error, 'NodeExists') || isStoreError(error, 'NoNode')
        if (!lostRace) throw error
      }
    }
  }

  /** Reads an entity anew: when its topic has been created or deleted, which no notification tells. */
  async refresh(entity: ConfigEntity): Promise<void> {
    this.#put(entity, (await this.#stored(entity))?.configs)
  }

  /** Forgets an entity that is being deleted, ahead of the store. */
  forget(entity: ConfigEntity): void {
    this.#put(entity, undefined)
  }

  close(): void {
    this.#unwatch()
    this.#listeners.clear()
  }

  #put(entity: ConfigEntity, configs: ConfigTexts | undefined): void {
    const before = this.get(entity)
    if (configs === undefined) this.#entities[entity.type].delete(entity.name)
    else this.#entities[entity.type].set(entity.name, configs)
    const now = configs ?? NO_CONFIGS
    if (sameTexts(before, now)) return
    for (const listener of [...this.#listeners]) listener(entity, now)
  }

  async #stored({ type, name }: ConfigEntity): Promise<{ configs: ConfigTexts; version: number } | undefined> {
    const path = configPath(type, name)
    const node = await ifThere(this.#store.get(path))
    return node === undefined ? undefined : { configs: decodeConfigs(path, node.data), version: node.stat.version }
  }

  #readChanges(): void {
    this.#reading = this.#reading
      .then(() => this.#readNewChanges())
      .catch((error) => {
        const isOver = isStoreError(error, 'SessionExpired') || isStoreError(error, 'StoreClosed')
        if (!isOver) this.#logger.error('a change of configuration could not be read', { error })
      })
  }

  async #readNewChanges(): Promise<void> {
    const names = await this.#store.children(CONFIG_CHANGES)
    for (const name of names) {
      if (this.#seen.has(name)) continue
      this.#seen.add(name)
      const path = `${CONFIG_CHANGES}/${name}`
      const node = await ifThere(this.#store.get(path))
      if (node === undefined) continue
      const change = decodeConfigChange(path, node.data)
      const type = ENTITY_TYPES.find((known) => known === change.type)
      if (type === undefined) this.#logger.warn('a change of configuration names an unknown kind of entity', { path, type: change.type })
      else await this.refresh({ type, name: change.name })
    }
    await this.#removeOld(names)
  }

  /** Names are in order of age, so the first one that is young ends the search. */
  async #removeOld(names: readonly string[]): Promise<void> {
    for (const name of names) {
      const path = `${CONFIG_CHANGES}/${name}`
      const stat = await this.#store.exists(path)
      if (stat !== undefined && this.#clock.now() - stat.ctimeMs < NOTIFICATION_LIFETIME_MS) return
      await ifThere(this.#store.delete(path))
      this.#seen.delete(name)
    }
  }
}

function sameTexts(a: ConfigTexts, b: ConfigTexts): boolean {
  if (a.size !== b.size) return false
  for (const [name, text] of a) if (b.get(name) !== text) return false
  return true
}
