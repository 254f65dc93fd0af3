import { errorByCode, errorTable } from '@tidelog/protocol'
import {
  BrokerError,
  ClientError,
  ClosedError,
  CommitFailedError,
  DisconnectedError,
  hasCode,
  NoOffsetError,
  PartialFailureError,
  TimeoutError,
  TransactionAbortableError,
  UnsupportedVersionError,
} from '../../errors.ts'
import {
  KafkaJSConnectionError,
  KafkaJSError,
  KafkaJSNonRetriableError,
  KafkaJSNumberOfRetriesExceeded,
  KafkaJSOffsetOutOfRange,
  KafkaJSProtocolError,
  KafkaJSRequestTimeoutError,
  KafkaJSSASLAuthenticationError,
  KafkaJSServerDoesNotSupportApiKey,
} from './errors.ts'

/** Codes that Kafka has renamed since kafkajs took over their names. */
const olderNames: ReadonlyMap<number, string> = new Map([
  [errorTable.UNKNOWN_SERVER_ERROR.code, 'UNKNOWN'],
  [errorTable.NOT_LEADER_OR_FOLLOWER.code, 'NOT_LEADER_FOR_PARTITION'],
  [errorTable.COORDINATOR_LOAD_IN_PROGRESS.code, 'GROUP_LOAD_IN_PROGRESS'],
  [errorTable.COORDINATOR_NOT_AVAILABLE.code, 'GROUP_COORDINATOR_NOT_AVAILABLE'],
  [errorTable.NOT_COORDINATOR.code, 'NOT_COORDINATOR_FOR_GROUP'],
])

/** kafkajs's description of an error code, which its errors are made from. */
export function errorOfCode(code: number, message?: string | null): KafkaJSProtocolError {
  const { errorName, meaning, retriable } = errorByCode(code)
  const described = { type: olderNames.get(code) ?? errorName, code, retriable, message: message || meaning }
  return new KafkaJSProtocolError(Object.assign(new Error(described.message), described))
}

/** The protocol error of that name. */
export const errorNamed = (name: keyof typeof errorTable, message?: string): KafkaJSProtocolError =>
  errorOfCode(errorTable[name].code, message)

export const isKafkaJSError = (error: unknown): error is KafkaJSError => error instanceof KafkaJSError

/** As kafkajs: what sends a member back to join the group. */
export const isRebalancing = (error: unknown): boolean =>
  error instanceof KafkaJSProtocolError && ['REBALANCE_IN_PROGRESS', 'NOT_COORDINATOR_FOR_GROUP', 'ILLEGAL_GENERATION'].includes(error.type)

/** A login that failed in the user's authenticationProvider; `cause` is what it threw. */
export class ProviderError extends ClientError {
  override name = 'ProviderError'
  override readonly cause: Error
  constructor(cause: Error, { retriable }: { readonly retriable: boolean }) {
    const code = retriable ? 'LOGIN_UNAVAILABLE' : 'SASL_AUTHENTICATION_FAILED'
    super(code, `sasl: the authenticationProvider failed: ${cause.message}`, { retriable, fatal: !retriable })
    this.cause = cause
  }
}

/** One failure of our client as kafkajs would have thrown it, without saying whether it was tried again. */
export function kafkaJSErrorOf(error: unknown): Error {
  if (!(error instanceof Error)) return new KafkaJSNonRetriableError(String(error))
  if (error instanceof ProviderError) return error.cause
  if (hasCode(error, 'SASL_AUTHENTICATION_FAILED')) return new KafkaJSSASLAuthenticationError(error.message)
  // Said before there is a login that could fail.
  for (const name of ['UNSUPPORTED_SASL_MECHANISM', 'ILLEGAL_SASL_STATE'] as const)
    if (hasCode(error, name)) return errorNamed(name, error.message)
  // Brokers told older clients so.
  if (hasCode(error, 'PRODUCER_FENCED')) return errorNamed('INVALID_PRODUCER_EPOCH', error.message)
  if (error instanceof TransactionAbortableError) return kafkaJSErrorOf(error.cause)
  if (error instanceof BrokerError) return errorOfCode(error.errorCode, error.detail ?? error.message)
  if (error instanceof NoOffsetError && error.code === 'OFFSET_OUT_OF_RANGE') {
    return new KafkaJSOffsetOutOfRange(errorNamed('OFFSET_OUT_OF_RANGE'), { ...error.partitions[0]! })
  }
  if (error instanceof CommitFailedError) {
    return error.cause instanceof BrokerError ? kafkaJSErrorOf(error.cause) : errorNamed('REBALANCE_IN_PROGRESS', error.message)
  }
  if (error instanceof TimeoutError) {
    return error.cause instanceof ClientError ? kafkaJSErrorOf(error.cause) : new KafkaJSRequestTimeoutError(error.message)
  }
  if (error instanceof DisconnectedError) return connectionError(error)
  if (error instanceof UnsupportedVersionError) return new KafkaJSServerDoesNotSupportApiKey(error.message)
  if (error instanceof ClosedError) return new KafkaJSError(error.message)
  if (hasCode(error, 'MESSAGE_TOO_LARGE')) return errorNamed('MESSAGE_TOO_LARGE', error.message)
  if (error instanceof ClientError)
    return error.retriable ? new KafkaJSError(error, { cause: error }) : new KafkaJSNonRetriableError(error, { cause: error })
  return error
}

/** Our words name the broker; the code of the system's error lies below. */
function connectionError(error: DisconnectedError): KafkaJSConnectionError {
  const broker = /\b[\w.[\]:-]+:\d+\b/.exec(error.message)?.[0]
  const code = systemCodeOf(error)
  return new KafkaJSConnectionError(error.message, {
    ...(broker === undefined ? {} : { broker }),
    ...(code === undefined ? {} : { code }),
  })
}

/** Such as ECONNREFUSED. */
function systemCodeOf(error: Error): string | undefined {
  const cause: unknown = error.cause instanceof AggregateError ? error.cause.errors[0] : error.cause
  if (!(cause instanceof Error)) return undefined
  const { code } = cause as { readonly code?: unknown }
  return typeof code === 'string' && !(cause instanceof ClientError) ? code : systemCodeOf(cause)
}

/**
 * A failure behind our client's own retries: what could have been tried again has been, so it is a KafkaJSNumberOfRetriesExceeded around
 * the last failure; what could not is the failure itself.
 */
export function finalErrorOf(error: unknown, retries: { readonly retryCount: number; readonly retryTime: number }): Error {
  if (error instanceof KafkaJSError) return error
  const mapped = kafkaJSErrorOf(error instanceof PartialFailureError ? [...error.failures.values()][0] : error)
  if (mapped instanceof KafkaJSError && mapped.retriable && !(error instanceof ClosedError))
    return new KafkaJSNumberOfRetriesExceeded(mapped, retries)
  return mapped
}
