import { ClientError, hasCode, ProducerFencedError } from '../../errors.ts'

/** The requests of a transaction. */
export type TransactionRequest = 'InitProducerId' | 'AddPartitionsToTxn' | 'AddOffsetsToTxn' | 'TxnOffsetCommit' | 'EndTxn' | 'Produce'

/** What becomes of the producer: `retriable` nothing: the call can be repeated; `abortable` its transaction must be aborted, `fatal` it is of no use any more. */
export type Severity = 'retriable' | 'abortable' | 'fatal'

const abortable: Readonly<Record<Exclude<TransactionRequest, 'Produce' | 'AddPartitionsToTxn'>, readonly string[]>> = {
  InitProducerId: ['TRANSACTION_ABORTABLE'],
  AddOffsetsToTxn: ['GROUP_AUTHORIZATION_FAILED', 'INVALID_PRODUCER_ID_MAPPING', 'TRANSACTION_ABORTABLE', 'UNKNOWN_PRODUCER_ID'],
  TxnOffsetCommit: [
    'FENCED_INSTANCE_ID',
    'GROUP_AUTHORIZATION_FAILED',
    'ILLEGAL_GENERATION',
    'INVALID_COMMIT_OFFSET_SIZE',
    'OFFSET_METADATA_TOO_LARGE',
    'STALE_MEMBER_EPOCH',
    'TOPIC_AUTHORIZATION_FAILED',
    'TRANSACTION_ABORTABLE',
    'UNKNOWN_MEMBER_ID',
  ],
  EndTxn: ['INVALID_PRODUCER_ID_MAPPING', 'TRANSACTION_ABORTABLE', 'UNKNOWN_PRODUCER_ID'],
}

/** Where everything else is abortable. */
const fatal: Readonly<Record<'Produce' | 'AddPartitionsToTxn', readonly string[]>> = {
  Produce: ['CLOSED', 'CLUSTER_AUTHORIZATION_FAILED', 'PRODUCER_FENCED', 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED', 'UNSUPPORTED_VERSION'],
  AddPartitionsToTxn: ['CLOSED', 'INVALID_TXN_STATE', 'PRODUCER_FENCED', 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED', 'UNSUPPORTED_VERSION'],
}

/** Whoever may not have the id yet asks again when it may. KAFKA-13668. */
const notAllowed = ['CLUSTER_AUTHORIZATION_FAILED', 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED'] as const

/**
 * As Java's producer has it (4.3), with two exceptions. Offsets that are too large, or of a topic that may not be read, end the transaction and not
 * the producer. So does INVALID_PRODUCER_ID_MAPPING: a coordinator that has forgotten the id gives a new one behind the abort, and one that knows
 * another producer of it fences this one then. A leader's INVALID_PRODUCER_EPOCH is abortable (KIP-588), a coordinator's means
 * that the producer is fenced; TransactionManager says where a group's coordinator is a leader.
 */
export function severityOf(request: TransactionRequest, error: ClientError): Severity {
  if (request === 'Produce') return hasCode(error, ...fatal.Produce) ? 'fatal' : 'abortable'
  if (error.retriable) return 'retriable'
  if (request === 'InitProducerId' && hasCode(error, ...notAllowed)) return 'retriable'
  if (request === 'AddPartitionsToTxn') {
    return hasCode(error, ...fatal.AddPartitionsToTxn) || isFencing(error) ? 'fatal' : 'abortable'
  }
  return hasCode(error, ...abortable[request]) ? 'abortable' : 'fatal'
}

/** What a coordinator calls a producer that is not the newest of its transactional id; the second name is that of old versions. */
const isFencing = (error: ClientError): boolean => hasCode(error, 'PRODUCER_FENCED', 'INVALID_PRODUCER_EPOCH')

/** What users see of a fatal error. */
export function fatalOf(request: TransactionRequest, error: ClientError, transactionalId: string): ClientError {
  if (error instanceof ProducerFencedError) return error
  if (!isFencing(error) || (request === 'Produce' && error.code !== 'PRODUCER_FENCED')) {
    return error.fatal ? error : new ClientError(error.code, error.message, { fatal: true, cause: error })
  }
  const why = `another producer has taken transactional id ${transactionalId}, or its transaction was open for longer than transactionTimeoutMs`
  return new ProducerFencedError(why, error)
}

/** For a wait that was given up by the user's signal: whether it took effect is unknown. */
export const cancelled = (what: string, reason: unknown): ClientError =>
  reason instanceof ClientError ? reason : new ClientError('CANCELLED', `${what} was cancelled`, { cause: reason })
