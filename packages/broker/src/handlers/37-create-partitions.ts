import { CreatePartitions, errorTable } from '@tidelog/protocol'
import { defineHandler } from '../define-handler.ts'

/** Adds partitions to topics, each topic on its own, and answers when they can be produced to. KIP-195. */
export const createPartitions = defineHandler(
  CreatePartitions,
  async ({ topics, validateOnly, timeoutMs }, context) => {
    const mayAlter = topics.filter(({ name }) => context.isAuthorized('Alter', 'Topic', name))
    const refused = new Set(topics.filter((topic) => !mayAlter.includes(topic)).map(({ name }) => name))
    const outcomes = await context.broker.controller.createPartitions(mayAlter, { validateOnly, timeoutMs })
    const results = [...outcomes].map(([name, error]) => ({ name, errorCode: error?.code ?? 0, errorMessage: error?.message || null }))
    for (const name of refused) results.push({ name, errorCode: errorTable.TOPIC_AUTHORIZATION_FAILED.code, errorMessage: null })
    return { results }
  },
  {
    errorResponse: ({ topics }, errorCode, errorMessage) => ({
      results: [...new Set(topics.map(({ name }) => name))].map((name) => ({ name, errorCode, errorMessage })),
    }),
  },
)
