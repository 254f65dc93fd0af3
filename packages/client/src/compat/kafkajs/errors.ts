import type { PartitionMetadata } from './types-client.ts'

/**
 * kafkajs's tree of errors: programs tell them apart by class, `name`, `type`, `code` and `retriable`, which are the same. The words of
 * messages are ours.
 */

export interface KafkaJSErrorMetadata {
  retriable?: boolean
  topic?: string
  partitionId?: number
  metadata?: PartitionMetadata
}

interface Described {
  readonly message: string
  readonly helpUrl?: string
  readonly retriable?: boolean
  readonly type?: string
  readonly code?: number
}

const messageOf = (e: Error | string): string => (typeof e === 'string' ? e : e.message)
const described = (e: Error | string): Partial<Described> => (typeof e === 'string' ? {} : (e as Described))

export class KafkaJSError extends Error {
  override name = 'KafkaJSError'
  readonly retriable: boolean
  readonly helpUrl?: string | undefined
  override readonly cause?: Error

  /** @param e May be missing: kafkajs's types have classes that are made of nothing. */
  constructor(e: Error | string = '', { retriable = true, cause }: KafkaJSErrorMetadata & { cause?: Error | undefined } = {}) {
    super(messageOf(e), cause === undefined ? undefined : { cause })
    this.retriable = retriable
    this.helpUrl = described(e).helpUrl
    if (cause !== undefined) this.cause = cause
  }
}

export class KafkaJSNonRetriableError extends KafkaJSError {
  override name = 'KafkaJSNonRetriableError'
  constructor(e: Error | string = '', { cause }: { cause?: Error | undefined } = {}) {
    super(e, { retriable: false, cause })
  }
}

/** What a broker answered: `type` is Kafka's name for it, as of the time of kafkajs, `code` its number. */
export class KafkaJSProtocolError extends KafkaJSError {
  override name = 'KafkaJSProtocolError'
  readonly type: string
  readonly code: number
  constructor(e: Error | string, { retriable = described(e).retriable }: { retriable?: boolean | undefined } = {}) {
    super(e, retriable === undefined ? {} : { retriable })
    const { type, code } = described(e)
    this.type = type as string
    this.code = code as number
  }
}

export interface KafkaJSOffsetOutOfRangeMetadata {
  topic: string
  partition: number
}

export class KafkaJSOffsetOutOfRange extends KafkaJSProtocolError {
  override name = 'KafkaJSOffsetOutOfRange'
  readonly topic: string
  readonly partition: number
  constructor(e: Error | string, metadata?: KafkaJSOffsetOutOfRangeMetadata) {
    super(e)
    this.topic = metadata?.topic as string
    this.partition = metadata?.partition as number
  }
}

export class KafkaJSMemberIdRequired extends KafkaJSProtocolError {
  override name = 'KafkaJSMemberIdRequired'
  readonly memberId: string
  constructor(e: Error | string, { memberId }: { memberId: string }) {
    super(e)
    this.memberId = memberId
  }
}

export interface KafkaJSNumberOfRetriesExceededMetadata {
  retryCount: number
  retryTime: number
}

export class KafkaJSNumberOfRetriesExceeded extends KafkaJSNonRetriableError {
  override name = 'KafkaJSNumberOfRetriesExceeded'
  override readonly stack: string
  readonly retryCount: number
  readonly retryTime: number
  constructor(e: Error | string, metadata?: KafkaJSNumberOfRetriesExceededMetadata) {
    super(e, { cause: typeof e === 'string' ? undefined : e })
    this.stack = `${this.name}\n  Caused by: ${typeof e === 'string' ? e : e.stack}`
    this.retryCount = metadata?.retryCount as number
    this.retryTime = metadata?.retryTime as number
  }
}

export interface KafkaJSConnectionErrorMetadata {
  broker?: string
  code?: string
}

