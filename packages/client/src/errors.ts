import { type ErrorName, errorByCode } from '@tidelog/protocol'

export interface ClientErrorTraits {
  /** Doing the same again may succeed. */
  readonly retriable?: boolean | undefined
  /** This client will not recover; close it and make a new one. */
  readonly fatal?: boolean
  /** The open transaction must be aborted; then the client can go on. */
  readonly abortable?: boolean
  readonly cause?: unknown
}

/**
 * What every failure of a client is, except for an aborted signal, which throws the signal's own reason.
 * `code` is Kafka's name where the broker said it (`TOPIC_ALREADY_EXISTS`), else one of ours (`TIMEOUT`, `DISCONNECTED`…).
 */
export class ClientError extends Error {
  override name = 'ClientError'
  readonly code: string
  /** The same call may succeed later. */
  readonly retriable: boolean
  /** This client will not recover: close it and make a new one. */
  readonly fatal: boolean
  /** The open transaction must be aborted; then the client can go on. */
  readonly abortable: boolean

  constructor(code: string, message: string, { retriable = false, fatal = false, abortable = false, cause }: ClientErrorTraits = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.retriable = retriable
    this.fatal = fatal
    this.abortable = abortable
  }
}

/** An option that does not exist, has a bad value, or does not go with another one. */
export class InvalidOptionError extends ClientError {
  override name = 'InvalidOptionError'
  constructor(message: string, cause?: unknown) {
    super('INVALID_CONFIG', message, { fatal: true, cause })
  }
}

/** The call does not fit the client's state: subscribe() after assign(), seek() of a partition that is not assigned. */
export class IllegalStateError extends ClientError {
  override name = 'IllegalStateError'
  constructor(message: string) {
    super('ILLEGAL_STATE', message)
  }
}

/** close() has been called. */
export class ClosedError extends ClientError {
  override name = 'ClosedError'
  constructor(client: string) {
    super('CLOSED', `the ${client} is closed`, { fatal: true })
  }
}

/** A limit of time has passed; `cause` is the last failure that was retried, when there was one. */
export class TimeoutError extends ClientError {
  override name = 'TimeoutError'
  constructor(message: string, cause?: unknown) {
    super('TIMEOUT', message, { retriable: true, cause })
  }
}

/** No connection, or it broke before the answer came. Whether the request took effect is unknown. */
export class DisconnectedError extends ClientError {
  override name = 'DisconnectedError'
  constructor(message: string, cause?: unknown) {
    super('DISCONNECTED', message, { retriable: true, cause })
  }
}

/** A broker's name has no address: it is wrong, or not known yet. Retriable unless it is so with all bootstrap servers from the start. */
export class UnresolvedHostError extends ClientError {
  override name = 'UnresolvedHostError'
  constructor(message: string, { retriable, cause }: Pick<ClientErrorTraits, 'retriable' | 'cause'> = {}) {
    super('UNRESOLVED_HOST', message, { retriable, cause })
  }
}

/**
 * The broker, or a proxy before it, does not let this client in: `SASL_AUTHENTICATION_FAILED`, `UNSUPPORTED_SASL_MECHANISM`,
 * `ILLEGAL_SASL_STATE`, `PROXY_AUTHENTICATION_FAILED`. No call tries again by itself.
 */
export class AuthenticationError extends ClientError {
  override name = 'AuthenticationError'
  constructor(code: string, message: string, cause?: unknown) {
    super(code, message, { fatal: true, cause })
  }
}

/** Client and broker do not agree on TLS, or one does not trust the other's certificate. No call tries again by itself. */
export class TlsError extends ClientError {
  override name = 'TlsError'
  constructor(message: string, cause?: unknown) {
    super('TLS_FAILED', message, { fatal: true, cause })
  }
}

/** The broker's answer is not Kafka's protocol. The connection has been closed. */
export class MalformedResponseError extends ClientError {
  override name = 'MalformedResponseError'
  constructor(message: string, cause?: unknown) {
    super('MALFORMED_RESPONSE', message, { cause })
  }
}

/** The broker serves no version of an API that this client, or this call, can use. */
export class UnsupportedVersionError extends ClientError {
  override name = 'UnsupportedVersionError'
  constructor(message: string) {
    super('UNSUPPORTED_VERSION', message)
  }
}

