import type { LeaderAndIsrState } from '../znodes.ts'
import { type LiveBroker, NO_LEADER, type PartitionState } from './cluster-state.ts'

/** A partition's next leadership, without the controller epoch it will be written under. */
export type NextLeadership = Omit<LeaderAndIsrState, 'controllerEpoch'>

/** Live brokers that can serve the partition. */
interface Electorate {
  readonly brokers: ReadonlyMap<number, Pick<LiveBroker, 'brokerEpoch'>>
}

/** A leader for a partition that never had one: its first live replica, all live replicas in sync. Undefined while none is live. */
export function firstLeadership({ replicas }: PartitionState, isLive: (brokerId: number) => boolean): NextLeadership | undefined {
  const isr = replicas.filter(isLive)
  return isr.length === 0 ? undefined : { leader: isr[0]!, leaderEpoch: 0, isr }
}

/**
 * What becomes of a partition when brokers have come, gone, or been restarted: undefined when nothing has to change.
 *
 * Replicas that are gone leave the ISR, but for the last one: whoever is in it has every acknowledged record. A leader that is gone, or has
 * registered again since it became one, is replaced by the first live replica of the ISR, which may be itself: the new leader epoch
 * tells readers and followers of an earlier epoch to look again. With `unclean`, a live replica outside of the ISR will do as well.
 */
export function leadershipAfterBrokerChange(
  { replicas, leadership }: PartitionState,
  { brokers }: Electorate,
  { unclean }: { unclean: boolean },
): NextLeadership | undefined {
  if (leadership === undefined) return firstLeadership({ replicas, leadership } as PartitionState, (id) => brokers.has(id))
  const { leader, leaderEpoch, isr } = leadership
  const leads = brokers.get(leader)
  if (leads !== undefined && leads.brokerEpoch < leadership.changedAt) {
    const rest = isr.filter((id) => brokers.has(id))
    return rest.length === isr.length ? undefined : { leader, leaderEpoch: leaderEpoch + 1, isr: rest }
  }
  const clean = replicas.find((id) => isr.includes(id) && brokers.has(id))
  if (clean !== undefined) return { leader: clean, leaderEpoch: leaderEpoch + 1, isr: isr.filter((id) => brokers.has(id)) }
  const outside = unclean ? replicas.find((id) => brokers.has(id)) : undefined
  if (outside !== undefined) return { leader: outside, leaderEpoch: leaderEpoch + 1, isr: [outside] }
  return leader === NO_LEADER ? undefined : { leader: NO_LEADER, leaderEpoch: leaderEpoch + 1, isr }
}

export type ElectionType = 'preferred' | 'unclean'

/** Outcome of an election that an operator asks for; the codes are those of ElectLeaders (KIP-183, KIP-460). */
export type ElectionOutcome = NextLeadership | 'ELECTION_NOT_NEEDED' | 'PREFERRED_LEADER_NOT_AVAILABLE' | 'ELIGIBLE_LEADERS_NOT_AVAILABLE'

/** In Kafka's words. */
export const ELECTION_REFUSALS: Readonly<Record<Extract<ElectionOutcome, string>, string>> = {
  ELECTION_NOT_NEEDED: 'Leader election not needed for topic partition.',
  PREFERRED_LEADER_NOT_AVAILABLE: 'The preferred leader was not available.',
  ELIGIBLE_LEADERS_NOT_AVAILABLE: 'Eligible topic partition leaders are not available.',
}

export function electLeader({ replicas, leadership }: PartitionState, { brokers }: Electorate, type: ElectionType): ElectionOutcome {
  const leader = leadership?.leader ?? NO_LEADER
  const leaderEpoch = (leadership?.leaderEpoch ?? -1) + 1
  const isr = leadership?.isr ?? replicas
  if (type === 'preferred') {
    const preferred = replicas[0]!
    if (leader === preferred) return 'ELECTION_NOT_NEEDED'
    if (!brokers.has(preferred) || !isr.includes(preferred)) return 'PREFERRED_LEADER_NOT_AVAILABLE'
    return { leader: preferred, leaderEpoch, isr }
  }
  if (leader !== NO_LEADER) return 'ELECTION_NOT_NEEDED'
  const live = replicas.find((id) => isr.includes(id) && brokers.has(id)) ?? replicas.find((id) => brokers.has(id))
  return live === undefined ? 'ELIGIBLE_LEADERS_NOT_AVAILABLE' : { leader: live, leaderEpoch, isr: isr.includes(live) ? isr : [live] }
}