export class KafkaJSConnectionError extends KafkaJSError {
  override name = 'KafkaJSConnectionError'
  readonly broker: string
  readonly code?: string | undefined
  constructor(e: Error | string, { broker, code }: KafkaJSConnectionErrorMetadata = {}) {
    super(e)
    this.broker = broker as string
    this.code = code
  }
}

export class KafkaJSConnectionClosedError extends KafkaJSConnectionError {
  override name = 'KafkaJSConnectionClosedError'
  readonly host: string | undefined
  readonly port: number | undefined
  constructor(e: Error | string, { host, port }: { host?: string; port?: number } = {}) {
    super(e, { broker: `${host}:${port}` })
    this.host = host
    this.port = port
  }
}

export interface KafkaJSRequestTimeoutErrorMetadata {
  broker: string
  clientId: string
  correlationId: number
  createdAt: number
  sentAt: number
  pendingDuration: number
}

export class KafkaJSRequestTimeoutError extends KafkaJSError {
  override name = 'KafkaJSRequestTimeoutError'
  readonly broker: string
  readonly correlationId: number
  readonly createdAt: number
  readonly sentAt: number
  readonly pendingDuration: number
  constructor(e: Error | string, metadata?: Partial<KafkaJSRequestTimeoutErrorMetadata>) {
    super(e)
    const { broker, correlationId, createdAt, sentAt, pendingDuration } = metadata ?? {}
    this.broker = broker as string
    this.correlationId = correlationId as number
    this.createdAt = createdAt as number
    this.sentAt = sentAt as number
    this.pendingDuration = pendingDuration as number
  }
}

// --- metadata ------------------------------------------------------------------------------------------------------------------------

export class KafkaJSMetadataNotLoaded extends KafkaJSError {
  override name = 'KafkaJSMetadataNotLoaded'
}

export interface KafkaJSTopicMetadataNotLoadedMetadata {
  topic: string
}

export class KafkaJSTopicMetadataNotLoaded extends KafkaJSMetadataNotLoaded {
  override name = 'KafkaJSTopicMetadataNotLoaded'
  readonly topic: string
  constructor(e: Error | string, metadata?: KafkaJSTopicMetadataNotLoadedMetadata) {
    super(e)
    this.topic = metadata?.topic as string
  }
}

export interface KafkaJSStaleTopicMetadataAssignmentMetadata {
  topic: string
  unknownPartitions: PartitionMetadata[]
}

export class KafkaJSStaleTopicMetadataAssignment extends KafkaJSError {
  override name = 'KafkaJSStaleTopicMetadataAssignment'
  readonly topic: string
  /** PartitionMetadata[], as in kafkajs, which declares a number. */
  // biome-ignore lint/suspicious/noExplicitAny: so that what compiles with kafkajs compiles, and what is right compiles too
  readonly unknownPartitions: any
  constructor(e: Error | string, metadata?: KafkaJSStaleTopicMetadataAssignmentMetadata) {
    super(e)
    this.topic = metadata?.topic as string
    this.unknownPartitions = metadata?.unknownPartitions
  }
}

export interface KafkaJSServerDoesNotSupportApiKeyMetadata {
  apiKey: number
  apiName: string
}

export class KafkaJSServerDoesNotSupportApiKey extends KafkaJSNonRetriableError {
  override name = 'KafkaJSServerDoesNotSupportApiKey'
  readonly apiKey: number
  readonly apiName: string
  constructor(e: Error | string, metadata?: Partial<KafkaJSServerDoesNotSupportApiKeyMetadata>) {
    super(e)
    this.apiKey = metadata?.apiKey as number
    this.apiName = metadata?.apiName as string
  }
}

export class KafkaJSBrokerNotFound extends KafkaJSError {
  override name = 'KafkaJSBrokerNotFound'
}

export class KafkaJSNoBrokerAvailableError extends KafkaJSError {
  override name = 'KafkaJSNoBrokerAvailableError'
  constructor() {
    super('there is no broker at hand')
  }
}

