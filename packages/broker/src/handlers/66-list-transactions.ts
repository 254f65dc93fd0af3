import { transactionalIdPattern, transactionStates } from '@tidelog/coordinator'
import { ListTransactions } from '@tidelog/protocol'
import { defineHandler } from '../define-handler.ts'

const knownStates: ReadonlySet<string> = new Set(transactionStates)

/** The transactional ids that this broker coordinates and the client may see. Source: KIP-664, KIP-994 (duration), KIP-1152 (pattern). */
export const listTransactions = defineHandler(
  ListTransactions,
  ({ stateFilters, producerIdFilters, durationFilter, transactionalIdPattern: expression }, context) => {
    const states = new Set(stateFilters.filter((state) => knownStates.has(state)))
    const unknownStateFilters = stateFilters.filter((state) => !knownStates.has(state))
    const pattern = expression === null || expression === '' ? undefined : transactionalIdPattern(expression)
    const filter = { states, producerIds: new Set(producerIdFilters), durationMs: durationFilter, pattern }
    // Only states that there are not: nothing is in them.
    const isNothing = stateFilters.length > 0 && states.size === 0
    const listed = isNothing ? [] : context.broker.transactions.list(filter)
    return {
      errorCode: 0,
      unknownStateFilters,
      transactionStates: listed
        .filter(({ transactionalId }) => context.isAuthorized('Describe', 'TransactionalId', transactionalId))
        .map(({ transactionalId, producerId, state }) => ({ transactionalId, producerId, transactionState: state })),
    }
  },
  { errorResponse: (_request, errorCode) => ({ errorCode, unknownStateFilters: [], transactionStates: [] }) },
)
