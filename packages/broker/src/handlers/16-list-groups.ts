import { ListGroups } from '@tidelog/protocol'
import { clusterName } from '../authorized-operations.ts'
import { defineHandler } from '../define-handler.ts'

const lowerCase = (words: readonly string[]): Set<string> => new Set(words.map((word) => word.trim().toLowerCase()))

/** The groups that this broker coordinates, as far as the caller may know of them. */
export const listGroups = defineHandler(
  ListGroups,
  ({ statesFilter, typesFilter }, context) => {
    const groups = context.broker.groups.listGroups({ states: lowerCase(statesFilter), types: lowerCase(typesFilter) })
    if (context.isAuthorized('Describe', 'Cluster', clusterName)) return { errorCode: 0, groups }
    return { errorCode: 0, groups: groups.filter(({ groupId }) => context.isAuthorized('Describe', 'Group', groupId)) }
  },
  { errorResponse: (_, errorCode) => ({ errorCode, groups: [] }) },
)
