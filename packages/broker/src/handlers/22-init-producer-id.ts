import { InitProducerId, KafkaError } from '@tidelog/protocol'
import { defineHandler } from '../define-handler.ts'
import { knownFencing } from '../transactions/producer-fenced.ts'

const none = -1
const FIRST_VERSION_WITH_PRODUCER_FENCED = 4

/**
 * A producer's id and epoch: new ones for an idempotent producer; for a transactional id the next epoch, which fences whoever had it before.
 * Source: KIP-98, KIP-360.
 */
export const initProducerId = defineHandler(
  InitProducerId,
  async ({ transactionalId, transactionTimeoutMs, producerId, producerEpoch }, context) => {
    const { producerIds, transactions } = context.broker
    if (transactionalId !== null) context.authorize('Write', 'TransactionalId', transactionalId)
    else context.authorize('IdempotentWrite', 'Cluster', 'kafka-cluster')
    // Whoever coordinates it, nobody is asked.
    if (transactionalId === '') throw new KafkaError('INVALID_REQUEST', 'the transactional id is empty')
    if ((producerId === none) !== (producerEpoch === none)) throw new KafkaError('INVALID_REQUEST', 'producer id and epoch go together')
    if (transactionalId === null) return { errorCode: 0, producerId: await producerIds.allocate(), producerEpoch: 0 }
    const expected = producerId === none ? undefined : { producerId, producerEpoch }
    try {
      const producer = await transactions.initProducerId({ transactionalId, timeoutMs: transactionTimeoutMs, expected })
      return { errorCode: 0, ...producer }
    } catch (error) {
      throw knownFencing(error, context.apiVersion, FIRST_VERSION_WITH_PRODUCER_FENCED)
    }
  },
  { errorResponse: (_request, errorCode) => ({ errorCode, producerId: none, producerEpoch: none }) },
)
