import type { Clock, Random } from '@tidelog/core'
import { ConnectionError, connect, type ExchangeObserver, type FramedConnection, type Resolver } from '@tidelog/net'
import { type Api, ApiVersions, type ApiVersionsResponse, errorTable, type RequestInput, type ResponseOf } from '@tidelog/protocol'
import { asClientError } from '../client-error.ts'
import { type ClientError, checkErrorCode, DisconnectedError, UnsupportedVersionError } from '../errors.ts'
import { authenticate } from '../security/sasl/authenticate.ts'
import type { SaslMechanism } from '../security/sasl/sasl-mechanism.ts'
import type { Security } from '../security/security.ts'
import type { RequestCounts } from './request-counts.ts'
import { throttleMsOf } from './throttle.ts'

/** What this client calls itself. KIP-511. */
export const clientSoftware = { clientSoftwareName: 'tidelog', clientSoftwareVersion: '0.1.0' }

export interface BrokerAddress {
  readonly host: string
  readonly port: number
}

export interface OpenOptions {
  readonly clientId: string
  readonly requestTimeoutMs: number
  readonly connectTimeoutMs: number
  readonly security: Security
  readonly resolver: Resolver
  readonly clock: Clock
  readonly random: Random
  readonly observer?: ExchangeObserver | undefined
  /** Aborts when the client closes. */
  readonly signal: AbortSignal
  /** Counts what is sent and answered. */
  readonly counts: RequestCounts
}

export interface SendOptions {
  /** Instead of the client's request timeout: for requests that the broker answers late on purpose. */
  readonly timeoutMs?: number
  /** Newest version that this call can use. */
  readonly maxVersion?: number
  /** Oldest version that says what this call needs. */
  readonly minVersion?: number
}

/** After this part of a session one logs in again, give or take a little, so that it never ends amid requests. */
const SESSION_PART_PERCENT = 85
const SESSION_JITTER_PERCENT = 10

/**
 * A connection to one broker that knows which version of every API to speak: the newest that both sides have (KIP-35). Where the broker ends
 * sessions it logs in again ahead of the first request that comes late in one; what comes meanwhile waits behind that (KIP-368).
 */
export class BrokerConnection {
  readonly #connection: FramedConnection
  readonly #served: ReadonlyMap<number, readonly [oldest: number, newest: number]>
  readonly #finalized: ReadonlyMap<string, number>
  #hasAnswered = false
  /** Monotonic time until which the broker wants to be left alone, by this client's quota: for who has something to hold back. KIP-219. */
  throttledUntilMs = 0

  readonly #options: OpenOptions
  /** Monotonic; when a request is to wait for another login. */
  #loginAgainAtMs = Number.POSITIVE_INFINITY
  #isLoggingIn = false

  private constructor(connection: FramedConnection, versions: ApiVersionsResponse, options: OpenOptions) {
    const { apiKeys, finalizedFeatures, finalizedFeaturesEpoch } = versions
    this.#connection = connection
    this.#options = options
    const finalized = finalizedFeaturesEpoch >= 0 ? finalizedFeatures : []
    this.#finalized = new Map(finalized.map(({ name, maxVersionLevel }) => [name, maxVersionLevel]))
    this.#served = new Map(apiKeys.map(({ apiKey, minVersion, maxVersion }) => [apiKey, [minVersion, maxVersion]]))
  }

  /**
   * Connects, asks for the broker's versions and logs in.
   * @throws DisconnectedError, TimeoutError, MalformedResponseError, UnresolvedHostError, TlsError, AuthenticationError
   */
  static async open({ host, port }: BrokerAddress, options: OpenOptions): Promise<BrokerConnection> {
    let connection: FramedConnection | undefined
    try {
      const { clientId, requestTimeoutMs, connectTimeoutMs, clock, signal, observer, security, resolver } = options
      const { tls, proxy, socketFactory } = security
      const sockets = { tls, proxy, socketFactory, resolver }
      connection = await connect({ host, port, clientId, requestTimeoutMs, connectTimeoutMs, clock, signal, observer, ...sockets })
      const opened = new BrokerConnection(connection, await negotiate(connection, tls !== undefined), options)
      if (security.sasl !== undefined) await opened.#logIn(security.sasl)
      return opened
    } catch (error) {
      connection?.close()
      throw asClientError(error)
    }
  }

