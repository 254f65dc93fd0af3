import { int64Of } from '../offset-arguments.ts'
import { checkEach } from './broker-call.ts'

/** Offsets that a group or a transaction commits, as kafkajs's calls take them. */
export interface CommittedTopic {
  topic: string
  partitions: { partition: number; offset: unknown; metadata?: string | null }[]
}

interface AnsweredTopic {
  readonly name: string
  readonly partitions: readonly { readonly partitionIndex: number; readonly errorCode: number }[]
}

export const committedTopics = (topics: readonly CommittedTopic[]) =>
  topics.map(({ topic, partitions }) => ({
    name: topic,
    partitions: partitions.map(({ partition, offset, metadata = null }) => ({
      partitionIndex: Number(partition),
      committedOffset: int64Of(offset),
      committedMetadata: metadata,
    })),
  }))

/** @throws the error of the first partition that has one */
export function committedOutcomes(topics: readonly AnsweredTopic[]) {
  for (const { partitions } of topics) checkEach(partitions)
  return topics.map(({ name, partitions }) => ({
    topic: name,
    partitions: partitions.map(({ partitionIndex, errorCode }) => ({ partition: partitionIndex, errorCode })),
  }))
}
