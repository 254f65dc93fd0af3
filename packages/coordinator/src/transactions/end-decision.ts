import type { ErrorName } from '@tidelog/protocol'
import { deciding, isEpochExhausted, LAST_CLIENT_EPOCH, NO_PRODUCER_ID, type Transaction, TV_2 } from './transaction.ts'

export interface EndRequest {
  readonly producerId: number
  readonly producerEpoch: number
  readonly committed: boolean
  /** EndTxn 5 and later speak of 2. */
  readonly clientTransactionVersion: number
}

/** What becomes of a client's EndTxn. */
export type EndDecision =
  | { readonly refuse: ErrorName }
  /** The transaction was ended so before: the producer goes on with the id and epoch that the coordinator has now. */
  | { readonly repeat: true }
  /** The epochs of this producer id are used up: ask again with another one. */
  | { readonly needsProducerId: true }
  | { readonly next: Transaction }

/**
 * @param isChanging A transition is being written, or markers are.
 * @param newProducerId For a producer whose epochs are used up.
 * Source: KIP-98; KIP-890 for transaction.version 2, where an epoch names one transaction and an empty one can be aborted.
 */
export function decideEnd(
  transaction: Transaction,
  request: EndRequest,
  { isChanging, newProducerId, nowMs }: { isChanging: boolean; newProducerId: number | undefined; nowMs: number },
): EndDecision {
  const isV2 = request.clientTransactionVersion >= TV_2
  const isRetry = isV2 && isRetryOf(transaction, request)
  // Of version 2 it may be the next transaction, which nothing was added to: it has the right epoch, and comes again.
  if (isV2 && isChanging) return { refuse: 'CONCURRENT_TRANSACTIONS' }
  if (transaction.producerId !== request.producerId && !isRetry) return { refuse: 'INVALID_PRODUCER_ID_MAPPING' }
  if (!isEpochValid(transaction, request, { isV2, isRetry })) return { refuse: 'PRODUCER_FENCED' }
  if (isChanging) return { refuse: 'CONCURRENT_TRANSACTIONS' }
  const decide = (): EndDecision => {
    const { committed, clientTransactionVersion } = request
    const rotates = isV2 && isEpochExhausted(transaction.producerEpoch)
    if (rotates && newProducerId === undefined) return { needsProducerId: true }
    const nextProducerId = rotates ? newProducerId! : NO_PRODUCER_ID
    return { next: deciding(transaction, { committed, clientTransactionVersion, isFence: false, nextProducerId, nowMs }) }
  }
  switch (transaction.state) {
    case 'Ongoing':
      return decide()
    case 'CompleteCommit':
    case 'CompleteAbort': {
      const wasCommitted = transaction.state === 'CompleteCommit'
      if ((isRetry || !isV2) && wasCommitted === request.committed) return { repeat: true }
      // With the current epoch it is the next transaction that is meant, to which nothing has been added.
      return isV2 && !isRetry && !request.committed ? decide() : { refuse: 'INVALID_TXN_STATE' }
    }
    case 'Empty':
      return isV2 && !request.committed ? decide() : { refuse: 'INVALID_TXN_STATE' }
    default:
      return { refuse: 'INVALID_TXN_STATE' }
  }
}

/** The producer has not heard of its last EndTxn, which gave it another epoch, or another id with epoch 0. */
function isRetryOf(transaction: Transaction, { producerId, producerEpoch }: EndRequest): boolean {
  if (transaction.producerId === producerId) return transaction.producerEpoch === producerEpoch + 1
  return transaction.previousProducerId === producerId && producerEpoch === LAST_CLIENT_EPOCH && transaction.producerEpoch === 0
}

function isEpochValid(
  { state, producerEpoch }: Transaction,
  request: EndRequest,
  { isV2, isRetry }: { isV2: boolean; isRetry: boolean },
): boolean {
  const isCurrent = request.producerEpoch === producerEpoch
  if (!isV2) return isCurrent
  switch (state) {
    case 'PrepareCommit':
    case 'PrepareAbort':
      return isRetry
    case 'CompleteCommit':
    case 'CompleteAbort':
      return isRetry || isCurrent
    default:
      return isCurrent
  }
}