/** A key or value that a serde cannot write or read. Retriable when its cause is: a schema registry that cannot be reached. */
export class SerializationError extends ClientError {
  override name = 'SerializationError'
  /** The serializer returned a promise where nothing can wait for it; the same record can be given to send(). */
  readonly isAsynchronous: boolean
  constructor(message: string, cause?: unknown, { isAsynchronous = false }: { readonly isAsynchronous?: boolean } = {}) {
    super('SERIALIZATION_FAILED', message, { cause, retriable: isRetriable(cause) })
    this.isAsynchronous = isAsynchronous
  }
}

/** A schema registry that cannot be reached, or has refused. */
export class SchemaRegistryError extends ClientError {
  override name = 'SchemaRegistryError'
  /** Of the HTTP answer; undefined without one. */
  readonly status: number | undefined
  /** The registry's own number: 40401 unknown subject, 40403 unknown schema, 42201 invalid schema… */
  readonly errorCode: number | undefined
  constructor(
    message: string,
    { status, errorCode, ...traits }: ClientErrorTraits & { readonly status?: number; readonly errorCode?: number | undefined } = {},
  ) {
    super('SCHEMA_REGISTRY', message, traits)
    this.status = status
    this.errorCode = errorCode
  }
}

/** A record beyond `maxRequestSize`, `bufferMemory` or what the broker takes. */
export class RecordTooLargeError extends ClientError {
  override name = 'RecordTooLargeError'
  constructor(message: string) {
    super('MESSAGE_TOO_LARGE', message)
  }
}

const fatalNames: ReadonlySet<string> = new Set<ErrorName>([
  'CLUSTER_AUTHORIZATION_FAILED',
  'FENCED_INSTANCE_ID',
  'PRODUCER_FENCED',
  'SASL_AUTHENTICATION_FAILED',
  'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
  'UNSUPPORTED_SASL_MECHANISM',
])
const abortableNames: ReadonlySet<string> = new Set<ErrorName>(['TRANSACTION_ABORTABLE', 'INVALID_PRODUCER_EPOCH', 'UNKNOWN_PRODUCER_ID'])

/** What a broker answered. */
export class BrokerError extends ClientError {
  override name = 'BrokerError'
  /** Kafka's number for `code`. */
  readonly errorCode: number
  /** The broker's own words, without what was asked for; null when it gave none. */
  readonly detail: string | null
  readonly #context: string

  /**
   * @param context What was asked for, such as `topic a`.
   * @param message The broker's own words, when it gave some.
   */
  constructor(errorCode: number, context: string, message?: string | null, traits: Pick<ClientErrorTraits, 'fatal'> = {}) {
    const { errorName, meaning, retriable } = errorByCode(errorCode)
    super(errorName, `${context}: ${message || meaning}`, {
      retriable,
      fatal: fatalNames.has(errorName),
      abortable: abortableNames.has(errorName),
      ...traits,
    })
    this.errorCode = errorCode
    this.detail = message || null
    this.#context = context
  }

