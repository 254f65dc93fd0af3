import { IncrementalAlterConfigs, KafkaError } from '@tidelog/protocol'
import type { ConfigOp } from '../config/alter-configs.ts'
import { alterRows, failedRows } from '../config/alter-requests.ts'
import { defineHandler } from '../define-handler.ts'

/** By their number on the wire. Source: AlterConfigOp.OpType. */
const operations: readonly ConfigOp['operation'][] = ['set', 'delete', 'append', 'subtract']
const deleteId = 1

function operationOf(id: number): ConfigOp['operation'] {
  const operation = operations[id]
  if (operation === undefined) throw new KafkaError('INVALID_REQUEST', `Unknown operation ${id}`)
  return operation
}

/** Sets, deletes, appends to or subtracts from single configurations of topics and brokers; the others stay as they are. */
export const incrementalAlterConfigs = defineHandler(
  IncrementalAlterConfigs,
  async ({ resources, validateOnly }, context) => ({
    responses: await alterRows(resources, context, {
      needsValue: ({ configs }, index) => configs[index]?.configOperation !== deleteId,
      alter: async ({ configs }, resource) => {
        const ops = configs.map(({ name, configOperation, value }) => ({ name, operation: operationOf(configOperation), value }))
        await context.broker.configs.alter(resource, ops, { validateOnly })
      },
    }),
  }),
  { errorResponse: ({ resources }, errorCode, errorMessage) => ({ responses: failedRows(resources, errorCode, errorMessage) }) },
)
