import { InitProducerId, KafkaError } from '@tidelog/protocol'
import { defineHandler } from '../define-handler.ts'

const none = -1

/** A new producer id for an idempotent producer. Transactions have no coordinator here yet, and their producers are told to try later. Source: KIP-98, KIP-360. */
export const initProducerId = defineHandler(
  InitProducerId,
  async ({ transactionalId, producerId, producerEpoch }, context) => {
    if (transactionalId === '') throw new KafkaError('INVALID_REQUEST', 'the transactional id is empty')
    if ((producerId === none) !== (producerEpoch === none)) throw new KafkaError('INVALID_REQUEST', 'producer id and epoch go together')
    if (transactionalId !== null) {
      context.authorize('Write', 'TransactionalId', transactionalId)
      throw new KafkaError('COORDINATOR_NOT_AVAILABLE', 'transactions are not served yet')
    }
    return { errorCode: 0, producerId: await context.broker.producerIds.allocate(), producerEpoch: 0 }
  },
  { errorResponse: (_request, errorCode) => ({ errorCode, producerId: none, producerEpoch: none }) },
)
