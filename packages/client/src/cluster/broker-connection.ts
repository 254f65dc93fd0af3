import type { Clock } from '@tidelog/core'
import { ConnectionError, connect, type ExchangeObserver, type FramedConnection } from '@tidelog/net'
import { type Api, ApiVersions, type ApiVersionsResponse, errorTable, type RequestInput, type ResponseOf } from '@tidelog/protocol'
import { ClientError, checkErrorCode, DisconnectedError, MalformedResponseError, TimeoutError, UnsupportedVersionError } from '../errors.ts'

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
  readonly clock: Clock
  readonly observer?: ExchangeObserver | undefined
  readonly signal?: AbortSignal | undefined
}

export interface SendOptions {
  /** Instead of the client's request timeout: for requests that the broker answers late on purpose. */
  readonly timeoutMs?: number
  /** Newest version that this call can use. */
  readonly maxVersion?: number
}

/** A connection to one broker that knows which version of every API to speak: the newest that both sides have. KIP-35. */
export class BrokerConnection {
  readonly #connection: FramedConnection
  readonly #served: ReadonlyMap<number, readonly [oldest: number, newest: number]>
  readonly #finalized: ReadonlyMap<string, number>
  /** Requests that were sent, and answers that came, for the metrics. */
  requests = 0
  responses = 0

  private constructor(connection: FramedConnection, { apiKeys, finalizedFeatures, finalizedFeaturesEpoch }: ApiVersionsResponse) {
    this.#connection = connection
    const finalized = finalizedFeaturesEpoch >= 0 ? finalizedFeatures : []
    this.#finalized = new Map(finalized.map(({ name, maxVersionLevel }) => [name, maxVersionLevel]))
    this.#served = new Map(apiKeys.map(({ apiKey, minVersion, maxVersion }) => [apiKey, [minVersion, maxVersion]]))
  }

  /** Connects and asks for the broker's versions. @throws DisconnectedError, TimeoutError, MalformedResponseError */
  static async open({ host, port }: BrokerAddress, options: OpenOptions): Promise<BrokerConnection> {
    let connection: FramedConnection | undefined
    try {
      const { clientId, requestTimeoutMs, connectTimeoutMs, clock, signal, observer } = options
      connection = await connect({
        host,
        port,
        clientId,
        requestTimeoutMs,
        connectTimeoutMs,
        clock,
        ...(signal === undefined ? {} : { signal }),
        ...(observer === undefined ? {} : { observer }),
      })
      return new BrokerConnection(connection, await negotiate(connection))
    } catch (error) {
      connection?.close()
      throw asClientError(error)
    }
  }

  get closed(): boolean {
    return this.#connection.closed
  }

  /** Requests without answer. */
  get pending(): number {
    return this.#connection.pending
  }

  /** @throws UnsupportedVersionError when there is no version that this client, this call and the broker all have. */
  versionOf(api: Api, maxVersion = Number.MAX_SAFE_INTEGER): number {
    const served = this.#served.get(api.key)
    const { host, port } = this.#connection
    if (served === undefined) throw new UnsupportedVersionError(`the broker at ${host}:${port} does not serve ${api.name}`)
    const [oldest, newest] = api.announced ?? api.versions
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
    { timeoutMs, maxVersion }: SendOptions = {},
  ): Promise<ResponseOf<A>> {
    const version = this.versionOf(api, maxVersion)
    try {
      const request = typeof build === 'function' ? build(version) : build
      this.requests++
      const response = await this.#connection.send(api, version, request, timeoutMs === undefined ? {} : { timeoutMs })
      this.responses++
      return response
    } catch (error) {
      throw asClientError(error)
    }
  }

  /** Resolves when the bytes have been handed to the system. @throws as send */
  async sendNoResponse<A extends Api>(api: A, build: (version: number) => RequestInput<A>): Promise<void> {
    const version = this.versionOf(api)
    try {
      this.requests++
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
async function negotiate(connection: FramedConnection): Promise<ApiVersionsResponse> {
  let version = ApiVersions.versions[1]
  for (;;) {
    const response = await connection.send(ApiVersions, version, clientSoftware)
    if (response.errorCode !== errorTable.UNSUPPORTED_VERSION.code || version === 0) {
      checkErrorCode(response.errorCode, `ApiVersions from ${connection.host}:${connection.port}`)
      return response
    }
    const known = response.apiKeys.find(({ apiKey }) => apiKey === ApiVersions.key)
    version = known === undefined ? 0 : Math.max(0, Math.min(known.maxVersion, version - 1))
  }
}

function asClientError(error: unknown): ClientError {
  if (error instanceof ClientError) return error
  if (!(error instanceof ConnectionError)) {
    const message = error instanceof Error ? error.message : String(error)
    return new ClientError('INVALID_ARGUMENT', message, { cause: error })
  }
  switch (error.reason) {
    case 'timeout':
      return new TimeoutError(error.message, error)
    case 'malformed':
      return new MalformedResponseError(error.message, error)
    default:
      return new DisconnectedError(error.message, error)
  }
}