  async #logIn(mechanism: SaslMechanism): Promise<void> {
    const { clock, random, signal, requestTimeoutMs: timeoutMs } = this.#options
    const { host, port } = this.#connection
    this.#isLoggingIn = true
    try {
      const lifetimeMs = await this.#connection.exclusively((send) =>
        authenticate({ host, port, send, versionOf: (api) => this.versionOf(api), clock, timeoutMs, signal }, mechanism),
      )
      const percent = SESSION_PART_PERCENT + random.int(SESSION_JITTER_PERCENT + 1)
      this.#loginAgainAtMs = lifetimeMs === 0 ? Number.POSITIVE_INFINITY : clock.monotonic() + (lifetimeMs * percent) / 100
    } finally {
      this.#isLoggingIn = false
    }
  }

  /** The session is about to end: another login goes ahead of the request that is about to be sent. */
  #renewSession(): void {
    const { clock, security } = this.#options
    if (security.sasl === undefined || this.#isLoggingIn || clock.monotonic() < this.#loginAgainAtMs) return
    // When it fails the connection is gone, and what waits fails with it; the next connection says what is wrong with the login.
    this.#logIn(security.sasl).catch(() => {})
  }

  get closed(): boolean {
    return this.#connection.closed
  }

  /** Requests without answer. */
  get pending(): number {
    return this.#connection.pending
  }

  /** @throws UnsupportedVersionError when there is no version that this client, this call and the broker all have. */
  versionOf(api: Api, maxVersion = Number.MAX_SAFE_INTEGER, minVersion = 0): number {
    const served = this.#served.get(api.key)
    const { host, port } = this.#connection
    if (served === undefined) throw new UnsupportedVersionError(`the broker at ${host}:${port} does not serve ${api.name}`)
    const [oldestKnown, newest] = api.announced ?? api.versions
    const oldest = Math.max(oldestKnown, minVersion)
    const version = Math.min(newest, served[1], maxVersion)
    if (version < oldest || version < served[0]) {
      throw new UnsupportedVersionError(
        `the broker at ${host}:${port} serves ${api.name} ${served[0]} to ${served[1]}, this call needs ${oldest} to ${Math.min(newest, maxVersion)}`,
      )
    }
    return version
  }

  serves(api: Api): boolean {
    return this.#served.has(api.key)
  }

  /** The level that the cluster ran a feature at when this connection was made, 0 without one. KIP-584. */
  featureLevel(name: string): number {
    return this.#finalized.get(name) ?? 0
  }

  /**
   * @param build The request, or what makes it for the version that is going to be spoken.
   * @throws DisconnectedError, TimeoutError, MalformedResponseError, UnsupportedVersionError
   */
  async send<A extends Api>(
    api: A,
    build: RequestInput<A> | ((version: number) => RequestInput<A>),
    { timeoutMs, maxVersion, minVersion }: SendOptions = {},
  ): Promise<ResponseOf<A>> {
    const version = this.versionOf(api, maxVersion, minVersion)
    try {
      const request = typeof build === 'function' ? build(version) : build
      this.#renewSession()
      const { clock, counts } = this.#options
      const sentMs = this.#countSent()
      const response = await this.#connection.send(api, version, request, timeoutMs === undefined ? {} : { timeoutMs })
      this.#hasAnswered = true
      const nowMs = clock.monotonic()
      counts.answered(nowMs - sentMs, nowMs)
      const throttleMs = throttleMsOf(api, version, response)
      if (throttleMs > 0) this.#throttle(throttleMs)
      return response
    } catch (error) {
      throw this.#explained(asClientError(error))
    }
  }

  /** @returns when that was, monotonic */
  #countSent(): number {
    const { clock, counts } = this.#options
    const nowMs = clock.monotonic()
    counts.sent(nowMs)
    return nowMs
  }

  /** Longer than a request may wait nobody is held off: then the broker is asked again, and says again. */
  #throttle(ms: number): void {
    const { clock, requestTimeoutMs } = this.#options
    this.throttledUntilMs = Math.max(this.throttledUntilMs, clock.monotonic() + Math.min(ms, requestTimeoutMs))
  }

  /** Brokers close a connection without a word when its first request is one that their listener does not take. */
  #explained(error: ClientError): ClientError {
    if (!(error instanceof DisconnectedError) || this.#hasAnswered || this.#options.security.sasl !== undefined) return error
    const hint = 'it has answered ApiVersions and nothing else, as a listener does that wants SASL, see securityProtocol'
    return new DisconnectedError(`${error.message} (${hint})`, error.cause)
  }

  /** Resolves when the bytes have been handed to the system. @throws as send */
  async sendNoResponse<A extends Api>(
    api: A,
    build: (version: number) => RequestInput<A>,
    { maxVersion, minVersion }: Omit<SendOptions, 'timeoutMs'> = {},
  ): Promise<void> {
    const version = this.versionOf(api, maxVersion, minVersion)
    try {
      this.#renewSession()
      this.#countSent()
      await this.#connection.sendNoResponse(api, version, build(version))
    } catch (error) {
      throw asClientError(error)
    }
  }

  onClose(listener: (error: ClientError) => void): void {
    this.#connection.onClose((reason) => listener(asClientError(reason)))
  }

  close(): void {
    this.#connection.close()
  }
}

/** Newest version first; a broker that does not know it answers in version 0 and says what it knows, or nothing when it is old. KIP-511. */
async function negotiate(connection: FramedConnection, isTls: boolean): Promise<ApiVersionsResponse> {
  const where = `${connection.host}:${connection.port}`
  let version = ApiVersions.versions[1]
  for (;;) {
    const response = await connection.send(ApiVersions, version, clientSoftware).catch((error) => {
      const hint = `before any answer, as a port does that wants ${isTls ? 'a certificate of this client' : 'TLS'}, see securityProtocol`
      if (error instanceof ConnectionError && error.reason === 'closed') throw new DisconnectedError(`${error.message} (${hint})`, error)
      throw error
    })
    if (response.errorCode !== errorTable.UNSUPPORTED_VERSION.code || version === 0) {
      checkErrorCode(response.errorCode, `ApiVersions from ${where}`)
      return response
    }
    const known = response.apiKeys.find(({ apiKey }) => apiKey === ApiVersions.key)
    version = known === undefined ? 0 : Math.max(0, Math.min(known.maxVersion, version - 1))
  }
}
