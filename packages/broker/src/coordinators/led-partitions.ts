import { KafkaError } from '@tidelog/protocol'
import type { CoordinatorLog } from './coordinator-log.ts'

/** A coordinator of one partition, for one term of leadership. */
interface Term {
  /** Resolves when requests may come. */
  load(): Promise<void>
  unload(): void
}

export interface TermOfPartition {
  readonly index: number
  readonly leaderEpoch: number
  readonly log: CoordinatorLog
  /** To be called when only the log knows the state any more: the term begins anew. */
  readonly onLost: () => void
}

/** The coordinators of the partitions of one internal topic that this broker leads. */
export class LedPartitions<T extends Term> {
  readonly #begin: (term: TermOfPartition) => T
  readonly #partitions = new Map<number, { readonly leaderEpoch: number; readonly coordinator: T }>()
  #closed = false

  /** @param begin Makes the coordinator of a term, which has seen nothing of the log yet. */
  constructor(begin: (term: TermOfPartition) => T) {
    this.#begin = begin
  }

  /** This broker leads the partition from now on. @returns when its coordinator has been loaded */
  async elected(index: number, leaderEpoch: number, log: CoordinatorLog): Promise<void> {
    const current = this.#partitions.get(index)
    if (this.#closed || (current !== undefined && current.leaderEpoch >= leaderEpoch)) return
    current?.coordinator.unload()
    await this.#load(index, leaderEpoch, log)
  }

  async #load(index: number, leaderEpoch: number, log: CoordinatorLog): Promise<void> {
    const onLost = () => {
      if (this.#partitions.get(index)?.coordinator === coordinator) void this.#load(index, leaderEpoch, log)
    }
    const coordinator: T = this.#begin({ index, leaderEpoch, log, onLost })
    this.#partitions.set(index, { leaderEpoch, coordinator })
    await coordinator.load()
  }

  /** Another broker leads it, or it is gone. */
  resigned(index: number): void {
    this.#partitions.get(index)?.coordinator.unload()
    this.#partitions.delete(index)
  }

  /** Answers everyone who waits. */
  close(): void {
    this.#closed = true
    for (const index of [...this.#partitions.keys()]) this.resigned(index)
  }

  /** @throws KafkaError NOT_COORDINATOR; COORDINATOR_NOT_AVAILABLE once closed */
  of(index: number): T {
    this.requireOpen()
    const partition = this.#partitions.get(index)
    if (partition === undefined) throw new KafkaError('NOT_COORDINATOR')
    return partition.coordinator
  }

  /** @throws KafkaError COORDINATOR_NOT_AVAILABLE once closed */
  requireOpen(): void {
    if (this.#closed) throw new KafkaError('COORDINATOR_NOT_AVAILABLE')
  }

  /** None once closed. */
  all(): T[] {
    return Array.from(this.#partitions.values(), ({ coordinator }) => coordinator)
  }
}
