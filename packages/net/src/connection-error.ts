/**
 * `refused`: nobody took the connection, or it broke before it stood; `unresolved`: the name has no address; `tls`: the peers do not agree on
 * TLS, or one does not trust the other's certificate; `proxy`: the proxy refuses us; `closed`, `malformed`: afterwards.
 */
export type ConnectionErrorReason = 'refused' | 'unresolved' | 'tls' | 'proxy' | 'timeout' | 'closed' | 'malformed' | 'aborted'

/** The connection could not be made or is lost, or the peer's bytes make no sense. What was in flight may or may not have taken effect. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError'
  readonly reason: ConnectionErrorReason
  constructor(reason: ConnectionErrorReason, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}
