import type { ErrorName } from '@tidelog/protocol'
import type { ClassicGroup } from './classic/classic-group.ts'
import type { Membership } from './classic/membership.ts'
import type { ConsumerGroups } from './consumer/consumer-groups.ts'
import type { Group } from './group.ts'
import type { Caller } from './group-replies.ts'
import type { CommitOffsetsRequest } from './offsets/group-offsets.ts'

/** The first OffsetCommit of the members of consumer groups. */
const versionOfConsumerGroups = 9

/** Who may commit offsets for a group. Source: KIP-447 and KIP-848. */
export class CommitChecks {
  readonly #membership: Membership
  readonly #consumers: ConsumerGroups

  constructor({ membership, consumers }: { membership: Membership; consumers: ConsumerGroups }) {
    this.#membership = membership
    this.#consumers = consumers
  }

  /** Why a commit is refused as a whole; undefined when it is not. */
  error(group: Group | undefined, request: CommitOffsetsRequest, caller: Pick<Caller, 'apiVersion'>): ErrorName | undefined {
    const { generationIdOrMemberEpoch: generationId } = request
    if (group?.type === 'consumer') return this.#consumers.commitError(group, request, caller)
    // Without a generation, it comes from an admin client or from a consumer that uses the group for its offsets alone.
    if (group === undefined) {
      if (generationId < 0) return undefined
      return caller.apiVersion >= versionOfConsumerGroups ? 'GROUP_ID_NOT_FOUND' : 'ILLEGAL_GENERATION'
    }
    if (generationId < 0 && group.state === 'Empty') return undefined
    if (namesNobody(request)) return 'UNKNOWN_MEMBER_ID'
    return this.#memberError(group, request) ?? (group.state === 'CompletingRebalance' ? 'REBALANCE_IN_PROGRESS' : undefined)
  }

  /** The same for a commit in a transaction: old versions name no member, and whoever holds the transaction may commit. */
  errorInTransaction(group: Group | undefined, request: CommitOffsetsRequest): ErrorName | undefined {
    const { generationIdOrMemberEpoch: generationId } = request
    if (group === undefined) return generationId < 0 ? undefined : 'ILLEGAL_GENERATION'
    if (namesNobody(request)) return undefined
    if (group.type === 'consumer') {
      const error = this.#consumers.commitError(group, request, { apiVersion: versionOfConsumerGroups })
      return error === 'STALE_MEMBER_EPOCH' ? 'ILLEGAL_GENERATION' : error
    }
    return generationId < 0 && group.state === 'Empty' ? undefined : this.#memberError(group, request)
  }

  #memberError(group: ClassicGroup, request: CommitOffsetsRequest): ErrorName | undefined {
    const error = this.#membership.memberError(group, request.memberId, request.groupInstanceId)
    if (error !== undefined) return error
    return request.generationIdOrMemberEpoch === group.generation ? undefined : 'ILLEGAL_GENERATION'
  }
}

const namesNobody = ({ generationIdOrMemberEpoch, memberId, groupInstanceId }: CommitOffsetsRequest): boolean =>
  generationIdOrMemberEpoch < 0 && memberId === '' && groupInstanceId === null
