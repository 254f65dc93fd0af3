import type { GroupStepBuilder } from '../group-step.ts'
import { type ConsumerGroup, type SubscriptionType, subscriptionTypeOf } from './consumer-group.ts'
import { type Assignment, type ConsumerMember, isReconciledTo, sameCurrentState } from './consumer-member.ts'
import type { ConsumerRecord } from './consumer-record.ts'
import type { ConsumerRoom } from './consumer-room.ts'
import { type ReportedPartitions, reconcile } from './reconciliation.ts'
import { currentRecord } from './records.ts'
import { computeTarget, subscribedNames } from './target-assignment.ts'

export interface Target {
  readonly targetEpoch: number
  /** The member's part of it. */
  readonly target: Assignment
}

/** The way of a member from what it subscribes to, by the group's epoch and the target assignment, to what it has. It adds records and changes nothing. */
export class Rebalancing {
  readonly #room: ConsumerRoom

  constructor(room: ConsumerRoom) {
    this.#room = room
  }

  /** Another subscription, or other topics under it, make a new epoch of the group. */
  updateEpoch(
    group: ConsumerGroup,
    member: ConsumerMember,
    updated: ConsumerMember,
    { isChanged, records }: { isChanged: boolean; records: ConsumerRecord[] },
  ): { epoch: number; subscriptionType: SubscriptionType | undefined } {
    if (!isChanged && !group.needsMetadataRefresh()) return { epoch: group.epoch, subscriptionType: undefined }
    const subscriptions = group.subscriptionsWith(member, updated)
    const metadataHash = this.#room.hashes.ofSubscription(subscriptions.keys())
    const isNew = !group.members.has(updated.memberId) && group.staticMember(updated.instanceId) === undefined
    const subscriptionType = subscriptionTypeOf(
      group.regexSubscribersWith(member, updated),
      subscriptions,
      group.members.size + (isNew ? 1 : 0),
    )
    let { epoch } = group
    if (isChanged || metadataHash !== group.metadataHash) {
      epoch++
      records.push({ kind: 'consumer-group', group: group.id, value: { epoch, metadataHash } })
    }
    group.metadataRefreshed(epoch)
    if (group.hasTopicsRecord) records.push({ kind: 'consumer-topics', group: group.id, value: null })
    return { epoch, subscriptionType }
  }

  /** Assigns anew when the group has a newer epoch, but not more often than its assignment interval allows. KIP-1263. */
  updateTarget(
    step: GroupStepBuilder,
    group: ConsumerGroup,
    member: ConsumerMember,
    updated: ConsumerMember,
    change: { epoch: number; subscriptionType: SubscriptionType | undefined; records: ConsumerRecord[] },
  ): Target {
    const { epoch, records } = change
    const last = { targetEpoch: group.target.epoch, target: group.targetOfInstance(updated) }
    if (group.target.epoch >= epoch) return last
    const { consumer } = this.#room.config
    const { assignmentIntervalMs } = consumer.settingsOf(group.id)
    const { timestampMs } = group.target
    if (timestampMs !== 0 && assignmentIntervalMs !== 0 && step.now.wallMs < timestampMs + assignmentIntervalMs) return last
    const assignor = group.preferredAssignorWith(member, updated) ?? consumer.assignors[0]!
    const { topics } = this.#room
    const subscriptionType = change.subscriptionType ?? group.subscriptionType
    const computed = computeTarget(group, updated, { epoch, nowMs: step.now.wallMs, assignor, subscriptionType, topics })
    records.push(...computed.records)
    return { targetEpoch: epoch, target: computed.own }
  }

  /** Takes the member as far towards the target as it can go. @throws KafkaError FENCED_MEMBER_EPOCH */
  reconcile(
    group: ConsumerGroup,
    member: ConsumerMember,
    input: Target & { subscriptionChanged: boolean; reported: ReportedPartitions; records: ConsumerRecord[] },
  ): ConsumerMember {
    if (!input.subscriptionChanged && isReconciledTo(member, input.targetEpoch)) return member
    const names = subscribedNames(group, member)
    const { topics } = this.#room
    const subscribed = {
      size: names.size,
      has: (topicId: string) => {
        const name = topics.byId(topicId)?.name
        return name !== undefined && names.has(name)
      },
    }
    const ownerEpoch = (topicId: string, partition: number) => group.ownerEpoch(topicId, partition)
    const updated = reconcile(member, { ...input, subscribed, ownerEpoch })
    if (sameCurrentState(member, updated)) return member
    input.records.push(currentRecord(group.id, updated))
    return updated
  }
}
