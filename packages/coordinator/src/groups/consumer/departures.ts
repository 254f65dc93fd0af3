import type { ErrorName } from '@tidelog/protocol'
import type { GroupStepBuilder } from '../group-step.ts'
import type { ConsumerGroup } from './consumer-group.ts'
import { type ConsumerMember, regexOf } from './consumer-member.ts'
import type { ConsumerRecord } from './consumer-record.ts'
import type { ConsumerRoom } from './consumer-room.ts'
import type { Migration } from './migration.ts'
import { memberTombstones } from './records.ts'

/** Members that leave consumer groups, by their own wish or because they are not heard of. */
export class Departures {
  readonly #room: ConsumerRoom
  readonly #migration: Migration

  constructor(room: ConsumerRoom, migration: Migration) {
    this.#room = room
    this.#migration = migration
  }

  /**
   * Takes members out; what they had is free for the others from the next assignment on. When only members of the classic protocol are left,
   * the group goes back to it.
   */
  remove(
    step: GroupStepBuilder,
    group: ConsumerGroup,
    members: readonly ConsumerMember[],
    settled: (step: GroupStepBuilder, failure: ErrorName | undefined) => void,
  ): void {
    if (this.#migration.goesBackWithout(group, members)) {
      this.#migration.downgrade(step, group, { leaving: members }, settled)
      return
    }
    const records = members.flatMap(({ memberId }) => memberTombstones(group.id, memberId))
    const regexes = abandonedRegexes(group, members)
    records.push(...regexes.map((regex): ConsumerRecord => ({ kind: 'consumer-regex', group: group.id, regex, value: null })))
    const metadataHash = this.#room.hashes.ofSubscription(group.subscriptionsWithout(members, regexes).keys())
    records.push({ kind: 'consumer-group', group: group.id, value: { epoch: group.epoch + 1, metadataHash } })
    for (const { memberId } of members) this.#room.clocks.forget(group, memberId)
    this.#room.changes.apply(step, group, { records }, settled)
  }
}

/** Expressions that only these members name. */
function abandonedRegexes(group: ConsumerGroup, members: readonly ConsumerMember[]): string[] {
  const counts = new Map<string, number>()
  for (const member of members) {
    const regex = regexOf(member)
    if (regex !== undefined) counts.set(regex, (counts.get(regex) ?? 0) + 1)
  }
  return [...counts].flatMap(([regex, count]) => (group.regexSubscribers.get(regex) === count ? [regex] : []))
}
