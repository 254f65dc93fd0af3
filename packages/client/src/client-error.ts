import { messageOf } from '@tidelog/core'
import { ConnectionError } from '@tidelog/net'
import {
  AuthenticationError,
  ClientError,
  DisconnectedError,
  MalformedResponseError,
  TimeoutError,
  TlsError,
  UnresolvedHostError,
} from './errors.ts'

/** What a connection failed with, as users are told. */
export function asClientError(error: unknown): ClientError {
  if (error instanceof ClientError) return error
  if (!(error instanceof ConnectionError)) {
    const message = messageOf(error)
    return new ClientError('INVALID_ARGUMENT', message, { cause: error })
  }
  switch (error.reason) {
    case 'timeout':
      return new TimeoutError(error.message, error)
    case 'malformed':
      return new MalformedResponseError(error.message, error)
    case 'tls':
      return new TlsError(error.message, error)
    case 'proxy':
      return new AuthenticationError('PROXY_AUTHENTICATION_FAILED', error.message, error)
    case 'unresolved':
      return new UnresolvedHostError(error.message, { retriable: true, cause: error })
    default:
      return new DisconnectedError(error.message, error)
  }
}
