import type { AnomalyList } from './anomalies.ts'
import { type Commit, type HistoryEvent, type Ownership, type PlaceAndOffset, placeName } from './history.ts'

interface Claim {
  readonly process: number
  readonly generation: number
}

/**
 * In one generation of a group (its member epoch, where the broker assigns) a partition has one owner, and once another member has it in a later one, the
 * commits of the old owner are refused. A member that lags behind may believe for a while that it owns what others have: in another generation.
 */
export class OwnershipOrder {
  readonly #anomalies: AnomalyList
  /** Group and place → the claims of those who have not given it up. */
  readonly #claims = new Map<string, Claim[]>()
  /** Process → the newest claim of others, by place, when its commit began. */
  readonly #whenCommitting = new Map<number, ReadonlyMap<string, Claim>>()

  constructor(anomalies: AnomalyList) {
    this.#anomalies = anomalies
  }

  noteOwnership({ op, process, group, generation, offsets }: HistoryEvent & Ownership): void {
    for (const [topic, partition] of offsets) {
      const place = placeName(topic, partition)
      if (op === 'assigned') {
        if (generation !== undefined) this.#claim(group, place, { process, generation })
      } else {
        this.#giveUp(keyOf(group, place), process)
      }
    }
  }

  noteCrash({ process }: HistoryEvent): void {
    for (const key of this.#claims.keys()) this.#giveUp(key, process)
    this.#whenCommitting.delete(process)
  }

  noteCommit({
    process,
    type,
    group,
    generation,
    offsets,
  }: HistoryEvent & Pick<Commit, 'type' | 'group' | 'generation' | 'offsets'>): void {
    if (generation === undefined) return
    if (type === 'invoke') {
      this.#whenCommitting.set(process, this.#newestOfOthers(process, group, offsets))
      return
    }
    const newest = this.#whenCommitting.get(process)
    this.#whenCommitting.delete(process)
    if (type !== 'ok') return
    for (const [topic, partition, offset] of offsets) {
      const place = placeName(topic, partition)
      const other = newest?.get(place)
      if (other !== undefined && other.generation > generation) {
        const detail = `process ${process} committed ${offset} in generation ${generation} of ${group}, after process ${other.process} had got the partition in ${other.generation}`
        this.#anomalies.add({ kind: 'stale commit', place, detail, values: [], offsets: [offset], group })
      } else if (other !== undefined && other.generation === generation) {
        this.#reportTwo(group, place, { process, generation }, other)
      }
    }
  }

  #claim(group: string, place: string, claim: Claim): void {
    const key = keyOf(group, place)
    const others = (this.#claims.get(key) ?? []).filter(({ process }) => process !== claim.process)
    for (const other of others) if (other.generation === claim.generation) this.#reportTwo(group, place, claim, other)
    this.#claims.set(key, [...others, claim])
  }

  #giveUp(key: string, process: number): void {
    this.#claims.set(
      key,
      (this.#claims.get(key) ?? []).filter((claim) => claim.process !== process),
    )
  }

  #newestOfOthers(process: number, group: string, offsets: readonly PlaceAndOffset[]): Map<string, Claim> {
    const newest = new Map<string, Claim>()
    for (const [topic, partition] of offsets) {
      const place = placeName(topic, partition)
      for (const claim of this.#claims.get(keyOf(group, place)) ?? []) {
        if (claim.process !== process && claim.generation > (newest.get(place)?.generation ?? -1)) newest.set(place, claim)
      }
    }
    return newest
  }

  #reportTwo(group: string, place: string, { process, generation }: Claim, other: Claim): void {
    const detail = `processes ${other.process} and ${process} own it in generation ${generation} of ${group}`
    this.#anomalies.add({ kind: 'owned twice', place, detail, values: [], offsets: [], group })
  }
}

const keyOf = (group: string, place: string): string => `${group}/${place}`