export class KafkaJSGroupCoordinatorNotFound extends KafkaJSNonRetriableError {
  override name = 'KafkaJSGroupCoordinatorNotFound'
}

// --- what cannot be --------------------------------------------------------------------------------------------------------------------

export class KafkaJSPartialMessageError extends KafkaJSNonRetriableError {
  override name = 'KafkaJSPartialMessageError'
}

export class KafkaJSSASLAuthenticationError extends KafkaJSNonRetriableError {
  override name = 'KafkaJSSASLAuthenticationError'
}

export class KafkaJSNotImplemented extends KafkaJSNonRetriableError {
  override name = 'KafkaJSNotImplemented'
}

export class KafkaJSTimeout extends KafkaJSNonRetriableError {
  override name = 'KafkaJSTimeout'
}

export class KafkaJSLockTimeout extends KafkaJSTimeout {
  override name = 'KafkaJSLockTimeout'
}

export class KafkaJSUnsupportedMagicByteInMessageSet extends KafkaJSNonRetriableError {
  override name = 'KafkaJSUnsupportedMagicByteInMessageSet'
}

export class KafkaJSInvariantViolation extends KafkaJSNonRetriableError {
  override name = 'KafkaJSInvariantViolation'
}

/** Its name is that of its parent in kafkajs, too. */
export class KafkaJSInvalidVarIntError extends KafkaJSNonRetriableError {}

/** Its name is that of its parent in kafkajs, too. */
export class KafkaJSInvalidLongError extends KafkaJSNonRetriableError {}

/** Declared by kafkajs, and thrown to nobody. */
export class KafkaJSFetcherRebalanceError extends Error {}

// --- administration --------------------------------------------------------------------------------------------------------------------

export type DeleteGroupsResult = { groupId: string; errorCode?: number; error?: KafkaJSProtocolError }

export interface KafkaJSDeleteGroupsErrorGroups {
  groupId: string
  errorCode: number
  error: KafkaJSError
}

export class KafkaJSDeleteGroupsError extends KafkaJSError {
  override name = 'KafkaJSDeleteGroupsError'
  readonly groups: DeleteGroupsResult[]
  constructor(e: Error | string, groups: KafkaJSDeleteGroupsErrorGroups[] = []) {
    super(e)
    this.groups = groups as DeleteGroupsResult[]
  }
}

export interface KafkaJSDeleteTopicRecordsErrorPartition {
  partition: number
  offset: string
  error: KafkaJSError
}

export interface KafkaJSDeleteTopicRecordsErrorTopic {
  topic: string
  partitions: KafkaJSDeleteTopicRecordsErrorPartition[]
}

/** Retriable when each of its partitions' errors is. */
export class KafkaJSDeleteTopicRecordsError extends KafkaJSError {
  override name = 'KafkaJSDeleteTopicRecordsError'
  readonly partitions: KafkaJSDeleteTopicRecordsErrorPartition[]
  constructor({ partitions }: KafkaJSDeleteTopicRecordsErrorTopic) {
    super('records could not be deleted', { retriable: partitions.every(({ error }) => error == null || error.retriable === true) })
    this.partitions = partitions
  }
}

export class KafkaJSCreateTopicError extends KafkaJSProtocolError {
  override name = 'KafkaJSCreateTopicError'
  readonly topic: string
  constructor(e: Error | string, topicName: string) {
    super(e)
    this.topic = topicName
  }
}

export class KafkaJSAlterPartitionReassignmentsError extends KafkaJSProtocolError {
  override name = 'KafkaJSAlterPartitionReassignmentsError'
  readonly topic?: string | undefined
  readonly partition?: number | undefined
  constructor(e: Error | string, topic?: string, partition?: number) {
    super(e)
    this.topic = topic
    this.partition = partition
  }
}

export class KafkaJSAggregateError extends Error {
  override name = 'KafkaJSAggregateError'
  readonly errors: (Error | string)[]
  constructor(message: Error | string, errors: (Error | string)[]) {
    super(String(message))
    this.errors = errors
  }
}