  /** The same, where it is not the end of the client. */
  recoverable(): BrokerError {
    return new BrokerError(this.errorCode, this.#context, this.detail, { fatal: false })
  }
}

/** Another producer has taken the transactional id, or the coordinator has aborted a transaction that was open for too long: make a new producer. */
export class ProducerFencedError extends ClientError {
  override name = 'ProducerFencedError'
  constructor(message: string, cause?: unknown) {
    super('PRODUCER_FENCED', message, { fatal: true, cause })
  }
}

/** Something of the open transaction has failed, which is `cause`: it cannot be committed any more, only aborted. */
export class TransactionAbortableError extends ClientError {
  override name = 'TransactionAbortableError'
  constructor(cause: ClientError) {
    super('TRANSACTION_ABORTABLE', `the transaction cannot be committed, abort it: ${cause.message}`, { abortable: true, cause })
  }
}

/** The record was not delivered because its transaction is aborted. */
export class TransactionAbortedError extends ClientError {
  override name = 'TransactionAbortedError'
  constructor(transactionalId: string, cause?: unknown) {
    super('TRANSACTION_ABORTED', `the record's transaction of ${transactionalId} is being aborted`, { cause })
  }
}

/** The committed offsets do not exist or are out of range, and `autoOffsetReset` is none. */
export class NoOffsetError extends ClientError {
  override name = 'NoOffsetError'
  /** Those to seek before the next read. */
  readonly partitions: readonly { readonly topic: string; readonly partition: number }[]
  constructor(code: 'NO_OFFSET_FOR_PARTITION' | 'OFFSET_OUT_OF_RANGE', partitions: readonly { topic: string; partition: number }[]) {
    const what = code === 'OFFSET_OUT_OF_RANGE' ? 'the position is out of range' : 'there is no committed offset'
    const names = partitions.map(({ topic, partition }) => `${topic}-${partition}`).join(', ')
    super(code, `${what}, and autoOffsetReset is none: ${names}`)
    this.partitions = partitions
  }
}

/**
 * Records that were read are gone from the log, as after an unclean election, and `autoOffsetReset` is none: seek() says where to go on. Thrown
 * again until then. Source: KIP-320.
 */
export class LogTruncationError extends ClientError {
  override name = 'LogTruncationError'
  readonly topic: string
  readonly partition: number
  /** Where the reader was. */
  readonly position: { readonly offset: number; readonly leaderEpoch: number }
  /** The end of what the log still has of it; undefined when the log does not know any more. */
  readonly divergent: { readonly offset: number; readonly leaderEpoch: number } | undefined
  constructor({ topic, partition, position, divergent }: Pick<LogTruncationError, 'topic' | 'partition' | 'position' | 'divergent'>) {
    const where = divergent === undefined ? 'an unknown offset' : `offset ${divergent.offset}`
    super(
      'LOG_TRUNCATION',
      `${topic}-${partition} was truncated at ${where}, below the position ${position.offset}, and autoOffsetReset is none`,
    )
    this.topic = topic
    this.partition = partition
    this.position = position
    this.divergent = divergent
  }
}

/** The group has given the partitions to another member meanwhile: what was not committed will be read again. */
export class CommitFailedError extends ClientError {
  override name = 'CommitFailedError'
  constructor(message: string, cause?: unknown) {
    super('COMMIT_FAILED', message, { cause })
  }
}

/** Records of a partition that cannot be decoded: a CRC that does not fit, bytes that are no batch. */
export class CorruptRecordError extends ClientError {
  override name = 'CorruptRecordError'
  readonly topic: string
  readonly partition: number
  readonly offset: number
  constructor({ topic, partition, offset }: { topic: string; partition: number; offset: number }, why: string, cause?: unknown) {
    super('CORRUPT_MESSAGE', `${topic}-${partition} at offset ${offset}: ${why}`, { cause })
    this.topic = topic
    this.partition = partition
    this.offset = offset
  }
}

/** @throws BrokerError unless `errorCode` is 0. */
export function checkErrorCode(errorCode: number, context: string, message?: string | null): void {
  if (errorCode !== 0) throw new BrokerError(errorCode, context, message)
}

/** Where the call that has met it can be repeated, once it is allowed. */
export const recoverable = (error: ClientError): ClientError => (error instanceof BrokerError && error.fatal ? error.recoverable() : error)

/** Whether the client that threw it will not recover. */
export const isFatal = (error: unknown): boolean => error instanceof ClientError && error.fatal

/** Whether the same call may succeed later. */
export const isRetriable = (error: unknown): boolean => error instanceof ClientError && error.retriable

/** Whether it is a client's error with one of these codes. */
export const hasCode = (error: unknown, ...codes: readonly string[]): error is ClientError =>
  error instanceof ClientError && codes.includes(error.code)

/** @throws MalformedResponseError for an offset beyond 2^53−1, which a number would round. */
export function checkOffset(offset: number, { topic, partition }: { topic: string; partition: number }): number {
  if (!Number.isSafeInteger(offset)) throw new MalformedResponseError(`${topic}-${partition}: the broker names an offset beyond ±(2^53−1)`)
  return offset
}

/** Several things were asked for in one call, and some of them failed; `code` is that of the first failure. */
export class PartialFailureError extends ClientError {
  override name = 'PartialFailureError'
  /** By the name of what was asked for: a topic, a group, `topic-partition`, a resource. */
  readonly failures: ReadonlyMap<string, ClientError>
  /** By the same names. */
  readonly succeeded: readonly string[]
  constructor(what: string, failures: ReadonlyMap<string, ClientError>, succeeded: readonly string[]) {
    const [first] = failures.values()
    super(first!.code, `${what}: ${failures.size} of ${failures.size + succeeded.length} failed: ${first!.message}`, {
      retriable: [...failures.values()].every(({ retriable }) => retriable),
      cause: first,
    })
    this.failures = failures
    this.succeeded = succeeded
  }
}
