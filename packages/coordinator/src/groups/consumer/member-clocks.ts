import type { DeadlineHeap } from '../../steps/deadline-heap.ts'
import type { Instant } from '../../steps/step.ts'
import type { GroupCoordinatorConfig } from '../group-config.ts'
import type { GroupStepBuilder } from '../group-step.ts'
import { type ConsumerGroup, type MemberTimers, newMemberTimers } from './consumer-group.ts'
import type { ConsumerMember } from './consumer-member.ts'

/** What falls due for members of consumer groups: whoever lets a deadline pass is out. */
export class MemberClocks {
  readonly #config: GroupCoordinatorConfig
  readonly #deadlines: DeadlineHeap<GroupStepBuilder>
  readonly #onEnd: (step: GroupStepBuilder, group: ConsumerGroup, member: ConsumerMember) => void

  /** @param onEnd One of the member's deadlines has passed. */
  constructor(options: {
    config: GroupCoordinatorConfig
    deadlines: DeadlineHeap<GroupStepBuilder>
    onEnd: (step: GroupStepBuilder, group: ConsumerGroup, member: ConsumerMember) => void
  }) {
    this.#config = options.config
    this.#deadlines = options.deadlines
    this.#onEnd = options.onEnd
  }

  /** A sign of life. A member of the classic protocol has told its own session timeout. */
  keepAlive(now: Instant, group: ConsumerGroup, memberId: string): void {
    const classic = group.members.get(memberId)?.classic
    const sessionTimeoutMs = classic?.sessionTimeoutMs ?? this.#config.consumer.settingsOf(group.id).sessionTimeoutMs
    this.#deadlines.set(this.#timersOf(group, memberId).session, now.monotonicMs + sessionTimeoutMs)
  }

  /** It has partitions to give up within its rebalance timeout, or has none any more. */
  mindRevocation(now: Instant, group: ConsumerGroup, member: ConsumerMember): void {
    const { rebalance } = this.#timersOf(group, member.memberId)
    if (member.state === 'UNREVOKED_PARTITIONS' && member.classic === null) {
      this.#deadlines.set(rebalance, now.monotonicMs + member.rebalanceTimeoutMs)
    } else this.#deadlines.cancel(rebalance)
  }

  /** A member of the classic protocol is to send JoinGroup within its rebalance timeout, counted from when it was first told. */
  expectJoin(now: Instant, group: ConsumerGroup, member: ConsumerMember): void {
    const { join } = this.#timersOf(group, member.memberId)
    if (join.dueMs === Infinity) this.#deadlines.set(join, now.monotonicMs + member.rebalanceTimeoutMs)
  }

  /** It has joined and is to send SyncGroup within its rebalance timeout. */
  expectSync(now: Instant, group: ConsumerGroup, member: ConsumerMember): void {
    const { join, sync } = this.#timersOf(group, member.memberId)
    this.#deadlines.cancel(join)
    this.#deadlines.set(sync, now.monotonicMs + member.rebalanceTimeoutMs)
  }

  synced(group: ConsumerGroup, memberId: string): void {
    this.#deadlines.cancel(this.#timersOf(group, memberId).sync)
  }

  /** Members that a log or a failed append has brought back have one session timeout to show up. */
  watch(now: Instant, group: ConsumerGroup): void {
    for (const memberId of [...group.timers.keys()]) if (!group.members.has(memberId)) this.forget(group, memberId)
    for (const member of group.members.values()) {
      if (!group.timers.has(member.memberId)) this.keepAlive(now, group, member.memberId)
      this.mindRevocation(now, group, member)
    }
  }

  /** The group is no longer kept here. */
  dissolve(group: ConsumerGroup): void {
    for (const memberId of [...group.timers.keys()]) this.forget(group, memberId)
  }

  forget(group: ConsumerGroup, memberId: string): void {
    const timers = group.timers.get(memberId)
    if (timers === undefined) return
    for (const deadline of Object.values(timers)) this.#deadlines.cancel(deadline)
    group.timers.delete(memberId)
  }

  #timersOf(group: ConsumerGroup, memberId: string): MemberTimers {
    let timers = group.timers.get(memberId)
    if (timers === undefined) {
      const end = (step: GroupStepBuilder) => {
        const member = group.members.get(memberId)
        if (member !== undefined) this.#onEnd(step, group, member)
      }
      timers = newMemberTimers({ session: end, rebalance: end, join: end, sync: end })
      group.timers.set(memberId, timers)
    }
    return timers
  }
}
