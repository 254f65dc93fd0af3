import { DeleteGroups } from '@tidelog/protocol'
import { defineHandler, errorCodeOf } from '../define-handler.ts'
import { workOnRows } from '../row-turns.ts'

/** Deletes each group that has no members, with its offsets. */
export const deleteGroups = defineHandler(
  DeleteGroups,
  async ({ groupsNames }, context) => {
    const [results] = await workOnRows(
      [[...new Set(groupsNames)]],
      (names) => names,
      async (groupId) => {
        try {
          context.authorize('Delete', 'Group', groupId)
          return { groupId, errorCode: await context.broker.groups.deleteGroup(groupId) }
        } catch (error) {
          return { groupId, errorCode: errorCodeOf(error, context).errorCode }
        }
      },
    )
    return { results: results! }
  },
  {
    errorResponse: ({ groupsNames }, errorCode) => ({
      results: Array.from(new Set(groupsNames), (groupId) => ({ groupId, errorCode })),
    }),
  },
)
