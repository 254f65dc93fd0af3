import type { TopicPartition } from '../../topic-partition.ts'

interface TopicPauses {
  isWhole: boolean
  readonly paused: Set<number>
  /** Of a topic that is paused as a whole. */
  readonly resumed: Set<number>
}

/** What the user has paused, by topic or partition, whether it is assigned at the moment or not. */
export class PausedPartitions {
  readonly #topics = new Map<string, TopicPauses>()

  pause(topic: string, partitions: readonly number[] | undefined): void {
    const state = this.#of(topic)
    if (partitions === undefined) this.#whole(state, true)
    else {
      for (const partition of partitions) {
        state.paused.add(partition)
        state.resumed.delete(partition)
      }
      state.isWhole = false
    }
  }

  resume(topic: string, partitions: readonly number[] | undefined): void {
    const state = this.#of(topic)
    if (partitions === undefined) this.#whole(state, false)
    else {
      for (const partition of partitions) {
        state.paused.delete(partition)
        if (state.isWhole) state.resumed.add(partition)
      }
    }
  }

  has({ topic, partition }: TopicPartition): boolean {
    const state = this.#topics.get(topic)
    if (state === undefined) return false
    return state.paused.has(partition) || (state.isWhole && !state.resumed.has(partition))
  }

  #whole(state: TopicPauses, isWhole: boolean): void {
    state.isWhole = isWhole
    state.paused.clear()
    state.resumed.clear()
  }

  #of(topic: string): TopicPauses {
    let state = this.#topics.get(topic)
    if (state === undefined) {
      state = { isWhole: false, paused: new Set(), resumed: new Set() }
      this.#topics.set(topic, state)
    }
    return state
  }
}
