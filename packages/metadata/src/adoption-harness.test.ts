/** What tests of adoption have in common: partitions as they are found in log dirs. */
import type { FoundPartition } from './adopted-topics.ts'

export const ordersId = 'IQPsQipHTsKy71ijwH7wGA'

export const folder = (topic: string, partition: number, overrides: Partial<FoundPartition> = {}): FoundPartition => ({
  topic,
  partition,
  topicId: ordersId,
  lastLeaderEpoch: 3,
  ...overrides,
})
