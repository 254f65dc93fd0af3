import { EndTxn } from '@tidelog/protocol'
import { defineHandler } from '../define-handler.ts'
import { knownFencing } from '../transactions/producer-fenced.ts'

const FIRST_VERSION_WITH_PRODUCER_FENCED = 2
/** From here on every transaction has an epoch of its own. KIP-890. */
const FIRST_VERSION_WITH_EPOCHS = 5

/** Commits or aborts a transaction: the answer comes when the decision is in the coordinator's log. Source: KIP-98, KIP-890. */
export const endTxn = defineHandler(
  EndTxn,
  async ({ transactionalId, producerId, producerEpoch, committed }, context) => {
    const { apiVersion, broker } = context
    context.authorize('Write', 'TransactionalId', transactionalId)
    const clientTransactionVersion = apiVersion >= FIRST_VERSION_WITH_EPOCHS ? 2 : 0
    try {
      const producer = await broker.transactions.endTransaction({
        transactionalId,
        producerId,
        producerEpoch,
        committed,
        clientTransactionVersion,
      })
      return { errorCode: 0, ...producer }
    } catch (error) {
      throw knownFencing(error, apiVersion, FIRST_VERSION_WITH_PRODUCER_FENCED)
    }
  },
  { errorResponse: (_request, errorCode) => ({ errorCode, producerId: -1, producerEpoch: -1 }) },
)
