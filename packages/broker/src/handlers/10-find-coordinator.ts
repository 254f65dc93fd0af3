import { CONSUMER_OFFSETS_TOPIC, TRANSACTION_STATE_TOPIC } from '@tidelog/metadata'
import { FindCoordinator, type FindCoordinatorRequest, KafkaError, type ResponseInput } from '@tidelog/protocol'
import { defineHandler, errorCodeOf } from '../define-handler.ts'
import type { RequestContext } from '../request-context.ts'
import { workOnRows } from '../row-turns.ts'

type Response = ResponseInput<typeof FindCoordinator>
type Coordinator = NonNullable<Response['coordinators']>[number]

const groupKey = 0
const transactionKey = 1

/** From here on a request names several keys. Source: KIP-699. */
const keysVersion = 4

const noNode = { nodeId: -1, host: '', port: -1 }

/** The broker that coordinates each group or transactional id: the leader of its partition of an internal topic, which is made if it is not there. */
export const findCoordinator = defineHandler(
  FindCoordinator,
  async (request, context) => {
    const find = (key: string) => findOne(key, request.keyType, context)
    if (context.apiVersion >= keysVersion) {
      const [coordinators] = await workOnRows([request.coordinatorKeys], (keys) => keys, find)
      return { coordinators: coordinators! }
    }
    const { key: _, errorCode, errorMessage, ...node } = await find(request.key)
    // Kafka says NONE where there is nothing to say.
    return { errorCode, errorMessage: errorCode === 0 ? 'NONE' : errorMessage, ...node }
  },
  {
    errorResponse: ({ coordinatorKeys }: FindCoordinatorRequest, errorCode, errorMessage, apiVersion): Response => {
      if (apiVersion < keysVersion) return { errorCode, errorMessage, ...noNode }
      return { coordinators: coordinatorKeys.map((key) => ({ key, ...noNode, errorCode, errorMessage })) }
    },
  },
)

async function findOne(key: string, keyType: number, context: RequestContext): Promise<Coordinator> {
  try {
    return { key, ...(await leaderFor(key, keyType, context)), errorCode: 0, errorMessage: '' }
  } catch (error) {
    return { key, ...noNode, ...errorCodeOf(error, context) }
  }
}

async function leaderFor(key: string, keyType: number, context: RequestContext): Promise<{ nodeId: number; host: string; port: number }> {
  const { groups, transactions } = context.broker
  if (keyType === groupKey) {
    context.authorize('Describe', 'Group', key)
    return leaderOf(CONSUMER_OFFSETS_TOPIC, () => groups.partitionOf(key), context)
  }
  if (keyType === transactionKey) {
    context.authorize('Describe', 'TransactionalId', key)
    return leaderOf(TRANSACTION_STATE_TOPIC, () => transactions.partitionOf(key), context)
  }
  throw new KafkaError('INVALID_REQUEST', `this broker has no coordinators of type ${keyType}`)
}

async function leaderOf(
  topic: string,
  partitionOf: () => number,
  context: RequestContext,
): Promise<{ nodeId: number; host: string; port: number }> {
  const { image, autoTopicCreation } = context.broker
  // Waiting for it saves the client a round of asking again.
  await autoTopicCreation.ensure(topic).catch((error) => {
    throw new KafkaError('COORDINATOR_NOT_AVAILABLE', `${topic} could not be created`, { cause: error })
  })
  const leaderId = image.partition(topic, partitionOf())?.leaderId
  const endpoint = image.brokers.get(leaderId ?? -1)?.endpoints.get(context.connection.listenerName)
  if (leaderId === undefined || endpoint === undefined) throw new KafkaError('COORDINATOR_NOT_AVAILABLE')
  return { nodeId: leaderId, host: endpoint.host, port: endpoint.port }
}
