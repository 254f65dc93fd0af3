import { hostname } from 'node:os'
import type { Clock, Logger } from '@tidelog/core'
import { type BrokerRegistration, type MetadataStore, registerBroker, updateRegistration } from '@tidelog/metadata'
import type { BrokerConfig } from './config/broker-config.ts'
import type { ListenerControl } from './config/config-service.ts'
import { type Endpoint, type Listeners, listenersOf } from './config/listeners.ts'
import { areAllCordoned } from './config/log-dirs-config.ts'
import type { BrokerListeners } from './listeners.ts'

/** What is in progress on a listener that is taken away gets this long to be answered. */
const REMOVED_LISTENER_GRACE_MS = 3000

export interface RegistrationOptions {
  readonly nodeId: number
  /** The broker's own session. */
  readonly store: MetadataStore
  /** Live. */
  readonly config: BrokerConfig
  readonly features: BrokerRegistration['features']
  readonly listeners: BrokerListeners
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * What a broker is to the cluster, and where it listens, as its live configuration says: its listeners are opened and closed, and what the others know of
 * it follows.
 */
export class Registration implements ListenerControl {
  readonly #options: RegistrationOptions
  /** What the store says; undefined until the broker has registered. */
  #known: BrokerRegistration | undefined
  #applying: Promise<void> = Promise.resolve()

  constructor(options: RegistrationOptions) {
    this.#options = options
  }

  /** What clients are told, as far as it is open. */
  get advertised(): readonly Endpoint[] {
    const { config, listeners } = this.#options
    return advertisedEndpoints(listenersOf(config), listeners.bound)
  }

  /** @throws Error in one line when a broker with this id is registered already */
  async register(): Promise<void> {
    const { store, clock } = this.#options
    this.#known = this.#current()
    await registerBroker(store, this.#known, { clock })
  }

  prepare({ listeners }: Listeners): Promise<void> {
    return this.#options.listeners.open(listeners)
  }

  apply(): Promise<void> {
    this.#applying = this.#applying
      .then(() => this.#apply())
      .catch((error) => this.#options.logger.error('a change of the broker could not be applied', { error }))
    return this.#applying
  }

  async #apply(): Promise<void> {
    const { config, listeners, logger, store, clock } = this.#options
    const wanted = listenersOf(config).listeners
    for (const endpoint of wanted) {
      await listeners.open([endpoint]).catch((error: Error) => logger.error('a listener cannot be opened', { reason: error.message }))
    }
    listeners.keep(wanted, REMOVED_LISTENER_GRACE_MS)
    const now = this.#current()
    if (this.#known === undefined || JSON.stringify(now) === JSON.stringify(this.#known)) return
    await updateRegistration(store, now, { clock })
    this.#known = now
    logger.info('what the cluster knows of this broker has changed', { endpoints: now.endpoints, isCordoned: now.isCordoned })
  }

  #current(): BrokerRegistration {
    const { nodeId: id, config, features } = this.#options
    const endpoints = this.advertised.map(({ listenerName, ...rest }) => ({ listener: listenerName, ...rest }))
    return { id, endpoints, rack: config['broker.rack'], features, isCordoned: areAllCordoned(config) }
  }
}

/**
 * The advertised addresses of listeners that are bound, with the port that was taken where it says 0 and this machine's name where it has no host.
 */
function advertisedEndpoints({ advertised }: Listeners, bound: readonly Endpoint[]): Endpoint[] {
  return advertised.flatMap((endpoint) => {
    const own = bound.find(({ listenerName }) => listenerName === endpoint.listenerName)
    if (own === undefined) return []
    const host = endpoint.host === '' || endpoint.host === '0.0.0.0' || endpoint.host === '::' ? hostname() : endpoint.host
    return [{ ...endpoint, host, port: endpoint.port === 0 ? own.port : endpoint.port }]
  })
}
