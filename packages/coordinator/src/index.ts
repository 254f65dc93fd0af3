export type { GroupState } from './groups/classic/classic-group.ts'
export type { GroupCoordinatorConfig } from './groups/group-config.ts'
export { type DescribedGroup, GroupCoordinator, type ListedGroup } from './groups/group-coordinator.ts'
export { type CommittedOffset, decodeGroupRecord, encodeGroupRecord, type GroupRecord } from './groups/group-record.ts'
export { appendErrorToReply, type Caller } from './groups/group-replies.ts'
export type {
  CommitOffsetsRequest,
  CommitResultOfTopic,
  OffsetOfPartition,
  OffsetsOfTopic,
  TopicPartitions,
} from './groups/offsets/group-offsets.ts'
export type { Coordinator } from './steps/coordinator.ts'
export type { Instant, Reply, Step, Ticket, Write } from './steps/step.ts'
