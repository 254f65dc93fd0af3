import { ListPartitionReassignments } from '@tidelog/protocol'
import { clusterName } from '../authorized-operations.ts'
import { defineHandler } from '../define-handler.ts'

/** The partitions that are moving to other brokers. This broker moves none: the list is empty. KIP-455. */
export const listPartitionReassignments = defineHandler(
  ListPartitionReassignments,
  (_request, context) => {
    context.authorize('Describe', 'Cluster', clusterName)
    return { errorCode: 0, errorMessage: null, topics: [] }
  },
  { errorResponse: (_request, errorCode, errorMessage) => ({ errorCode, errorMessage, topics: [] }) },
)
