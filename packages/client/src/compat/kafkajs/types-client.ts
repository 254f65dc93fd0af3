import type { Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import type { logLevel } from './enums.ts'

/** What kafkajs's users configure, log and listen to, whichever client they use. */

export type BrokersFunction = () => string[] | Promise<string[]>

export interface KafkaConfig {
  /** `host:port` of some brokers, or what gives them at each connect(). */
  brokers: string[] | BrokersFunction
  ssl?: ConnectionOptions | boolean
  sasl?: SASLOptions | Mechanism
  clientId?: string
  connectionTimeout?: number
  authenticationTimeout?: number
  reauthenticationThreshold?: number
  requestTimeout?: number
  enforceRequestTimeout?: boolean
  retry?: RetryOptions
  /** Its socket speaks TLS already where `ssl` says so. */
  socketFactory?: ISocketFactory
  logLevel?: logLevel
  logCreator?: logCreator
}

export interface RetryOptions {
  maxRetryTime?: number
  initialRetryTime?: number
  factor?: number
  multiplier?: number
  retries?: number
  restartOnFailure?: (e: Error) => Promise<boolean>
}

// --- SASL and sockets ----------------------------------------------------------------------------------------------------------------

interface SASLMechanismOptionsMap {
  plain: { username: string; password: string }
  'scram-sha-256': { username: string; password: string }
  'scram-sha-512': { username: string; password: string }
  aws: { authorizationIdentity: string; accessKeyId: string; secretAccessKey: string; sessionToken?: string }
  oauthbearer: { oauthBearerProvider: () => Promise<OauthbearerProviderResponse> }
}
export type SASLMechanism = keyof SASLMechanismOptionsMap
type SASLMechanismOptions<T> = T extends SASLMechanism ? { mechanism: T } & SASLMechanismOptionsMap[T] : never
export type SASLOptions = SASLMechanismOptions<SASLMechanism>

export interface OauthbearerProviderResponse {
  value: string
}

export type Authenticator = { authenticate: () => Promise<void> }

export type SaslAuthenticateArgs<ParseResult> = {
  request: { encode: () => Buffer | Promise<Buffer> }
  response?: { decode: (rawResponse: Buffer) => Buffer | Promise<Buffer>; parse: (data: Buffer) => ParseResult }
}

export type AuthenticationProviderArgs = {
  host: string
  port: number
  logger: Logger
  // biome-ignore lint/suspicious/noConfusingVoidType: kafkajs's own type
  saslAuthenticate: <ParseResult>(args: SaslAuthenticateArgs<ParseResult>) => Promise<ParseResult | void>
}

export type Mechanism = { mechanism: string; authenticationProvider: (args: AuthenticationProviderArgs) => Authenticator }

export interface ISocketFactoryArgs {
  host: string
  port: number
  ssl: ConnectionOptions
  onConnect: () => void
}

export type ISocketFactory = (args: ISocketFactoryArgs) => Socket

// --- logs ----------------------------------------------------------------------------------------------------------------------------

export interface LoggerEntryContent {
  readonly timestamp: string
  readonly message: string
  // biome-ignore lint/suspicious/noExplicitAny: kafkajs's own type; users read fields of it without a check
  [key: string]: any
}

export interface LogEntry {
  namespace: string
  level: logLevel
  label: string
  log: LoggerEntryContent
}

export type logCreator = (logLevel: logLevel) => (entry: LogEntry) => void

export type Logger = {
  info: (message: string, extra?: object) => void
  error: (message: string, extra?: object) => void
  warn: (message: string, extra?: object) => void
  debug: (message: string, extra?: object) => void
  namespace: (namespace: string, logLevel?: logLevel) => Logger
  setLogLevel: (logLevel: logLevel) => void
}

// --- events --------------------------------------------------------------------------------------------------------------------------

export interface InstrumentationEvent<T> {
  id: string
  type: string
  timestamp: number
  payload: T
}

export type RemoveInstrumentationEventListener<_T> = () => void

export type ConnectEvent = InstrumentationEvent<null>
export type DisconnectEvent = InstrumentationEvent<null>
export type RequestEvent = InstrumentationEvent<{
  apiKey: number
  apiName: string
  apiVersion: number
  broker: string
  clientId: string
  correlationId: number
  createdAt: number
  duration: number
  pendingDuration: number
  sentAt: number
  /** Bytes of the answer. */
  size: number
}>
export type RequestTimeoutEvent = InstrumentationEvent<{
  apiKey: number
  apiName: string
  apiVersion: number
  broker: string
  clientId: string
  correlationId: number
  createdAt: number
  pendingDuration: number
  sentAt: number
}>
export type RequestQueueSizeEvent = InstrumentationEvent<{ broker: string; clientId: string; queueSize: number }>

/** Events that each of the clients has, under its own names. */
export type NetworkEvents<Name extends string> = {
  CONNECT: `${Name}.connect`
  DISCONNECT: `${Name}.disconnect`
  REQUEST: `${Name}.network.request`
  REQUEST_TIMEOUT: `${Name}.network.request_timeout`
  REQUEST_QUEUE_SIZE: `${Name}.network.request_queue_size`
}

interface NetworkEventOf {
  CONNECT: ConnectEvent
  DISCONNECT: DisconnectEvent
  REQUEST: RequestEvent
  REQUEST_TIMEOUT: RequestTimeoutEvent
  REQUEST_QUEUE_SIZE: RequestQueueSizeEvent
}

/** What listeners get, by the name of the event. */
export type EventsByName<Events extends object, EventOf extends object = NetworkEventOf> = {
  [K in keyof Events as Events[K] & string]: K extends keyof EventOf
    ? EventOf[K]
    : K extends keyof NetworkEventOf
      ? NetworkEventOf[K]
      : never
}

type Intersected<U> = (U extends unknown ? (one: U) => void : never) extends (all: infer I) => void ? I : never

// biome-ignore lint/suspicious/noExplicitAny: kafkajs's own type for events whose name is not known
type AnyEvent = InstrumentationEvent<any>

/** A name that may be one of several is an event of anything. */
type EventOf<ByName extends object, E extends keyof ByName> = [E] extends [Intersected<E>] ? ByName[E] : AnyEvent

export type Listen<ByName extends object> = <E extends keyof ByName>(
  eventName: E,
  listener: (event: EventOf<ByName, E>) => void,
) => RemoveInstrumentationEventListener<E>

// --- what several clients have in common ---------------------------------------------------------------------------------------------

export interface IHeaders {
  [key: string]: Buffer | string | (Buffer | string)[] | undefined
}

export type PartitionMetadata = {
  partitionErrorCode: number
  partitionId: number
  leader: number
  replicas: number[]
  isr: number[]
  offlineReplicas?: number[]
}

export type TopicPartition = { topic: string; partition: number }
export type TopicPartitions = { topic: string; partitions: number[] }
export type TopicPartitionOffset = TopicPartition & { offset: string }
export type TopicPartitionOffsetAndMetadata = TopicPartitionOffset & { metadata?: string | null }

export interface PartitionOffset {
  partition: number
  offset: string
}
export type SeekEntry = PartitionOffset

export interface TopicOffsets {
  topic: string
  partitions: PartitionOffset[]
}

export interface Offsets {
  topics: TopicOffsets[]
}

export interface OffsetsByTopicPartition {
  topics: TopicOffsets[]
}
