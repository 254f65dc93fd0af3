import { isIP } from 'node:net'
import { type Clock, messageOf, type Random, type Timer } from '@tidelog/core'
import type { Resolver } from '@tidelog/net'
import type { CommonConfig } from '../config/client-config.ts'
import { DisconnectedError, hasCode, InvalidOptionError, isFatal, UnresolvedHostError } from '../errors.ts'
import { until, type WaitOptions } from '../wait.ts'
import type { BrokerAddress, BrokerConnection } from './broker-connection.ts'
import type { ConnectionPool } from './connection-pool.ts'
import type { MetadataCache } from './metadata-cache.ts'

export interface BrokerSearchOptions {
  readonly config: CommonConfig
  readonly pool: ConnectionPool
  readonly metadata: MetadataCache
  readonly resolver: Resolver
  readonly clock: Clock
  readonly random: Random
  /** Controllers to begin with, in place of `bootstrap.servers`. */
  readonly bootstrapControllers?: readonly string[] | undefined
}

/** A host that is off does not refuse a connection; another broker may answer long before its time is over. */
const PATIENCE_MS = 1000

/** Finds some broker to talk to, among those that the metadata names and the bootstrap servers. */
export class BrokerSearch {
  readonly #options: BrokerSearchOptions
  readonly #bootstrap: readonly BrokerAddress[]

  /** @throws InvalidOptionError without bootstrap servers, or for one that is none */
  constructor(options: BrokerSearchOptions) {
    this.#options = options
    const { config, bootstrapControllers } = options
    this.#bootstrap =
      bootstrapControllers?.map((text) => parseAddress(text, 'bootstrapControllers')) ??
      config['bootstrap.servers'].map((text) => parseAddress(text, 'bootstrapServers'))
    if (this.#bootstrap.length === 0) throw new InvalidOptionError('bootstrapServers is missing: give host:port of at least one broker')
  }

  /**
   * Some broker: one that is connected, else the first that can be reached, the bootstrap servers last.
   * @throws DisconnectedError, TimeoutError, UnresolvedHostError, AuthenticationError, TlsError; ClosedError; the signal's reason
   */
  async any(options?: WaitOptions): Promise<BrokerConnection> {
    const known = [...this.#options.metadata.brokers.values()]
    const open = known
      .map((node) => this.#options.pool.openTo(node, 'general'))
      .filter((connection) => connection !== undefined)
      .sort((a, b) => a.pending - b.pending)
    if (open[0] !== undefined) return open[0]
    const mayBootstrap = known.length === 0 || this.#options.config['metadata.recovery.strategy'] === 'rebootstrap'
    const bootstrap = mayBootstrap ? await until(this.#bootstrapAddresses(), options?.signal, this.#options.pool.closing) : []
    return this.#firstOf([...this.#soonest(known), ...this.#soonest(bootstrap)], options)
  }

  /** The first that connects, in this order; one that neither connects nor fails for a while does not keep the next one waiting. */
  #firstOf(addresses: readonly BrokerAddress[], options?: WaitOptions): Promise<BrokerConnection> {
    return new Promise((resolve, reject) => {
      const failures: unknown[] = []
      let tried = 0
      let patience: Timer | undefined
      const end = () => {
        patience?.cancel()
        tried = addresses.length
      }
      const tryNext = () => {
        patience?.cancel()
        const address = addresses[tried]
        if (address === undefined) return
        tried++
        patience = this.#options.clock.setTimer(PATIENCE_MS, tryNext)
        this.#options.pool.to(address, 'general', options).then(
          (connection) => {
            end()
            resolve(connection)
          },
          (error) => {
            failures.push(error)
            if (this.#options.pool.closed || options?.signal?.aborted) {
              end()
              reject(error)
            } else if (failures.length === addresses.length) {
              end()
              reject(this.#noConnection(failures))
            } else tryNext()
          },
        )
      }
      tryNext()
    })
  }

  /** One error for all the brokers that were tried: a refusal says more than that another one is down. */
  #noConnection(failures: readonly unknown[]): unknown {
    const refusal = failures.find(isFatal)
    if (refusal !== undefined) return refusal
    const all = failures.map(messageOf).join('; ')
    const cause = failures.length === 1 ? failures[0] : new AggregateError(failures)
    if (this.#options.metadata.version === 0 && failures.every((failure) => hasCode(failure, 'UNRESOLVED_HOST')))
      return new UnresolvedHostError(`no bootstrap server can be resolved: ${all}`, { cause })
    return failures.length === 1 ? failures[0] : new DisconnectedError(`no broker can be reached: ${all}`, cause)
  }

  /** `bootstrap.servers`, or what the addresses of their names are called. Looked up each time: a name may move. */
  async #bootstrapAddresses(): Promise<readonly BrokerAddress[]> {
    if (this.#options.config['client.dns.lookup'] !== 'resolve_canonical_bootstrap_servers_only') return this.#bootstrap
    const named = await Promise.all(this.#bootstrap.map((address) => this.#canonical(address)))
    return [...new Map(named.flat().map((address) => [`${address.host}:${address.port}`, address])).values()]
  }

  async #canonical({ host, port }: BrokerAddress): Promise<BrokerAddress[]> {
    try {
      const addresses = isIP(host) === 0 ? await this.#options.resolver.addressesOf(host) : [host]
      const names = addresses.map((address) => this.#options.resolver.canonicalNameOf(address, port).catch(() => address))
      return (await Promise.all(names)).map((name) => ({ host: name, port }))
    } catch {
      // Connecting says what is wrong with the name.
      return [{ host, port }]
    }
  }

  /** In random order, but those last that have failed just now. */
  #soonest<A extends BrokerAddress>(addresses: readonly A[]): A[] {
    const nowMs = this.#options.clock.monotonic()
    const waitMs = (address: A) => Math.max(0, this.#options.pool.notBeforeMs(address, 'general') - nowMs)
    return this.#shuffled(addresses).sort((a, b) => waitMs(a) - waitMs(b))
  }

  #shuffled<T>(items: readonly T[]): T[] {
    const shuffled = [...items]
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = this.#options.random.int(i + 1)
      ;[shuffled[i], shuffled[j]] = [shuffled[j]!, shuffled[i]!]
    }
    return shuffled
  }
}

/** `host:port`, `[v6]:port`; a protocol prefix (`PLAINTEXT://`) is taken and dropped, as in Kafka. */
function parseAddress(text: string, option: string): BrokerAddress {
  const match = /^(?:[a-zA-Z_][\w-]*:\/\/)?(?:\[([0-9a-fA-F:.%\w]+)\]|([^:[\]\s/]+)):(\d{1,5})$/.exec(text.trim())
  const port = Number(match?.[3])
  const host = match?.[1] ?? match?.[2]
  if (host === undefined || !(port >= 1 && port <= 65_535)) throw new InvalidOptionError(`${option}: '${text}' is not host:port`)
  return { host, port }
}
