/** The broker configurations that a transaction coordinator follows. Live: read when they are needed. */
export interface TransactionCoordinatorConfig {
  /** transaction.max.timeout.ms */
  readonly maxTimeoutMs: number
  /** transaction.abort.timed.out.transaction.cleanup.interval.ms */
  readonly abortTimedOutIntervalMs: number
  /** transactional.id.expiration.ms */
  readonly idExpirationMs: number
  /** transaction.remove.expired.transaction.cleanup.interval.ms */
  readonly removeExpiredIntervalMs: number
  /** The level of the feature transaction.version that is finalized in the cluster: 0 to 2. */
  readonly transactionVersion: number
}
