import { type Clock, messageOf, type Random } from '@tidelog/core'
import type { ExchangeObserver } from '@tidelog/net'
import { KafkaJSConnectionError, KafkaJSNonRetriableError } from './errors.ts'
import { loggerOf } from './logger.ts'
import { type ResolvedRetry, totalBackoffMs } from './retry.ts'
import { type SecurityOptions, securityOptions } from './security-options.ts'
import type { KafkaConfig, Logger } from './types-client.ts'

/** What the clients of one Kafka have in common. */
export interface KafkaContext {
  readonly config: KafkaConfig
  readonly logger: Logger
  readonly clock: Clock
  readonly random: Random
}

const MOST_MS = 2_147_483_647
const CONNECTION_TIMEOUT_MS = 1000
export const REQUEST_TIMEOUT_MS = 30_000
export const METADATA_MAX_AGE_MS = 300_000

/** @throws KafkaJSNonRetriableError unless there are brokers; KafkaJSConnectionError when the function that gives them fails */
async function brokersOf({ brokers }: KafkaConfig): Promise<string[]> {
  let list: unknown = brokers
  if (typeof brokers === 'function') {
    try {
      list = await brokers()
    } catch (error) {
      throw new KafkaJSConnectionError(`brokers could not be had: ${messageOf(error)}`)
    }
  }
  if (!Array.isArray(list) || list.length === 0 || list.some((broker) => typeof broker !== 'string')) {
    throw new KafkaJSNonRetriableError('brokers must be an array of host:port with at least one of them')
  }
  return list
}

export interface ClientOptions extends SecurityOptions {
  readonly bootstrapServers: readonly string[]
  readonly clientId: string
  readonly socketConnectionSetupTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly retryBackoffMs: number
  readonly retryBackoffMaxMs: number
  readonly metadataMaxAgeMs: number
  readonly clock: Clock
  readonly random: Random
  readonly logger: ReturnType<typeof loggerOf>
  readonly observer: ExchangeObserver
}

/** Options that each of our clients takes. @throws KafkaJSSASLAuthenticationError for `sasl` that cannot work */
export async function clientOptions(
  { config, logger, clock, random }: KafkaContext,
  retry: ResolvedRetry,
  observer: ExchangeObserver,
  metadataMaxAge = METADATA_MAX_AGE_MS,
): Promise<ClientOptions> {
  return {
    ...securityOptions(config, logger),
    bootstrapServers: await brokersOf(config),
    clientId: config.clientId ?? 'kafkajs',
    socketConnectionSetupTimeoutMs: config.connectionTimeout ?? CONNECTION_TIMEOUT_MS,
    requestTimeoutMs: config.enforceRequestTimeout === false ? MOST_MS : (config.requestTimeout ?? REQUEST_TIMEOUT_MS),
    retryBackoffMs: retry.initialRetryTime,
    retryBackoffMaxMs: retry.maxRetryTime,
    metadataMaxAgeMs: metadataMaxAge,
    clock,
    random,
    logger: loggerOf(logger.namespace('Client')),
    observer,
  }
}

/** How long our client may go on trying: as long as kafkajs's retries would take if each attempt failed at once, and one request on top. */
export const callTimeoutMs = (retry: ResolvedRetry, requestTimeoutMs: number): number =>
  Math.min(MOST_MS, totalBackoffMs(retry) + requestTimeoutMs)

export const retriesOf = ({ retries }: ResolvedRetry): number => Math.min(MOST_MS, retries)
