import { AlterConfigs } from '@tidelog/protocol'
import { alterRows, failedRows } from '../config/alter-requests.ts'
import { defineHandler } from '../define-handler.ts'

/** Replaces all dynamic configurations of resources: what a row does not name goes back to its default. */
export const alterConfigs = defineHandler(
  AlterConfigs,
  async ({ resources, validateOnly }, context) => ({
    responses: await alterRows(resources, context, {
      needsValue: () => true,
      alter: ({ configs }, resource) =>
        context.broker.configs.replace(resource, new Map(configs.map(({ name, value }) => [name, value!])), { validateOnly }),
    }),
  }),
  { errorResponse: ({ resources }, errorCode, errorMessage) => ({ responses: failedRows(resources, errorCode, errorMessage) }) },
)
