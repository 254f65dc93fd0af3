import type { Admin } from '../../admin/admin.ts'
import { hasCode } from '../../errors.ts'
import type { ConsumerGroupState, GroupDescription } from './types-group.ts'

/** In the order of `groupIds`; a group that there is not is Dead, as brokers told older clients. @throws BrokerError */
export function describeGroups(admin: Admin, groupIds: readonly string[]): Promise<(GroupDescription & { errorCode: number })[]> {
  return Promise.all(
    groupIds.map(async (groupId) => {
      try {
        const group = (await admin.describeClassicGroups([groupId])).get(groupId)!
        return {
          errorCode: 0,
          groupId,
          state: group.state as ConsumerGroupState,
          protocolType: group.protocolType,
          protocol: group.partitionAssignor,
          members: group.members.map(({ memberId, clientId, host, metadataBytes, assignmentBytes }) => ({
            memberId,
            clientId,
            clientHost: host,
            memberMetadata: metadataBytes,
            memberAssignment: assignmentBytes,
          })),
        }
      } catch (error) {
        if (!hasCode(error, 'GROUP_ID_NOT_FOUND')) throw error
        return { errorCode: 0, groupId, state: 'Dead' as const, protocolType: '', protocol: '', members: [] }
      }
    }),
  )
}
