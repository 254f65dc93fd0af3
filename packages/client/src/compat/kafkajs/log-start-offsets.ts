import type { ExchangeObserver } from '@tidelog/net'
import { Metadata, type MetadataResponse, Produce, type ProduceResponse } from '@tidelog/protocol'
import { PartitionMap, type TopicPartition } from '../../topic-partition.ts'

/** Where logs start, as the answers to Produce say: kafkajs's results have it, and our producer's do not. */
export class LogStartOffsets {
  readonly #offsets = new PartitionMap<number>()
  /** Later versions of Produce name topics by their ids. */
  readonly #namesById = new Map<string, string>()

  readonly observer: ExchangeObserver = {
    answered: ({ api }, { response }) => {
      if (api.key === Metadata.key) {
        for (const { name, topicId } of (response as MetadataResponse).topics) if (name !== null) this.#namesById.set(topicId, name)
      } else if (api.key === Produce.key) this.#take(response as ProduceResponse)
    },
  }

  /** -1: no answer has said it. */
  of(partition: TopicPartition): number {
    return this.#offsets.get(partition) ?? -1
  }

  #take({ responses }: ProduceResponse): void {
    for (const { name, topicId, partitionResponses } of responses) {
      const topic = name || this.#namesById.get(topicId)
      if (topic === undefined) continue
      for (const { index, logStartOffset } of partitionResponses) this.#offsets.set({ topic, partition: index }, logStartOffset)
    }
  }
}
